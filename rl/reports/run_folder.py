"""What can be read of a run folder; what is missing or cut short is named, never an exception.

The files may come from a killed run, another version or another machine: every line is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.reports.plots import Inputs
from rl.reports.tables import number, rows
from rollout.errors import UserError

FILES = ("config.json", "metrics.jsonl", "eval_before.json", "eval.json")
UNTOUCHED = "eval_untouched.json"  # only where there is such a model
EVALUATIONS = ("eval_before.json", "eval.json")


class ReportError(UserError):
    """A folder that holds no run; one line."""


@dataclass(frozen=True)
class Run:
    """What could be read of a run folder."""

    config: Mapping[str, Any]
    inputs: Inputs
    missing: Sequence[str]


def read_run(folder: Path) -> Run:
    """Everything readable, and a line for each thing that is not."""
    recorded = any((folder / "rollouts").glob("step_*.jsonl"))
    if not folder.is_dir():
        raise ReportError(f"no run folder {str(folder)!r} (looked in {Path.cwd()})")
    if not recorded and not any((folder / name).is_file() and not _is_model(folder / name) for name in FILES):
        raise ReportError(f"{str(folder)!r} holds no run; a run has some of {', '.join(FILES)} and rollouts/")
    missing: list[str] = []
    config, before, after = (read_table(folder / name, missing) for name in ("config.json", *EVALUATIONS))
    for name, result in zip(EVALUATIONS, (before, after), strict=True):
        absent = [row.label for row in rows(result, {}) if None in (row.accuracy[0], row.tokens[0])]
        missing += [f"{name}: no numbers for {', '.join(absent)}"] * bool(result and absent)
    records = [r for r in read_lines(folder / "metrics.jsonl", missing) if number(r, "step") is not None]
    untouched = read_table(folder / UNTOUCHED, missing) if (folder / UNTOUCHED).exists() else {}
    return Run(config, Inputs(records, before, after, untouched), missing)


def _is_model(path: Path) -> bool:
    """Whether a `config.json` is that of a saved model, which is no run."""
    table = read_json(read_text(path, [])) if path.name == "config.json" else None
    return bool(table) and any(key in (table or {}) for key in ("model_type", "architectures"))


def read_text(path: Path, missing: list[str]) -> str | None:
    """The contents of a file; None, with a line in `missing`, where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "unreadable"
        missing.append(f"{path.name}: {reason}")
        return None


def read_json(content: str | None) -> dict[str, Any] | None:
    """The mapping that a text holds, or None."""
    try:
        value = json.loads(content or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_table(path: Path, missing: list[str]) -> dict[str, Any]:
    """The mapping of a JSON file, empty where there is none."""
    content = read_text(path, missing)
    table = read_json(content)
    if content is not None and table is None:
        missing.append(f"{path.name}: cut short or no JSON mapping")
    return table or {}


def read_lines(path: Path, missing: list[str]) -> list[dict[str, Any]]:
    """The mappings of a jsonl file; how many could not be read goes to `missing`."""
    lines = [line for line in (read_text(path, missing) or "").split("\n") if line.strip()]
    records = [record for record in map(read_json, lines) if record is not None]
    if len(records) < len(lines):
        missing.append(f"{path.name}: {len(lines) - len(records)} unreadable line(s) left out")
    return records
