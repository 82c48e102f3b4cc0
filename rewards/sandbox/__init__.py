"""Run untrusted programs on tests and judge them from outside.

`run_tests(code, tests, limits)` is the whole interface; `configure` sets the number of workers and whether a weak
sandbox is accepted; `python -m rewards.sandbox` tests this machine. Inside: `judge` (verdicts), `session` (frames),
`pool` and `worker`, `server` (forks), `confine` (isolation), `program` and `checker` (a problem's two interpreters).
"""

from rewards.sandbox.judge import run_tests
from rewards.sandbox.limits import Limits, Result, SandboxError, SandboxUnavailable
from rewards.sandbox.pool import Pool, configure

__all__ = ["Limits", "Pool", "Result", "SandboxError", "SandboxUnavailable", "configure", "run_tests"]
