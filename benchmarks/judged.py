"""What benchmarks/judging.py reads of a run and keeps of it, checked: numbers in range, as the problems have them.

A row is a seed: its goals, their 95 % intervals over the problems, the evaluations before and after RL with the answers
to every problem, and the evaluation of other problems where there is one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rl.config.errors import dotted
from rl.files.json_file import read_object
from rl.reports.outcomes import captured, lost, paired, token_share
from rl.statistics.intervals import bootstrap
from rl.statistics.routers import CORRECT, TOKENS, mean, random_mean
from rollout.errors import UserError

KEPT = ("n", "modes", "routers", "by_difficulty", "obedience", "problems")
FINISHED = "the folder of a finished run with tags, as make products and make arithmetic leave it"
WRITTEN = "a new file, or what this program wrote"
ROUNDING = 1e-6
MEASURES: Mapping[str, Callable[..., float]] = {"lost": lost, "tokens": token_share, "captured": captured}

Share = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Answer = Annotated[tuple[Share, Tokens], Field(strict=False)]


class Checked(BaseModel):
    """No text is taken for a number and no NaN for a value; what stands beside these keys is not looked at."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Result(Checked):
    """A mode or a router: means over the problems."""

    accuracy: Share
    mean_tokens: Tokens


class Routed(Result):
    """One that chooses."""

    think_rate: Share


class Judged(Routed):
    """The model's own choice, with its probability of thinking."""

    think_probability: Share


class Modes(Checked):
    """Both forced modes and the choice."""

    think: Result
    no_think: Result
    auto: Judged


class Kind(Modes):
    """The same on one kind of problems."""

    n: Count


class Routers(Checked):
    """What choosing by a rule would give."""

    oracle: Routed
    random: Result
    length: Result


class Tags(Checked):
    """Shares of the prompts with a tag that are answered in its mode."""

    think: Share
    no_think: Share


class Problem(Checked):
    """What each mode answered."""

    id: str
    thinks: Share
    think: Answer
    no_think: Answer
    auto: Answer


class Evaluation(Checked):
    """An evaluation in three modes; where it has its problems, its means are theirs."""

    n: Count
    modes: Modes
    routers: Routers
    by_difficulty: Annotated[dict[str, Kind], Field(min_length=1)]
    problems: list[Problem] | None = None

    @model_validator(mode="after")
    def _of_its_problems(self) -> Evaluation:
        counted = [sum(kind.n for kind in self.by_difficulty.values())]
        if self.problems is not None:
            counted += [len(self.problems), len({one.id for one in self.problems})]
            for name, means in self.modes:
                for column, told in ((CORRECT, means.accuracy), (TOKENS, means.mean_tokens)):
                    found = sum(getattr(one, name)[column] for one in self.problems) / max(len(self.problems), 1)
                    if not math.isclose(found, told, rel_tol=ROUNDING, abs_tol=ROUNDING):
                        raise ValueError(f"modes.{name} has {told} where its problems have {found:.6g}")
        if set(counted) != {self.n}:
            raise ValueError(f"n is {self.n} where its kinds or problems are {counted}")
        return self


class Tagged(Evaluation):
    """One that asked with tags too."""

    obedience: Tags


class Measured(Tagged):
    """That of a run that has just ended."""

    problems: list[Problem]


class Row(Checked):
    """What is kept of a seed."""

    seed: Annotated[int, Field(ge=0)]
    goals: dict[str, float]
    untouched: Routed
    before: Tagged
    after: Tagged
    unseen: Evaluation | None = None


def read(folder: Path) -> dict[str, Any]:
    """The evaluations of a run and its goals. Raises `UserError` where one is missing or of something else."""
    before, after = (_evaluation(folder / name, Measured, FINISHED) for name in ("eval_before.json", "eval.json"))
    untouched = read_object(folder / "eval_untouched.json", ["settings"], FINISHED)
    seed = read_object(folder / "config.json", ["seed"], FINISHED)["seed"]
    alone = untouched["settings"].get("auto") if isinstance(untouched["settings"], dict) else None
    row = {"seed": seed, "goals": {}, "untouched": alone, "before": before, "after": after}
    check(row, Row, folder, FINISHED)
    row["untouched"] = {key: alone[key] for key in ("accuracy", "mean_tokens", "think_rate")}
    pairs = paired(before, after)
    if {len(pairs)} != {before["n"], after["n"]} or list(before["by_difficulty"]) != list(after["by_difficulty"]):
        raise UserError(f"{folder} has other problems before RL than after; allowed: {FINISHED}")
    try:
        row["goals"] = goals(before, after, row["untouched"]["accuracy"])
        row["intervals"] = {name: bootstrap(pairs, measure)[1:] for name, measure in MEASURES.items()}
    except ZeroDivisionError as error:
        raise UserError(f"{folder} has thoughts of no token; allowed: {FINISHED}") from error
    if (folder / "unseen.json").is_file():
        row["unseen"] = _evaluation(
            folder / "unseen.json", Evaluation, "an evaluation of other problems, or no such file"
        )
        if row["unseen"]["by_difficulty"] == after["by_difficulty"]:
            raise UserError(f"{folder}/unseen.json is the evaluation of the test; allowed: one of other problems")
    return row


def goals(before: Mapping[str, Any], after: Mapping[str, Any], untouched: float) -> dict[str, float]:
    """The measures of the five goals, and what auto is above a router that thinks at random as often."""
    pairs = paired(before, after)
    auto = mean(after["problems"], "auto", CORRECT)
    return {
        "lost": max(lost(pairs), untouched - auto),
        "tokens": token_share(pairs),
        "captured": captured(pairs),
        "obeyed_no_think": after["obedience"]["no_think"],
        "obeyed_think": after["obedience"]["think"],
        "above_random": auto - random_mean(after["problems"], CORRECT),
    }


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows that this program wrote there, none where there is no file. Raises `UserError` for anything else."""
    if not file.exists():
        return []
    rows = read_object(file, ["seeds"], WRITTEN)["seeds"]
    if not isinstance(rows, list):
        raise UserError(f"{file} has no list of seeds; allowed: {WRITTEN}")
    for row in rows:
        check(row, Row, file, WRITTEN)
    return rows


def text_of(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON, a seed a line."""
    return '{"seeds": [\n' + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]}\n"


def check(found: Any, kind: type[Checked], place: Path, allowed: str) -> None:
    """Raises `UserError` that names the place and the first thing that is wrong there."""
    try:
        kind.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{dotted(first['loc'])}: " if first["loc"] else ""
        value = "" if first["type"] in ("value_error", "missing") else f"{str(first['input'])[:60]!r}: "
        raise UserError(f"{place}: {where}{value}{first['msg']}; allowed: {allowed}") from error


def _evaluation(file: Path, kind: type[Checked], allowed: str) -> dict[str, Any]:
    found = read_object(file, ["modes"], allowed)
    check(found, kind, file, allowed)
    return {key: found[key] for key in KEPT if key in found}
