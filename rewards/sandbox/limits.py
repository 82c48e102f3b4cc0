"""What one program may use (`Limits`), what the judge says of it (`Result`), and the two errors of the machinery.

Not covered here: how the limits are enforced (`confine.py`, `server.py`, `clock.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


class SandboxError(RuntimeError):
    """The machinery broke; the program was not judged."""


class SandboxUnavailable(SandboxError):  # noqa: N818 - the name says what is wrong
    """This machine cannot isolate programs well enough, and `allow_weak` was not given."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one problem. `cpu_s` is CPU seconds of each test (loading counts to the first); `wall_s` is for all
    tests together what their programs may spend neither computing nor waiting for a processor, so that a busy machine
    does not change a verdict. A test that passes either ends the problem. The others hold for each process."""

    cpu_s: float = 8.0
    wall_s: float = 10.0
    memory_mb: int = 512
    output_kb: int = 1024
    processes: int = 1
    threads: int = 16
    files: int = 64
    files_mb: int = 16

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
                raise ValueError(f"Limits.{f.name}={value!r}: a positive number is allowed")
            if f.type == "int" and not isinstance(value, int):
                raise ValueError(f"Limits.{f.name}={value!r}: a whole number is allowed")

    def as_dict(self) -> dict[str, Any]:
        """The plain dict that travels to the fork server."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Result:
    """The verdict on one program.

    `passed` has one bool per test. `status` says how the run ended: "ok" (every test got its answer, right or wrong),
    "error" (the program did not load, raised, or died), "timeout", "memory", "output" (printed or returned too much),
    "disk" (wrote too much), "refused" (empty, or too long to run). `detail` is a bounded text for people: the first
    failure. `stdout` and `stderr` are bounded tails of what the program printed.
    """

    passed: list[bool]
    status: str = "ok"
    detail: str = ""
    stdout: str = ""
    stderr: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
