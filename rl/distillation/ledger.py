"""What a run has spent so far, over all its stages and starts, and the calls that came to nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.config.schema import Config, TeacherConfig
from rl.distillation.budget import Budget, Cost, cost_of, spent_by
from rl.distillation.teachers import Ask
from rl.files.row_store import read_rows
from rl.models.chat_replies import EndpointError

STORES = ("chains.jsonl", "judgements.jsonl")
FAILURES = "failures.jsonl"


class Ledger:
    """The budget of a run folder. Failed calls are kept in failures.jsonl, with what they had received: it is paid."""

    def __init__(self, config: Config, folder: Path) -> None:
        """Adds up what the rows of all stages say of their calls."""
        self.path = folder / FAILURES
        self.reasons: Counter[str] = Counter()
        prices = {teacher.name: teacher for teacher in config.teachers if teacher.base_url}
        self.paid = bool(prices)
        spent = Cost()
        for store in STORES:
            for row in read_rows(folder / store):
                teacher = prices.get(str(row.get("judge") or row.get("teacher")))
                spent += spent_by(_usage(row), teacher) if teacher else Cost()
        for row in read_rows(self.path, repair=True):
            teacher = prices.get(str(row.get("teacher")))
            spent += cost_of(teacher, 0, int(row.get("lost_tokens", 0))) if teacher else Cost()
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
        for reason, count in self.reasons.most_common(3):
            show(f"failed: {count} calls, asked again at the next start: {reason}")
        if self.budget.exhausted:
            show("the budget does not hold another call; allowed: a larger one (distill.budget_tokens, budget_money)")
        return not self.reasons and not self.budget.exhausted


def _usage(row: dict[str, Any]) -> dict[str, Any]:
    usage = row.get("usage") or (row.get("rest") or {}).get("call")
    return usage if isinstance(usage, dict) else {}
