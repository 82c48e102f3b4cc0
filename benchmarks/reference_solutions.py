"""Do the reference solutions of HumanEval and MBPP pass their own tests in the code reward, and do mutants fail?

    python benchmarks/reference_solutions.py FOLDER [--json out.json] [--quick]

FOLDER holds `HumanEval.jsonl.gz` and `mbpp.jsonl` as their authors publish them. HumanEval's solutions are given as the
model would give them, a body without its header; both sets' tests are `assert` tests. A mutant is a solution with one
change: a comparison turned, an operator swapped, a constant moved by one, a condition negated, or a result thrown away.
Mutants that pass are either equivalent to the solution or not covered by the tests of the set.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rewards.builtin.code_tests import code_tests
from rollout.types import Problem, Rollout

_TURNED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def human_eval(path: Path) -> Iterator[tuple[Problem, str, str]]:
    """Problem, the answer of a model that completes the header, and the whole solution."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            test = {"assert": f"{row['test']}\ncheck({row['entry_point']})\n"}
            problem = Problem(row["task_id"], row["prompt"], tests=(test,))
            yield problem, row["canonical_solution"], row["prompt"] + row["canonical_solution"]


def mbpp(path: Path) -> Iterator[tuple[Problem, str, str]]:
    """Problem, the solution, and the solution again: its answers are whole programs."""
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            tests = tuple({"assert": f"{row['test_setup_code']}\n{test}"} for test in row["test_list"])
            yield Problem(f"MBPP/{row['task_id']}", row["text"], tests=tests), row["code"], row["code"]


def score(problem: Problem, answer: str) -> float:
    """The code reward of an answer."""
    rollout = Rollout(problem, "no_think", False, "ok", (1,), (2,), answer_text=f"```python\n{answer}\n```")
    return code_tests(rollout)


def mutant(source: str, rng: random.Random) -> str | None:
    """The program with one change at a random place inside a function; None if there is no such place."""
    tree = ast.parse(source)
    inside = [n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)]
    changes = [change for node in inside if (change := _change_of(node)) is not None]
    if not changes:
        return None
    rng.choice(changes)()
    return ast.unparse(ast.fix_missing_locations(tree))


def _change_of(node: ast.AST) -> Callable[[], None] | None:
    def put(name: str, value: Any) -> Callable[[], None]:
        return lambda: setattr(node, name, value)

    if isinstance(node, ast.Compare) and type(node.ops[0]) in _TURNED:
        return put("ops", [_TURNED[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _SWAPPED:
        return put("op", _SWAPPED[type(node.op)]())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return put("value", node.value + 1)
    if isinstance(node, ast.If | ast.While):
        return put("test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Return) and node.value is not None:
        return put("value", ast.Constant(None))
    return None


def measure(problems: list[tuple[Problem, str, str]], name: str) -> list[dict[str, Any]]:
    """The rows of one set, after naming every solution that does not pass."""
    rng, start = random.Random(0), time.perf_counter()
    passed = mutants = killed = 0
    for problem, answer, _ in problems:
        value = score(problem, answer)
        passed += value == 1.0
        if value != 1.0:
            print(f"{problem.id}: {value:.2f}")
    seconds = time.perf_counter() - start
    for problem, _, source in problems:
        changed = mutant(source, rng)
        if changed is not None:
            mutants += 1
            killed += score(problem, changed) < 1.0
    return [
        {"case": f"{name}: solutions that pass, of", "ours": passed, "peer": len(problems), "ratio": None},
        {"case": f"{name}: mutants that fail, of", "ours": killed, "peer": mutants, "ratio": None},
        {"case": f"{name}: solutions/s", "ours": round(len(problems) / seconds, 1), "peer": None, "ratio": None},
    ]


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where HumanEval.jsonl.gz and mbpp.jsonl are")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--quick", action="store_true", help="every tenth problem")
    arguments = parser.parse_args()
    rows = []
    sets = {
        "HumanEval": human_eval(arguments.folder / "HumanEval.jsonl.gz"),
        "MBPP": mbpp(arguments.folder / "mbpp.jsonl"),
    }
    for name, found in sets.items():
        problems = list(found)[:: 10 if arguments.quick else 1]
        rows += measure(problems, name)
    for row in rows:
        print(f"{row['case']:40} {row['ours']:>8} {row['peer'] or '':>8}")
    report = {
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()},
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
