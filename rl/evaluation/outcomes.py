"""Problems answered in every mode, as tables. Pure: rollouts in, the parts of `eval.json` out.

An outcome holds a problem's answers in each mode, k of each (of records perhaps more). Accuracy and tokens of a
problem are means over them (avg@k); pass@k counts a problem as solved when one of k is right. Tokens have three parts:
`judge` up to and with the switch, `thinking` between the thinking tags, `answer` all the rest (tags and end token
included).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rl.statistics.choice import choice_table
from rl.statistics.names import level_order
from rl.statistics.reflection import reads_like_reasoning
from rl.statistics.routers import routers
from rl.statistics.targets import think_share
from rollout.types import Mode, Problem, Rollout

MODE_PLAN: dict[str, Mode | None] = {"think": "think", "no_think": "no_think", "auto": None}


@dataclass(frozen=True)
class Outcome:
    """One problem with its answers in all three modes."""

    problem: Problem
    rollouts: dict[str, tuple[Rollout, ...]]

    def correct(self, mode: str) -> float:
        """Mean correctness."""
        return _mean([r.scores["correct"] for r in self.rollouts[mode]])

    def tokens(self, mode: str) -> float:
        """Mean response tokens."""
        return _mean([len(r.completion_ids) for r in self.rollouts[mode]])

    def thinks(self) -> float:
        """The share of the free answers that thought."""
        return _mean([r.mode == "think" for r in self.rollouts["auto"]])

    def p_think(self) -> float:
        """P(think) among the two switches at the decision, before the forced answers were forced."""
        return _mean([think_share(r) for r in self.rollouts["think"]])


def summarize(outcomes: Sequence[Outcome], easy: Sequence[str] = (), hard: Sequence[str] = ()) -> dict[str, Any]:
    """All tables of an evaluation."""
    rows = [problem_row(o) for o in outcomes]
    levels = sorted({o.problem.difficulty for o in outcomes if o.problem.difficulty is not None}, key=level_order)
    return {
        "n": len(outcomes),
        "samples": min((len(answers) for o in outcomes for answers in o.rollouts.values()), default=0),
        "modes": {name: row for name, row in mode_table(outcomes).items() if name in MODE_PLAN},
        "routers": routers(rows),
        "choice": choice_table(rows),
        "by_difficulty": {level: mode_table(_where(outcomes, (level,))) for level in levels},
        "by_domain": _by(outcomes, lambda problem: problem.domain),
        "by_source": _by(outcomes, lambda problem: problem.source),
        "easy": mode_table(_where(outcomes, easy)),
        "hard": mode_table(_where(outcomes, hard)),
        "problems": rows,
    }


def problem_row(outcome: Outcome) -> dict[str, Any]:
    """One problem: accuracy and tokens of each mode, what auto did, P(think). What routers, intervals and the dial
    read."""
    row: dict[str, Any] = {"id": outcome.problem.id, "difficulty": outcome.problem.difficulty}
    row["length"] = len(outcome.rollouts["think"][0].prompt_ids)
    row |= {mode: [outcome.correct(mode), outcome.tokens(mode)] for mode in MODE_PLAN}
    return row | {"thinks": outcome.thinks(), "p_think": outcome.p_think()}


def mode_table(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Each mode's numbers; for auto also the share that thought and the mean probability of thinking at the decision
    (what a sampled choice would do)."""
    if not outcomes:
        return {}
    table: dict[str, Any] = {mode: _row(outcomes, mode) for mode in MODE_PLAN}
    table["auto"]["think_rate"] = _mean([o.thinks() for o in outcomes])
    table["auto"]["think_probability"] = _mean([think_share(r) for o in outcomes for r in o.rollouts["auto"]])
    table["no_think"]["hidden_reasoning"] = hidden_reasoning([r for o in outcomes for r in o.rollouts["no_think"]])
    table["n"] = len(outcomes)
    return table


def hidden_reasoning(direct: Sequence[Rollout]) -> dict[str, float]:
    """Of direct answers the share that reads like reasoning, and the mean tokens of those."""
    hiding = [r for r in direct if reads_like_reasoning(f"{r.judge_text}\n{r.answer_text}")]
    return {"share": len(hiding) / len(direct), "mean_tokens": _mean([len(r.completion_ids) for r in hiding])}


def _row(outcomes: Sequence[Outcome], mode: str) -> dict[str, Any]:
    rollouts = [r for o in outcomes for r in o.rollouts[mode]]
    row: dict[str, Any] = {
        "accuracy": _mean([o.correct(mode) for o in outcomes]),
        "mean_tokens": _mean([o.tokens(mode) for o in outcomes]),
        "tokens": {
            "judge": _mean([len(r.judge_ids) for r in rollouts]),
            "thinking": _mean([len(r.think_ids) for r in rollouts]),
            "answer": _mean([len(r.completion_ids) - len(r.judge_ids) - len(r.think_ids) for r in rollouts]),
        },
        "truncated": _mean([r.truncated for r in rollouts]),
        "format_failures": _mean([r.status not in ("ok", "truncated") for r in rollouts]),
    }
    k = min(len(o.rollouts[mode]) for o in outcomes)
    if k > 1:
        row[f"pass@{k}"] = _mean([pass_at(k, [r.scores["correct"] for r in o.rollouts[mode]]) for o in outcomes])
    return row


def pass_at(k: int, correct: Sequence[float]) -> float:
    """The chance that one of k of these n answers is right, 1 − C(n−c, k) / C(n, k) with c right ones (Chen et al.
    2021, arXiv 2107.03374); with n = k whether any is.

    >>> pass_at(2, [1, 0, 0, 0])
    0.5
    """
    wrong = sum(value < 1 for value in correct)
    return 1 - math.comb(wrong, k) / math.comb(len(correct), k)


def _by(outcomes: Sequence[Outcome], name_of: Callable[[Problem], str]) -> dict[str, Any]:
    names = sorted({name_of(o.problem) for o in outcomes})
    return {name: mode_table([o for o in outcomes if name_of(o.problem) == name]) for name in names}


def _where(outcomes: Sequence[Outcome], levels: Sequence[str]) -> list[Outcome]:
    return [o for o in outcomes if o.problem.difficulty in levels]


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values)) if values else 0.0
