"""The recorded rollouts of a run as data for the page: an even sample, bounded, as JSON that no text can leave."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rl.reports.tables import number, show
from rl.statistics.names import level_order
from rollout.printable import printable
from rollout.types import Rollout, rollout_from_json

MOST_ROLLOUTS = 2000
MOST_BYTES = 12 << 20
TEXT_LIMIT, NAME_LIMIT = 4000, 60
LONGEST_LINE = 4 << 20


@dataclass(frozen=True)
class Sample:
    """What the browser shows: how many of how many, and the data as JSON."""

    shown: int
    total: int
    data: Markup


def sample(folder: Path, missing: list[str], most: int = MOST_ROLLOUTS) -> Sample:
    """An even sample of `rollouts/step_*.jsonl` over all steps; lines that are no rollouts go to `missing`."""
    files = sorted((folder / "rollouts").glob("step_*.jsonl"), key=lambda file: level_order(file.stem))
    if not files:
        missing.append("rollouts/: no recorded step")
    unreadable = [file.name for file in files if not os.access(file, os.R_OK) or not file.is_file()]
    missing += [f"{name}: unreadable" for name in unreadable]
    files = [file for file in files if file.name not in unreadable]
    counts = [_count(file) for file in files]
    total, every, place = sum(counts), max(1, -(-sum(counts) // most)), 0
    chosen: list[dict[str, Any]] = []
    for file, count in zip(files, counts, strict=True):
        bad = 0
        for line in islice(_lines(file), (-place) % every, None, every):
            entry = _entry(line, file.stem)
            bad += entry is None
            if entry is not None:
                chosen.append(entry)
        place += count
        missing += [f"{file.name}: {bad} unreadable line(s) left out"] * bool(bad)
    # Where even these are too much for a page, fewer of all steps.
    sizes = [len(json.dumps(entry)) for entry in chosen]
    stride = next((k for k in range(1, len(sizes)) if sum(sizes[::k]) <= MOST_BYTES), len(sizes) or 1)
    chosen = chosen[::stride]
    return Sample(len(chosen), total, as_script(chosen))


def as_script(data: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def entry_of(rollout: Rollout, step: str) -> dict[str, Any]:
    """One rollout: what was asked, decided, thought, answered, and how it was scored."""
    problem, scores = rollout.problem, rollout.scores if isinstance(rollout.scores, Mapping) else {}
    mode = {"think": "think", "no_think": "direct"}.get(str(rollout.mode), "no mode")
    right = number(scores, "correct")
    outcome = "unscored" if right is None else "right" if right >= 1 else "wrong"
    difficulty = "" if problem.difficulty is None else _clean(problem.difficulty, NAME_LIMIT)
    at = int(step.rpartition("_")[2]) if step.rpartition("_")[2].isdecimal() else 0
    badges = [
        f"step {at}",
        mode,
        "forced" if rollout.forced else "chosen",
        _clean(rollout.status, NAME_LIMIT),
    ]
    badges += [outcome, f"{len(rollout.completion_ids)} tokens"]
    badges += [f"level {difficulty}"] * bool(difficulty)
    parts = [("problem", problem.prompt), ("judge", rollout.judge_text), ("thinking", rollout.think_text)]
    parts += [("answer", rollout.answer_text), ("gold answer", problem.answer or ""), ("scores", _scores(scores))]
    return {
        "step": at,
        "difficulty": difficulty or "none",
        "mode": mode,
        "outcome": outcome,
        "badges": badges,
        "parts": [[name, _clean(value, TEXT_LIMIT)] for name, value in parts if value],
    }


def _entry(line: bytes, step: str) -> dict[str, Any] | None:
    try:
        return entry_of(rollout_from_json(json.loads(line[:LONGEST_LINE])), step[:NAME_LIMIT])
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return None


def _scores(scores: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {show(number(scores, key), '.3g')}" for key in islice(scores, 24))


def _clean(value: object, limit: int) -> str:
    return printable(str(value), limit, keep="\n\t")


def _count(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 20), b""))


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from (line for line in lines if line.endswith(b"\n"))


def shown_settings(config: Mapping[str, Any], keys: Sequence[str]) -> list[tuple[str, str]]:
    """The settings that shape a run, as far as they were recorded."""
    found = []
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found.append((key, _clean(value if isinstance(value, str) else json.dumps(value), 300)))
    return found
