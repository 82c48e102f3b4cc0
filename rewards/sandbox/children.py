"""A child as the fork server sees it, and what the children of one role and one set of limits have in common.

Not covered: when a child is started or ended (`server.py`).
"""

from __future__ import annotations

import os
from typing import Any

from rewards.sandbox import checker, program
from rewards.sandbox import syscalls as sc
from rewards.sandbox.standard_modules import LIBRARY

_MOST_DESCRIPTORS = 4096  # those of a server and its children lie below
_ROLES = {"program": program.serve, "script": program.run_script, "checker": checker.serve}


class Plan:
    """What the children of one role under one set of limits have in common, prepared before they are forked."""

    def __init__(self, limits: dict[str, Any], role: str, steps: tuple[sc.Call, ...], descriptors: int) -> None:
        self.limits, self.steps = limits, steps
        self.serve, self.output = _ROLES[role], limits["output_kb"] << 10
        self._others = ((descriptors, LIBRARY - 1), (LIBRARY + 1, 0x7FFFFFFF))
        self._closing = [sc.prepare("close_range", first, last, 0) for first, last in self._others]

    def close_others(self) -> None:
        """Close every descriptor that is not the child's."""
        try:
            sc.make(*self._closing)
        except OSError:  # Linux before 5.9, or a container that bars the call
            for first, last in self._others:
                os.closerange(first, min(last + 1, _MOST_DESCRIPTORS))


class Child:
    """A running child and what it may use: `cpu_limit` is where its CPU clock may be at the end of the present test."""

    def __init__(self, number: int, pid: int, limits: dict[str, Any]) -> None:
        self.number, self.pid, self.limits, self.cpu_limit = number, pid, limits, limits["cpu_s"]
        self.reason, self.ended_at = "exit", 0.0


def pidfd_of(pid: int) -> int:
    """A descriptor of a process, which tells when it has ended."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError) as error:
        raise OSError(f"pidfd_open is missing (Linux before 5.3, or a container that bars it): {error}") from None
