"""Measures the rewards against their peers on the same cases: right verdicts, verdicts per second, worst time.

    python benchmarks/bench_rewards.py --json FILE [--quick]

Math: ours, math-verify and TRL's `accuracy_reward`, all on one thread and one core, every case once and made from a
fixed seed, so that no cache of answers helps. Peers: `pip install "math-verify[antlr4_13_2]==0.9.0" "trl==1.16.0"`, or
`--target` a folder that PYTHONPATH ends with; what is not installed is skipped with a line that says so. The facts are
a choice of ours, known failures of peers among them. A hostile case that holds a peer is killed after some seconds,
which is then its time. `load` is the load average at the start: 0 on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewards.builtin.math_answer import verify

Case = tuple[str, str, bool]
Judge = Callable[[str, str], bool]

HOSTILE_LIMIT_S = 1.0
PEER_KILL_S = 8.0

TEMPLATES = (
    "Let me compute this.\nFirst, {n} + 3 = {m}.\nThen the total follows.\n\nThe answer is \\boxed{{{a}}}.",
    "We get $x = {n}$ and $y = {m}$, so the result is $\\boxed{{{a}}}$.",
    "There are {n} ways for the first and {m} for the second. Thus, the final answer is: $\\boxed{{{a}}}$.",
    "Step 1: {n} apples.\nStep 2: {m} apples.\n\n**Answer:** \\boxed{{{a}}}\n",
)

# Facts that a checker must get right whatever its conventions.
FACTS: tuple[Case, ...] = (
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False), (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", False),
    ("0.0000001", "0.0000002", False), (r"\frac{22}{7}", "3.142857", False), ("0.333333", r"\frac{1}{3}", False),
    (r"1-\frac{1}{e}", r"1+\frac{1}{e}", False), (r"4\sqrt{2}", "4", False), (r"\{1,2\}", "(1,2)", False),
    (r"5\text{ cm}", r"5\text{ m}", False), (r"0.\overline{3}", r"\frac{1}{3}", True), ("x>2", r"(2,\infty)", True),
    (r"e^{i\pi/3}", r"\frac{1}{2}+\frac{\sqrt{3}}{2}i", True), (r"\frac12\%", r"0.5\%", True),
    (r"\frac12\%", r"50\%", False), (r"\sqrt{72}", r"6\sqrt{2}", True),
    (r"\frac{1}{\sqrt3-1}", r"\frac{\sqrt3+1}{2}", True),
    (r"(a+b)^3", r"a^3+3a^2b+3ab^2+b^3", True), (r"\sin 2t", r"2\sin t\cos t", True), (r"\log_3 81", "4", True),
    (r"\sqrt[3]{-27}", "-3", True), (r"2\frac{3}{4}", r"\frac{11}{4}", True), (r"1101_2", "13", True),
    (r"-1<x\le 4", "(-1,4]", True), (r"x\neq 1", r"(-\infty,1)\cup(1,\infty)", True),
    (r"(0,2]\cup(1,3)", "(0,3)", True),
    (r"(0,1)\cup(1,2)", "(0,2)", False), ("(0,1)", "[0,1]", False), ("(2,1)", "(1,2)", False),
    (r"\{2,1\}", r"\{1,2\}", True),
    (r"2\pm\sqrt3", r"2-\sqrt3, 2+\sqrt3", True), (r"\sqrt{x^2}", "x", False), ("x+1=0", "0", False),
    ("x=5", "y=5", False),
    (r"2x-y=1", r"y=2x-1", True), (r"x^2+y^2=9", r"x^2+y^2=8", False), (r"x\ge 3", r"x>3", False),
    ("3 or 4", "3", False),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1&3\end{pmatrix}", False), (r"\text{(B)}", "B", True),
    (r"250\text{ cm}", r"2.5\text{ m}", True), (r"\text{Tuesday}", r"\text{Monday}", False), ("7x", "7", False),
    (r"\sqrt{2}+10^{-40}", r"\sqrt{2}", False), (r"e^{\pi\sqrt{163}}", "262537412640768744", False),
    (r"\infty", r"-\infty", False),
    (r"\binom{7}{3}", "35", True), (r"\sum_{k=1}^{20} k^2", "2870", True),
    (r"\cos\frac{\pi}{5}", r"\frac{1+\sqrt5}{4}", True),
)  # fmt: skip

HOSTILE = (
    "9**9**9**9", "10^8!", "1" * 1_000_000, r"\frac{1}{" * 3000 + "2" + "}" * 3000,
    r"\begin{pmatrix}" + r"\\".join("&".join("1" for _ in range(200)) for _ in range(200)) + r"\end{pmatrix}",
    r"\sum_{n=1}^{10^{12}}\frac{1}{n^3+n+1}", "(x+y+z)^{1000}", "__import__('os').getcwd()",
)  # fmt: skip


def in_response(rng: random.Random, answer: str) -> str:
    """A short model response that ends in the boxed answer."""
    n = rng.randrange(2, 500)
    return rng.choice(TEMPLATES).format(n=n, m=n + 3, a=answer)


def easy_case(rng: random.Random) -> Case:
    """Integers, decimals, fractions, percent, money: what most of the real problems ask for."""
    n, d = rng.randrange(1, 10**6), rng.randrange(2, 60)
    right, gold = rng.choice(
        [
            (str(n), str(n)), (f"{n:,}", str(n)), (f"\\${n}", str(n)), (f"{n}.0", str(n)),
            (f"{n}\\text{{ cm}}", str(n)),
            (f"\\frac{{{n}}}{{{d}}}", f"{n}/{d}"), (f"\\dfrac{{{2 * n}}}{{{2 * d}}}", f"\\frac{{{n}}}{{{d}}}"),
            (f"{d}\\%", f"{d}\\%"), (f"x = {n}", str(n)), (f"{d / 4}", f"\\frac{{{d}}}{{4}}"),
        ]
    )  # fmt: skip
    return (right, gold, True) if rng.random() < 0.7 else (str(n + rng.randrange(1, 9)), gold, False)


def middle_case(rng: random.Random) -> Case:
    """Tuples, intervals, surds, polynomials."""
    a, b = rng.randrange(1, 90), rng.randrange(91, 200)
    right, wrong, gold = rng.choice(
        [
            (f"\\left({a}, -{b}\\right)", f"({b},{a})", f"({a},-{b})"),
            (f"{a} < x \\le {b}", f"[{a},{b}]", f"({a},{b}]"),
            (f"\\sqrt{{{a * a * 7}}}", f"{a}\\sqrt{{6}}", f"{a}\\sqrt{{7}}"), (f"{b}, {a}", f"{b}", f"{a},{b}"),
            (f"(x+{a})^2", f"x^2+{a * a}", f"x^2+{2 * a}x+{a * a}"), (f"{a}\\pi", f"{b}\\pi", f"\\pi\\cdot {a}"),
            (f"\\{{{a},{b}\\}}", f"({a},{b})", f"\\{{{b},{a}\\}}"),
            (f"\\frac{{{a}}}{{\\sqrt{{3}}}}", f"{a}", f"\\frac{{{a}\\sqrt{{3}}}}{{3}}"),
        ]
    )  # fmt: skip
    return (right, gold, True) if rng.random() < 0.7 else (wrong, gold, False)


def hard_case(rng: random.Random) -> Case:
    """Identities that no normal form of polynomials settles."""
    a, b = rng.randrange(2, 40), rng.randrange(2, 40)
    right, wrong, gold = rng.choice(
        [
            (f"\\sin({2 * a}x)", f"\\cos({2 * a}x)", f"2\\sin({a}x)\\cos({a}x)"),
            (f"\\ln({a * b})", f"\\ln({a + b})", f"\\ln {a}+\\ln {b}"),
            (f"{a}e^{{i\\pi/4}}", f"{a}e^{{i\\pi/3}}", f"\\frac{{{a}\\sqrt2}}{{2}}(1+i)"),
            (f"2^{{n+{a}}}", f"2^{{n}}+{a}", f"2^{{{a}}}\\cdot 2^n"),
            (f"{a}\\cos\\frac{{\\pi}}{{12}}", f"{a}\\cos\\frac{{\\pi}}{{13}}", f"{a}\\frac{{\\sqrt6+\\sqrt2}}{{4}}"),
        ]
    )  # fmt: skip
    return (right, gold, True) if rng.random() < 0.7 else (wrong, gold, False)


def cases(kind: str, count: int) -> list[Case]:
    """`count` cases as whole responses: `mix` is 88 % easy, 11 % middle, 1 % hard; `hard` is hard only."""
    rng = random.Random(20_26)
    made = []
    for _ in range(count):
        draw = rng.random()
        make = hard_case if kind == "hard" or draw < 0.01 else middle_case if draw < 0.12 else easy_case
        answer, gold, equal = make(rng)
        made.append((in_response(rng, answer), gold, equal))
    return made


def peers() -> dict[str, Judge]:
    """The peers that are installed, by name."""
    found: dict[str, Judge] = {}
    try:
        import math_verify
    except ImportError:
        print("math-verify is not installed: math-verify and TRL's accuracy_reward are skipped")
        return found
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found["math-verify"] = lambda answer, gold: bool(
        math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(answer))
    )
    try:
        from trl.rewards import accuracy_reward
    except ImportError:
        print("TRL is not installed: its accuracy_reward is skipped")
        return found
    found["TRL accuracy_reward"] = lambda answer, gold: (
        accuracy_reward([[{"content": answer}]], [f"${gold}$"])[0] == 1.0
    )
    return found


def measure(judge: Judge, items: list[Case]) -> tuple[int, float]:
    """How many verdicts are right, and verdicts per second."""
    right, begin = 0, time.perf_counter()
    for answer, gold, expected in items:
        right += judge(answer, gold) is expected
    return right, len(items) / (time.perf_counter() - begin)


def seconds(judge: Judge, answer: str, gold: str) -> float:
    """The time of one verdict, in a process of its own that is killed when it takes too long."""
    begin = time.perf_counter()
    process = multiprocessing.get_context("fork").Process(target=judge, args=(answer, gold))
    process.start()
    process.join(PEER_KILL_S)
    if process.is_alive():
        process.kill()
        process.join()
    return time.perf_counter() - begin


def math_rows(quick: bool) -> list[dict[str, Any]]:
    """One row for each measure and peer; with no peer installed, `peer` and `ratio` are null."""
    others = peers()
    sets = {
        "facts": [(rf"The answer is \boxed{{{answer}}}.", gold, equal) for answer, gold, equal in FACTS],
        "mix": cases("mix", 400 if quick else 1000),
        "hard": cases("hard", 40 if quick else 100),
    }
    rows = []
    verify(r"\sin 3x", r"3\sin x-4\sin^3 x")
    for name, items in sets.items():
        right, rate = measure(verify, items)
        theirs = {peer: measure(judge, items) for peer, judge in others.items()}
        rows += row(f"math {name}: right of {len(items)}", right, {peer: count for peer, (count, _) in theirs.items()})
        rows += row(f"math {name}: verdicts/s", rate, {peer: speed for peer, (_, speed) in theirs.items()})
    texts = HOSTILE[:3] if quick else HOSTILE
    worst = {peer: max(seconds(judge, rf"\boxed{{{text}}}", "5") for text in texts) for peer, judge in others.items()}
    rows += row(f"math hostile: worst seconds (our limit {HOSTILE_LIMIT_S})", max(map(timed, texts)), worst)
    return rows


def timed(text: str) -> float:
    begin = time.perf_counter()
    verify(rf"\boxed{{{text}}}", "5", HOSTILE_LIMIT_S)
    return time.perf_counter() - begin


def row(case: str, ours: float, theirs: dict[str, float]) -> list[dict[str, Any]]:
    """The rows of one case; `ratio` is ours over the peer's."""
    if not theirs:
        return [{"case": case, "ours": round(ours, 3), "peer": None, "ratio": None}]
    return [
        {
            "case": f"{case}, peer {peer}",
            "ours": round(ours, 3),
            "peer": round(value, 3),
            "ratio": round(ours / value, 3) if value else None,
        }
        for peer, value in theirs.items()
    ]


def versions() -> dict[str, str | None]:
    """Versions of what was measured; None is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("sympy", "math-verify", "latex2sympy2-extended", "trl"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def main() -> None:
    """Runs every part, prints the rows and writes them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load = round(os.getloadavg()[0], 1)
    rows = math_rows(arguments.quick)
    for item in rows:
        print(
            f"{item['case']:75} ours {item['ours']:>10}  peer {item['peer'] or '-':>10}  ratio {item['ratio'] or '-'}"
        )
    machine = f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, one used"
    report = {"rows": rows, "machine": machine, "load": load, "versions": versions()}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
