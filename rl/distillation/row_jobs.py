"""Answers to a list of questions, kept row by row beside the file that is made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.schema import Config, TeacherConfig
from rl.distillation.budget import Budget
from rl.distillation.generate import Asking, ask_missing, made_by
from rl.distillation.ledger import Ledger
from rl.distillation.teachers import Ask
from rl.files.finished import DIGEST
from rl.files.outputs import claim, rows_text, write_claimed
from rl.files.row_store import RowStore
from rl.models.inputs import file_digest
from rollout.errors import UserError

NAME = "distill.py"
Answers = Mapping[str, Mapping[str, Any]]


def questions_digest(questions: Sequence[Any]) -> dict[str, str]:
    """What a record says of all that is asked, word by word: an answer is known by the place of its question alone."""
    return {f"{DIGEST}questions": hashlib.sha256(json.dumps(list(questions)).encode()).hexdigest()}


def ask_rows(config: Config, teacher: TeacherConfig, asks: Sequence[Ask], out: Path, source: Path) -> Answers:
    """The answers by the question's id, rows of {id, text, usage} in OUT.rows.jsonl: what is there is not asked again.
    Raises `UserError` where nothing came back."""
    claim(out, NAME, [source])
    asked = questions_digest([[ask.id, ask.messages] for ask in asks])
    store = RowStore(Path(f"{out}.rows.jsonl"), made_by(teacher) | file_digest("input", source) | asked)
    store.hold()
    ledger = Ledger(config, out.parent / f"{out.name}.calls")
    ledger.budget = Budget(None, None)

    def row(ask: Ask, said: Any) -> dict[str, Any]:
        return {"id": ask.id, "text": said.text, "usage": dict(said.usage)}

    ask_missing(config, Asking(teacher, asks, row), store, ledger)
    if ledger.reasons and not store.rows:
        raise UserError(f"no answer at all: {ledger.reasons.most_common(1)[0][0]}")
    return store.rows


def write_output(
    out: Path, rows: Sequence[Mapping[str, Any]], *, lines: bool, wanted: int, show: Callable[[str], None]
) -> None:
    """Write the rows, as JSON lines or as an array. Raises `UserError` while some are missing."""
    if len(rows) < wanted:
        raise UserError(f"{wanted - len(rows)} of {wanted} answers are missing; start again to ask for them")
    text = rows_text(rows) if lines else json.dumps(list(rows), ensure_ascii=False, indent=4) + "\n"
    write_claimed(out, text, NAME)
    show(f"written: {out} ({len(rows)} rows)")
