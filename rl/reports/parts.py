"""What an evaluation says of each mode besides accuracy: where its tokens go, what was cut or malformed, pass@k, and
the reasoning that hides in direct answers; and its tables by domain and source. An evaluation may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl.reports.tables import number, printable, show
from rl.statistics.names import MODE_LABELS, level_order
from rollout.types import MODES

COLUMNS = {
    "judge": (".1f", ("tokens", "judge")),
    "thinking": (".1f", ("tokens", "thinking")),
    "answer": (".1f", ("tokens", "answer")),
    "truncated": (".1%", ("truncated",)),
    "malformed": (".1%", ("format_failures",)),
    "hides reasoning": (".1%", ("hidden_reasoning", "share")),
    "tokens of those": (".1f", ("hidden_reasoning", "mean_tokens")),
}
GROUPS = {"domain": "by_domain", "source": "by_source"}
MOST = 40  # rows of a table
UNDECIDED = 0.01


def part_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(head, one row a mode); no rows where nothing of it was measured."""
    places = {**COLUMNS, **{key: (".3f", (key,)) for key in pass_names(result)}}
    body = []
    for name, label in MODE_LABELS.items():
        values = [(number(result, "modes", name, *path), spec) for spec, path in places.values()]
        if any(value is not None for value, _ in values):
            body.append([label, *(show(value, spec) for value, spec in values)])
    used = [place for place in range(len(places) + 1) if place == 0 or any(row[place] != "–" for row in body)]
    return [["", *places][place] for place in used], [[row[place] for place in used] for row in body]


def part_lines(result: Mapping[str, Any]) -> list[str]:
    """The same for a terminal."""
    head, body = part_table(result)
    widths = [max(22, len(head[0])), *(len(name) + 2 for name in head[1:])]
    table = [
        "".join(f"{row[0]:<22}" if k == 0 else f"{cell:>{widths[k]}}" for k, cell in enumerate(row))
        for row in [head, *body]
    ]
    seconds = number(result, "seconds")
    measured = [f"measured in {seconds:.0f} s"] if seconds is not None else []
    return [*(["", *table] if body else []), *undecided_lines(result), *measured]


def undecided_lines(result: Mapping[str, Any]) -> list[str]:
    """A line where free answers are malformed and forced ones are not, as on prompts so unlike those of training that
    the most likely token is neither switch."""
    auto, *forced = (number(result, "modes", mode, "format_failures") for mode in ("auto", *MODES))
    if auto is None or any(share is None for share in forced):
        return []
    excess = auto - max(share for share in forced if share is not None)
    if excess < UNDECIDED:
        return []
    return [
        f"{excess:.1%} of the problems have malformed answers of auto alone: where it writes neither switch, the dial "
        "still decides, it compares the two (--dial 0.5)"
    ]


def pass_names(result: Mapping[str, Any]) -> list[str]:
    """The keys pass@k that an evaluation has."""
    modes = result.get("modes")
    tables = [row for row in modes.values() if isinstance(row, Mapping)] if isinstance(modes, Mapping) else []
    return sorted({str(key)[:12] for row in tables for key in row if str(key).startswith("pass@")})[:3]


def group_rows(result: Mapping[str, Any], kind: str) -> list[list[str]]:
    """One row a domain or source: problems, accuracy of each mode, auto's tokens and think rate. None where there is
    one alone."""
    table = result.get(GROUPS[kind])
    if not isinstance(table, Mapping) or len(table) < 2:
        return []
    body = []
    for name in sorted(map(str, table), key=level_order)[:MOST]:
        group = table.get(name)
        accuracies = [show(number(group, mode, "accuracy"), ".3f") for mode in MODE_LABELS]
        tokens, rate = (number(group, "auto", key) for key in ("mean_tokens", "think_rate"))
        cells = [show(number(group, "n"), ".0f"), *accuracies, show(tokens, ".1f"), show(rate, ".1%")]
        body.append([printable(name, 60), *cells])
    return body
