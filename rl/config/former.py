"""Settings of earlier versions that are gone, and what stands in their place.

One that changes nothing any more is left out with a warning; one that asks for what is gone is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rl.config.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Former:
    """`place` is the dotted key, `NAME: KEY` for a parameter of the reward NAME; `value` what is gone, as text for
    readers, which `is_gone` recognises; `instead` what stands in its place. `refused`: whether the run would be
    another one without it."""

    place: str
    value: str
    instead: str
    is_gone: Callable[[Any], bool]
    refused: bool = True


FORMER = (
    Former(
        "guard.action",
        "balance",
        "algorithm.balance of step_srpo, which weighs the two targets from the first step on",
        lambda value: value == "balance",
    ),
    Former(
        "guard.action",
        "stop",
        "log: an alarm is a line, a W&B alert and the metric guard/alarms",
        lambda value: value == "stop",
    ),
    Former("judge: target", "soft", "group, or label", lambda value: value == "soft"),
    Former(
        "judge: margin",
        "{start, change}",
        "a number, or {start, end, steps}",
        lambda value: isinstance(value, Mapping) and "change" in value,
    ),
    Former("judge: tau", "any", "nothing: it belonged to the target soft", lambda value: True, refused=False),
)


def without_former(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings without those that are gone. Raises `ConfigError` naming what stands in a gone one's place."""
    for former in FORMER:
        for place, section, key in list(_found(raw, former)):
            line = f"{place} is {section[key]!r}, which is gone; in its place: {former.instead}"
            if former.refused:
                raise ConfigError(line)
            logger.warning("%s", line)
            del section[key]
    return raw


def _found(raw: Mapping[str, Any], former: Former) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(place, section, key) of every setting that is this one."""
    name, colon, key = former.place.partition(": ")
    sections: list[tuple[str, Any]]
    if colon:
        rewards = raw.get("rewards")
        named = enumerate(rewards) if isinstance(rewards, list) else ()
        sections = [(f"rewards[{i}]", one) for i, one in named if isinstance(one, dict) and one.get("name") == name]
    else:
        section, _, key = former.place.rpartition(".")
        sections = [(section, raw.get(section))]
    for place, one in sections:
        if isinstance(one, dict) and key in one and former.is_gone(one[key]):
            yield f"{place}.{key}", one, key
