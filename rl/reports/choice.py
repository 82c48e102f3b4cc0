"""What a model's choice is worth, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl.statistics.names import MODE_LABELS
from rollout.printable import printable

WAYS = {**MODE_LABELS, "oracle": "router: oracle", "random": "router: random", "length": "router: length"}
MEASURES = {
    "regret": "regret, U(oracle) − U(auto)",
    "no_worse": "problems where the choice was no worse",
    "gain": "accuracy over random at the same rate",
    "saving": "share of the oracle's saving",
}


def choice_lines(result: Mapping[str, Any]) -> list[str]:
    """Every way to choose, the measures of the choice, and the areas, with 95 % intervals over the problems."""
    choice = result.get("choice")
    if not choice:
        return []
    lines = [f"{result['n']} problems, {result['samples']} answers of each mode, 95 % intervals over the problems"]
    for name, label in WAYS.items():
        way = choice["ways"][name]
        lines.append(f"{label:<18} accuracy {spread(way['accuracy'], '.3f')}   tokens {spread(way['tokens'], '.1f')}")
    lines += [f"{label}: {spread(choice[name], '.3f')}" for name, label in MEASURES.items()]
    return lines + area_lines(result.get("dial") or {})


def curve_lines(dial: Any) -> list[str]:
    """The areas and the dial of an evaluation file, which may hold anything."""
    try:
        return [*area_lines(dial), *dial_lines(dial)] if isinstance(dial, Mapping) else []
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def area_lines(dial: Mapping[str, Any]) -> list[str]:
    """AIQ beside random mixing and the oracle; APGR where the modes differ."""
    lines = []
    aiq = dial.get("aiq") or {}
    if aiq.get("dial") is not None:
        lines.append(f"AIQ {aiq['dial']:.3f} (random mixing {aiq['random']:.3f}, oracle {aiq['oracle']:.3f})")
    if dial.get("apgr") is not None:
        lines.append(f"APGR {dial['apgr']:.3f}")
    return lines


def dial_lines(dial: Mapping[str, Any]) -> list[str]:
    """What a picked threshold gives on the held-out half, or a given one on all problems."""
    if "picked" in dial:
        held, head = dial["picked"]["held_out"], f"dial {dial['picked']['tau']:.4f} for {dial['picked']['target']!r}"
        always = ", ".join(spread(held["always_think"][name], ".3f") for name in ("accuracy", "tokens"))
        line = f"{head}, on the {held['n']} problems of the other half: {_at(held)} (always think: {always})"
        saving = held.get("saving")  # dials picked by earlier versions have none
        return [line if saving is None else f"{line}, {saving:.1%} of the oracle's saving"]
    return [f"dial {dial['at']['tau']:.4f}: {_at(dial['at'])}"] if "at" in dial else []


def budget_lines(result: Mapping[str, Any]) -> list[str]:
    """Accuracy against thinking budget, a line a point."""
    lines = []
    for at in result.get("budget") or ():
        told = [
            f"{MODE_LABELS[name]} accuracy {spread(at[name]['accuracy'], '.3f')} tokens "
            f"{spread(at[name]['tokens'], '.1f')} ({at[name]['closed']:.1%} of the thoughts closed)"
            for name in ("think", "auto")
            if at.get(name)
        ]
        lines.append(f"budget {at['budget']}: {'; '.join(told) or 'nothing measured'}")
    return lines


def setting_lines(result: Mapping[str, Any]) -> list[str]:
    """Tags obeyed; of a server or of records what each setting has, and what was refused."""
    lines = [f"tag for {mode}: obeyed by {share:.1%}" for mode, share in result.get("obedience", {}).items()]
    if "settings" in result:
        for name, row in result["settings"].items():
            lines.append(
                f"{MODE_LABELS[name]}: {row['n']} answers, accuracy {row['accuracy']:.3f}, tokens "
                f"{row['mean_tokens']:.1f}, thinks in {row['think_rate']:.1%}"
            )
        for name, count in result.get("disobeyed", {}).items():
            lines.append(
                f"{MODE_LABELS[name]}: {count} answers came in the other mode and count for no mode and no router; is "
                "it asked for as the model expects (protocol.tags, or --switch NAME)?"
            )
        lines += [f"refused: {count} × {printable(reason, 300)}" for reason, count in result["refused"].items()]
        if result.get("repeated"):
            lines.append(f"{result['repeated']} records repeat another word for word; each counts as an answer")
        lines.append("no P(think) here: the dial is left out")
    return lines


def _at(point: Mapping[str, Any]) -> str:
    accuracy, tokens = spread(point["accuracy"], ".3f"), spread(point["tokens"], ".1f")
    return f"accuracy {accuracy}, tokens {tokens}, thinks on {point['think_rate']:.1%}"


def spread(numbers: Sequence[float], spec: str) -> str:
    """A value with its interval.

    >>> spread([0.5, 0.4, 0.6], ".1f")
    '0.5 [0.4, 0.6]'
    """
    value, low, high = numbers
    return f"{value:{spec}} [{low:{spec}}, {high:{spec}}]"
