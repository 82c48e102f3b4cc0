"""The stage `generate`: every writer answers every question several times, then chains are rewritten.

    PROBLEM#TEACHER#3             a chain
    PROBLEM#TEACHER#3~short       the same with a shorter thought (`~long`: a longer one)

Each finished chain is a row of chains.jsonl, so a killed stage goes on where it was and pays nothing twice. Another
teacher or more chains may be added; a teacher that was changed under its old name is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.config.schema import Config, TeacherConfig
from rl.distillation.chains import Chain, split_response, tagged
from rl.distillation.ledger import Ledger
from rl.distillation.prompts import generation, rewriting
from rl.distillation.questions import Question, load_questions, question_settings
from rl.distillation.teachers import Ask, Said, ask_teacher, check_teacher, find_teacher
from rl.files.finished import Work, read_record
from rl.files.row_store import RowStore
from rl.models.chat_replies import EndpointError
from rollout.errors import UserError

SHORT = {"long_to_short": "short", "short_to_long": "long"}
OWN = "teacher "  # what begins the record's key of a teacher


def writers_of(config: Config) -> list[TeacherConfig]:
    """Who writes. Raises `UserError` where nobody does."""
    apart = {*config.distill.judges, config.distill.rewriter}
    names = config.distill.writers or [one.name for one in config.teachers if one.name not in apart]
    if not names:
        raise UserError("nobody writes chains; allowed: an entry of teachers that is no judge and no rewriter")
    return [find_teacher(config, name) for name in names]


def open_store(config: Config, path: Path) -> RowStore:
    """The rows of this stage, with what the questions and each teacher were. Raises `UserError`."""
    teachers = [*writers_of(config), *([_rewriter(config)] if config.distill.rewrite else [])]
    settings = question_settings(config)
    for teacher in teachers:
        settings |= made_by(teacher)
    fresh = config.resume != "auto"
    old = {} if fresh else read_record(Work("rows", path, {}))
    # Who wrote rows before stays on record.
    settings = {key: value for key, value in old.items() if key.startswith(OWN)} | settings
    return RowStore(path, settings, fresh=fresh)


def made_by(teacher: TeacherConfig) -> dict[str, Any]:
    """What an answer of this teacher depends on, for a record."""
    keys = ("model", "prompt", "temperature", "max_tokens", "options", "protocol")
    return {f"{OWN}{teacher.name}.{key}": json.loads(json.dumps(getattr(teacher, key))) for key in keys}


def generate(config: Config, store: RowStore, ledger: Ledger, show: Callable[[str], None] = print) -> None:
    """Ask for every chain that is missing. What a budget or an endpoint leaves missing is told and asked again at the
    next start."""
    questions = load_questions(config)
    store.hold()
    works = [_writing(config, teacher, questions) for teacher in writers_of(config)]
    for work in works:
        if missing_of(work, store):
            check_teacher(work.teacher)
    for work in works:
        ask_missing(config, work, store, ledger)
    if config.distill.rewrite:
        ask_missing(config, _rewriting(config, _rewriter(config), store), store, ledger)
    wanted = [ask.id for work in works for ask in work.asks]
    there, rewritten = sum(name in store for name in wanted), sum(map(is_rewritten, store.rows.values()))
    show(f"chains: {there} of {len(wanted)} written; in the file {len(store.rows)}, {rewritten} of them rewritten")


@dataclass(frozen=True)
class Asking:
    """What one teacher is asked, and the row that is made of an answer."""

    teacher: TeacherConfig
    asks: Sequence[Ask]
    row: Callable[[Ask, Said], dict[str, Any]]


def _writing(config: Config, teacher: TeacherConfig, questions: Sequence[Question]) -> Asking:
    asked = {f"{one.problem.id}#{teacher.name}#{k}": one for one in questions for k in range(config.distill.chains)}
    asks = [Ask(name, generation(one.messages, teacher.prompt)) for name, one in asked.items()]

    def row(ask: Ask, said: Said) -> dict[str, Any]:
        problem = asked[ask.id].problem
        chain = Chain(
            problem.id,
            ask.id,
            problem.prompt,
            said.text,
            answer=problem.answer,
            system=asked[ask.id].system,
            teacher=teacher.name,
            rest={"call": dict(said.usage), **({"judge": said.judge} if said.judge else {})},
        )
        return {"id": ask.id, **dataclasses.asdict(chain)}

    return Asking(teacher, asks, row)


def _rewriting(config: Config, teacher: TeacherConfig, store: RowStore) -> Asking:
    chains = [read_row(row) for row in store.rows.values() if not is_rewritten(row)]
    asked = {
        f"{chain.name}~{SHORT[kind]}": (chain, kind)
        for kind in config.distill.rewrite
        for chain in chains
        if chain.thought
    }
    asks = [
        Ask(name, rewriting(kind, chain.question, chain.solution, chain.thought), thinks=False)
        for name, (chain, kind) in asked.items()
    ]

    def row(ask: Ask, said: Said) -> dict[str, Any]:
        chain = asked[ask.id][0]
        # One that was cut may be all of the rewriter's own thinking.
        thought = "" if said.usage.get("finish_reason") == "length" else rewritten_thought(said.text)
        rest = {"call": dict(said.usage), "rewritten": chain.name}
        new = dataclasses.replace(
            chain, name=ask.id, response=tagged(thought, chain.solution), teacher=teacher.name, rest=rest
        )
        return {"id": ask.id, **dataclasses.asdict(new)}

    return Asking(teacher, asks, row)


def rewritten_thought(text: str) -> str:
    """The thought in a rewriter's answer: what stands outside of its own thinking, without tags around it.

    >>> rewritten_thought("<think>shorter?</think>3+4 is 7")
    '3+4 is 7'
    """
    own, answer = split_response(text)
    if text.lstrip().startswith("<think>") and answer:
        own, answer = split_response(answer)
    return own or answer


def missing_of(work: Asking, store: RowStore) -> list[Ask]:
    """What the store has no row for. What a model of this machine decodes together shares its seed, so there a batch
    is asked as a whole."""
    if work.teacher.base_url:
        return [ask for ask in work.asks if ask.id not in store]
    size = work.teacher.concurrency
    batches = [work.asks[start : start + size] for start in range(0, len(work.asks), size)]
    return [ask for batch in batches if any(one.id not in store for one in batch) for ask in batch]


def ask_missing(config: Config, work: Asking, store: RowStore, ledger: Ledger) -> None:
    """Ask what is missing. Raises `UserError` for a teacher that cannot be asked."""
    missing = missing_of(work, store)

    def finished(answers: Sequence[tuple[Ask, Said]]) -> None:
        store.append([work.row(ask, said) for ask, said in answers if ask.id not in store])

    def failed(ask: Ask, error: EndpointError) -> None:
        ledger.fail(work.teacher, ask, error)

    if missing:
        check_teacher(work.teacher)
        ask_teacher(config, work.teacher, missing, finished, failed, ledger.budget)


def is_rewritten(row: Mapping[str, Any]) -> bool:
    """Whether a row is a rewriting of another."""
    return "rewritten" in row["rest"]


def read_row(row: Mapping[str, Any]) -> Chain:
    """The chain of a row of this stage."""
    return Chain(**{key: value for key, value in row.items() if key != "id"})


def _rewriter(config: Config) -> TeacherConfig:
    return find_teacher(config, config.distill.rewriter) if config.distill.rewriter else writers_of(config)[0]
