"""Chosen chains as a labelled file, which both gears of the cold start learn from (`cold_start.labels`,
`cold_start.gears.labels`) and `data.train` reads.

Of a chosen chain the thought and the solution become the example of thinking, and its solution alone that of answering
directly. A problem that shall not be thought about has the direct example alone, so only the second gear learns it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rl.config.schema import ChooseConfig
from rl.data import problem_to_row
from rl.distillation.chains import Chain
from rl.distillation.selection import mixer, student, thoughtx
from rl.models.chat_replies import estimated_tokens
from rollout.errors import UserError
from rollout.types import Problem

Labels = Mapping[str, Mapping[str, Any]]
Chosen = list[tuple[Chain, bool]]  # a chain, and whether its thought is learned


def choose(chains: Sequence[Chain], settings: ChooseConfig, labels: Labels) -> Chosen:
    """The chains to learn from, by the configured method. Raises `UserError` where there are none."""
    if settings.method == "student":
        chosen = _by_student(chains, settings, labels)
    elif settings.method == "thoughtx":
        chosen = [(chain, True) for chain in thoughtx(chains)]
    elif settings.method == "mixer":
        mixed = mixer(chains, settings.samples_per_bin, bins=settings.bins, target=settings.target)
        chosen = [(chain, True) for chain in mixed]
    else:
        wanted = (1,) if settings.method == "correct" else (-1, 0, 1)
        chosen = [(chain, True) for chain in chains if chain.correctness in wanted]
    chosen = [(chain, thinks) for chain, thinks in chosen if chain.solution and (chain.thought or not thinks)]
    if not chosen:
        raise UserError(
            f"distill.choose.method {settings.method!r} keeps none of {len(chains)} chains; allowed: chains with a "
            "thought and a solution, scored unless the method is all (distill.py --stage score)"
        )
    return chosen


def _by_student(chains: Sequence[Chain], settings: ChooseConfig, labels: Labels) -> Chosen:
    if not labels and settings.labels:
        raise UserError(f"{settings.labels} labels none of these problems; allowed: labels of the problems asked about")
    if not labels:
        raise UserError(
            "distill.choose.method is student, which needs the student's pass rates; allowed: distill.choose.labels, a "
            "file of scripts/label_necessity.py, or another method"
        )
    right = {chain.problem: chain for chain in reversed(chains) if chain.correctness == 1 and chain.solution}
    chosen: Chosen = []
    for problem, chain in student(chains, labels, margin=settings.margin).items():
        if chain is not None:
            chosen.append((chain, True))
        elif problem in right:
            chosen.append((right[problem], False))
    return chosen


def labels_by_problem(rows: Sequence[Mapping[str, Any]], chains: Sequence[Chain]) -> dict[str, Mapping[str, Any]]:
    """The label of each labelled row, by the problem's id as the chains have it: by id, or by the text of the
    question."""
    questions = {chain.problem: chain.question for chain in chains}
    by_text = {question: name for name, question in questions.items()}
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name, text = str(row["id"]), str(row.get("prompt"))
        known = name if questions.get(name) == text else by_text.get(text)
        if known is not None and isinstance(row.get("label"), Mapping):
            found[known] = row["label"]
    return found


def labelled_rows_of(chosen: Chosen, problems: Mapping[str, Problem], labels: Labels) -> list[dict[str, Any]]:
    """One row a chain. Where nobody knows the answer of a problem its row has the chain's solution, and says so."""
    rows = []
    seen: Counter[str] = Counter()
    for chain, thinks in chosen:
        problem, measured = problems.get(chain.name), labels.get(chain.problem, {})
        row = problem_to_row(problem) if problem else _row_without_gold(chain)
        examples = {"think": _example(chain, True) if thinks else None, "no_think": _example(chain, False)}
        label: dict[str, Any] = {"complexity": measured["complexity"]} if "complexity" in measured else {}
        label |= {mode: {**measured.get(mode, {}), "shortest": example} for mode, example in examples.items()}
        name = f"{chain.problem}:{seen[chain.problem]}" if seen[chain.problem] else chain.problem
        seen[chain.problem] += 1
        origin = {"chain": chain.name, "teacher": chain.teacher}
        row |= {"id": name, "necessity": "think" if thinks else "no_think", "label": label}
        rows.append(row | {"metadata": {**(row.get("metadata") or {}), **origin}})
    return rows


def _row_without_gold(chain: Chain) -> dict[str, Any]:
    turns = [{"role": "system", "content": chain.system}] if chain.system else []
    asked = {"messages": [*turns, {"role": "user", "content": chain.question}]} if turns else {"prompt": chain.question}
    return {**asked, "answer": chain.solution, "metadata": {"answer_by": chain.teacher or "the chain"}}


def _example(chain: Chain, thinks: bool) -> dict[str, Any]:
    """The texts that the protocol writes the response from; tokens are estimated by length, to compare by."""
    thought = chain.thought if thinks else ""
    texts = {"judge": str(chain.rest.get("judge", "")), "thinking": thought, "answer": chain.solution}
    return texts | {"tokens": estimated_tokens(thought, chain.solution)}
