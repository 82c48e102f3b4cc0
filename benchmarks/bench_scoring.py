"""Rollouts and their rewards: calls side by side and while other rows decode, against one by one afterwards.

    python benchmarks/bench_scoring.py --json FILE [--quick]

Method: our engine decodes 32 rows, half of them capped early; each row is scored as if its answer were a fixed one that
takes a while: `code`, a program of some 30 ms on one test in the sandbox; `math`, an equality of roots that needs
sympy. `ours` begins a score as its row ends, `side by side` begins all of them after the last row, and the `peer` of
both makes one call after another. Wall-clock seconds, because the work is in other processes: it takes a free core.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from common import build_model, build_tokenizer, compared, finish, parse_arguments, show

# isort: split

from rewards.builtin.code_tests import code_tests
from rewards.builtin.math_answer import math
from rewards.early import EarlyScores
from rewards.plugin import parallel
from rewards.registry import Reward
from rewards.score import score_groups
from rollout.collect import collect
from rollout.engines.base import Sampling
from rollout.engines.hf import HFEngine
from rollout.protocol import DecisionProtocol, layout
from rollout.types import Problem, Rollout

PROGRAM = "def f(n):\n    return sum(i * i for i in range(n)) % 7"
CASES: dict[str, tuple[Callable[..., float], Problem, str]] = {
    "code": (
        code_tests,
        Problem("c", "1 + 1", "code", tests=({"call": "f", "args": [500_000], "expected": 0},)),
        PROGRAM,
    ),
    "math": (
        math,
        Problem("m", "1 + 1", "math", answer=r"\sqrt{1+\frac{2\sqrt{6}}{5}}"),
        r"\boxed{\frac{\sqrt{2}+\sqrt{3}}{\sqrt{5}}}",
    ),
}


def reward_of(name: str, at_once: bool) -> Reward:
    """The reward of a case, on its fixed answer."""
    function, problem, answer = CASES[name]

    def fixed(rollout: Rollout) -> float:
        return function(replace(rollout, problem=problem, answer_text=answer))

    return Reward(name, "answer", 1.0, parallel(fixed) if at_once else fixed, correct=True)


def step(size: str, tokens: int, name: str, at_once: bool, early: bool) -> Callable[[], Any]:
    """A call that decodes and scores 32 rows."""
    protocol = DecisionProtocol(build_tokenizer(), layout("kat"), judge_patience=0)
    engine = HFEngine(build_model(size).eval(), protocol, protocol.tokenizer.pad_token_id)
    engine.eos_ids = set()
    sampling = Sampling(max_new_tokens=tokens, max_new_tokens_by_mode={"no_think": 4})
    problems, plan = [Problem(f"p{i}", "1 + 1", "math") for i in range(4)], ("think", "no_think") * 4
    rewards = [reward_of(name, at_once)]

    def run() -> None:
        begun = EarlyScores(rewards if early else [])
        groups = collect(problems, plan, engine, protocol, sampling, 0, finished=begun.begin)
        scored = score_groups(groups, rewards, early=begun)
        if any(r.scores["correct"] != 1 for group in scored for r in group.rollouts):
            raise RuntimeError(f"the fixed answer of {name} is not right")

    return run


def measure(name: str, size: str, tokens: int, rounds: int) -> list[dict[str, Any]]:
    """Both ways of ours against one by one, in turns."""
    sides = [step(size, tokens, name, *ways) for ways in ((True, True), (True, False), (False, False))]
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, times in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            side()
            if turn:
                times.append(time.perf_counter() - start)
    early, beside, peer = seconds
    case = f"rollouts and rewards s, {name}, {size}, 32 rows of {tokens}"
    return [compared(case, early, peer), compared(f"{case}, side by side", beside, peer)]


def main() -> None:
    """Measure code and math."""
    options = parse_arguments(__doc__ or "")
    size, tokens, rounds = ("0.1M", 20, 1) if options.smallest else ("1M", 150 if options.quick else 400, 3)
    rows: list[dict[str, Any]] = []
    for name in CASES:
        rows += measure(name, size, tokens, rounds)
        show(rows[-2:])
    finish(rows, options)


if __name__ == "__main__":
    main()
