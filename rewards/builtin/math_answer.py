"""The math reward: is the final answer of a response the same as the gold answer?

`check` extracts both answers, reads them into trees, and compares them: first exactly and without sympy
(`rewards.math_checker.fast`), and only where that is undecided symbolically in a killable worker process
(`rewards.math_checker.symbolic`, `rewards.workers.pool`). No text is ever evaluated as code, and no input can hold the
caller longer than the limit. Conventions and their defaults are in `docs/math_checker.md` and `Options`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rewards.math_checker.compare import Options, same
from rewards.math_checker.extract import extract, gold_texts
from rewards.math_checker.fast import fast_leaf
from rewards.math_checker.lexer import MathTextError, TooLargeError
from rewards.math_checker.poly import Budget, Undecided
from rewards.math_checker.read import Node, clean, pairings, readings
from rewards.parameters import AboveZero
from rewards.plugin import RewardError, judges_with, parallel
from rewards.workers.pool import WorkerDied, WorkerPool, WorkerTimeout
from rollout.types import Problem, Rollout

Reason = Literal["equal", "different", "unparsable_answer", "unparsable_gold", "timeout", "too_large"]

DEFAULTS = Options()
_NUMERAL = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_RATIONAL = re.compile(
    r"(?:\\?\$)?([0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,6})?|-?[0-9]{1,12}(?:\.[0-9]{1,6})?)"
    r"|\\[dt]?frac\{(-?[0-9]{1,12})\}\{([1-9][0-9]{0,11})\}|(-?[0-9]{1,12})/([1-9][0-9]{0,11})",
    re.ASCII,
)
_WORKER_MEMORY = 1 << 30
_pool = WorkerPool("rewards.math_checker.symbolic:handle", memory_bytes=_WORKER_MEMORY)


@dataclass(frozen=True)
class Verdict:
    """Whether the answers are equal, and why (not)."""

    equal: bool
    reason: Reason


def verify(answer: str, gold: str, timeout_s: float = 2.0) -> bool:
    """Whether `answer`, bare or a whole response, equals `gold`."""
    return check(answer, gold, timeout_s).equal


def check(
    answer: str, gold: str, timeout_s: float = 2.0, options: Options = DEFAULTS, wait_s: float = 300.0
) -> Verdict:
    """The verdict on `answer`, bare or a whole response, with its reason.

    `timeout_s` limits the symbolic comparison, from the moment a worker has it. Waiting for a free worker, where many
    threads ask at once, is limited by `wait_s` and is a `timeout` too; a worker that starts takes its own time, once.
    What runs in this process takes some hundredths of a second at most, on any text.
    """
    if timeout_s <= 0:
        raise ValueError(f"timeout_s is {timeout_s}; it must be above 0")
    try:
        return _check(answer, gold, (timeout_s, wait_s), options)
    except RecursionError:
        return Verdict(False, "too_large")


def _check(answer: str, gold: str, limits: tuple[float, float], options: Options) -> Verdict:
    if answer.strip() and answer.strip() == gold.strip():
        return Verdict(True, "equal")
    wanted, given = gold_texts(gold), extract(answer)
    if given and wanted and (plain := _plain_verdict(given[0], wanted[0], options)) is not None:
        return _verdict(plain)
    try:
        gold_trees = readings(wanted)
    except MathTextError:
        gold_trees = []
    try:
        if given and wanted and clean(given[0]) and clean(given[0]) == clean(wanted[0]):
            return Verdict(True, "equal")
        answer_trees = readings(given) if gold_trees else []
    except TooLargeError:
        return Verdict(False, "too_large" if gold_trees else "unparsable_gold")
    except MathTextError:
        return Verdict(False, "unparsable_answer")
    if not gold_trees:
        return Verdict(False, "unparsable_gold")
    try:
        return _verdict(_fast(answer_trees, gold_trees, options))
    except (Undecided, RecursionError):
        return _symbolic(given, wanted, limits, options)


def _plain_verdict(answer: str, gold: str, options: Options) -> bool | None:
    """The verdict on two short numerals, and on fractions and amounts that are the same; None for all else."""
    if _NUMERAL.fullmatch(answer) and _NUMERAL.fullmatch(gold) and not options.rel_tol:
        return Fraction(answer) == Fraction(gold)
    if options.units == "strict":
        return None
    given = _rational(answer)
    return True if given is not None and given == _rational(gold) else None


def _rational(text: str) -> Fraction | None:
    """The value of `1,234.5`, `\\$12` or `\\frac{1}{2}`."""
    match = _RATIONAL.fullmatch(text)
    if match is None:
        return None
    number, top, bottom, over, under = match.groups()
    return Fraction(number.replace(",", "")) if number else Fraction(int(top or over), int(bottom or under))


@functools.lru_cache(maxsize=1 << 16)
def is_readable(gold: str) -> bool:
    """Whether a gold answer can be judged against; problems where it cannot should be dropped."""
    try:
        return bool(readings(gold_texts(gold)))
    except (MathTextError, RecursionError):
        return False


def check_problem(problem: Problem) -> None:
    """Raises `RewardError` for a problem whose gold answer cannot be judged against."""
    if problem.answer is None:
        raise RewardError(f"problem {problem.id!r} has no answer; the math reward needs one")
    if not is_readable(problem.answer):
        raise RewardError(
            f"problem {problem.id!r} has answer {problem.answer[:80]!r}, which the math reward cannot read"
        )


@judges_with(check_problem)
@parallel
def math(rollout: Rollout, *, timeout_s: AboveZero = 2.0) -> float:
    """The reward plug-in: 1.0 if the answer step's answer equals the problem's, else 0.0."""
    problem = rollout.problem
    verdict = None if problem.answer is None else check(rollout.answer_text, problem.answer, timeout_s)
    if verdict is None or verdict.reason == "unparsable_gold":
        check_problem(problem)
    return 1.0 if verdict is not None and verdict.equal else 0.0


def _fast(answers: list[Node], golds: list[Node], options: Options) -> bool:
    """The verdict over all pairs of readings; an undecided pair is only passed on if no other pair is equal."""
    budget = Budget()
    leaf = fast_leaf(options, budget)
    undecided: Undecided | None = None
    for answer, gold in pairings(answers, golds):
        try:
            if same(answer, gold, leaf, options, budget):
                return True
        except Undecided as outcome:
            undecided = outcome
    if undecided is not None:
        raise undecided
    return False


def _symbolic(answer: list[str], gold: list[str], limits: tuple[float, float], options: Options) -> Verdict:
    job = {"answer": answer, "gold": gold, "options": dataclasses.asdict(options)}
    try:
        reply = _pool.call(job, *limits)
    except WorkerTimeout:
        return Verdict(False, "timeout")
    except WorkerDied:
        return Verdict(False, "too_large")
    return Verdict(False, reply["reason"]) if "reason" in reply else _verdict(reply["equal"])


def _verdict(equal: bool) -> Verdict:
    return Verdict(equal, "equal" if equal else "different")
