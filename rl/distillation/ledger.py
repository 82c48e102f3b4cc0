"""What a run has spent so far, over all its stages and starts, and the calls that came to nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.config.schema import Config, TeacherConfig
from rl.distillation.budget import Budget, Cost, spent_by
from rl.distillation.teachers import Ask
from rl.files.row_store import read_rows
from rl.models.chat_replies import EndpointError

STORES = ("chains.jsonl", "judgements.jsonl")
FAILURES = "failures.jsonl"
# What is said of a call of an endpoint, and what of one that came to nothing.
ATTEMPTS = {"attempts", "lost_tokens"}


class Ledger:
    """The budget of a run folder. Failed calls are kept in failures.jsonl, with what they had received: it is paid."""

    def __init__(self, config: Config, folder: Path) -> None:
        """Adds up what the rows of all stages say of their calls."""
        self.path = folder / FAILURES
        self.reasons: Counter[str] = Counter()
        known = {teacher.name: teacher for teacher in config.teachers}
        self.paid = any(teacher.base_url for teacher in config.teachers)
        spent, self.unpriced = Cost(), 0
        done = [row for store in STORES for row in read_rows(folder / store)]
        for row in [*done, *read_rows(self.path, repair=True)]:
            name, usage = str(row.get("judge") or row.get("teacher")), _usage(row)
            # A model of this machine tries once and says nothing of it.
            if name not in known and ATTEMPTS & usage.keys():
                spent += spent_by(usage, TeacherConfig())
                self.unpriced += 1
            elif name in known and known[name].base_url:
                spent += spent_by(usage, known[name])
        self.budget = Budget(config.distill.budget_tokens, config.distill.budget_money, spent)

    def fail(self, teacher: TeacherConfig, ask: Ask, error: EndpointError) -> None:
        """Note a call that came to nothing; the next start asks again."""
        self.reasons[str(error)] += 1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        row = {"id": ask.id, "teacher": teacher.name, "error": str(error), "lost_tokens": error.lost_tokens}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def tell(self, show: Callable[[str], None]) -> bool:
        """Say what was spent and what is missing; whether nothing is."""
        if self.paid:
            show(self.budget.line())
        if self.unpriced:
            show(f"{self.unpriced} calls were of teachers that teachers names no more: tokens counted, prices unknown")
        for reason, count in self.reasons.most_common(3):
            show(f"failed: {count} calls, asked again at the next start: {reason}")
        if self.budget.exhausted:
            show("the budget does not hold another call; allowed: a larger one (distill.budget_tokens, budget_money)")
        return not self.reasons and not self.budget.exhausted


def _usage(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says of its call; one of `FAILURES` says it itself."""
    usage = row.get("usage") or (row.get("rest") or {}).get("call") or row
    return usage if isinstance(usage, dict) else {}
