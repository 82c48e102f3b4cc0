"""Test the sandbox on this machine: which tiers work, and whether a few typical attacks fail on each.

    python -m rewards.sandbox

Exit code 0 if some safe tier works and withstood everything, else 1. Not covered: the whole attack suite, which is
`pytest tests/sandbox`.
"""

from __future__ import annotations

import os
import platform
import sys
import time

from rewards.sandbox.judge import run_tests
from rewards.sandbox.landlock import version
from rewards.sandbox.limits import Limits, SandboxError
from rewards.sandbox.pool import TIERS, Pool

_RIGHT = "def f(x):\n    return x + 1\n"
_DENIED = "\ndef f(x):\n    try: attack(x)\n    except OSError: return 3\n    return 'got through'\n"

# Program, whether it should pass a test that expects f(2) == 3.
_CHECKS = {
    "a right program passes": (_RIGHT, True),
    "a wrong program fails": ("def f(x):\n    return x + 2\n", False),
    "an always-equal object fails": ("class E:\n    def __eq__(s, o): return True\ndef f(x): return E()", False),
    "leaving with exit code 0 fails": ("import os\ndef f(x): os._exit(0)", False),
    "an endless loop is stopped": ("def f(x):\n    while True: pass", False),
    "memory is bounded": ("def f(x): return bytearray(4 << 30) and 3", False),
    "files are out of reach": ("def attack(x): open('/etc/passwd')" + _DENIED, True),
    "sockets are out of reach": ("import socket\ndef attack(x): socket.socket()" + _DENIED, True),
    "other processes are out of reach": (f"import os\ndef attack(x): os.kill({os.getpid()}, 0)" + _DENIED, True),
    "other programs cannot be started": ("import os\ndef attack(x): os.execv('/bin/sh', ['sh'])" + _DENIED, True),
    "forking is refused": ("import os\ndef attack(x): os.fork()" + _DENIED, True),
}
_FORMS = ({"call": "f", "args": [2], "expected": 3}, {"assert": "assert f(2) == 3"})
_LIMITS = Limits(cpu_s=0.5, wall_s=2.0, memory_mb=256)
_SLACK_S = 0.1


def _check_tier(tier: int) -> bool | None:
    """Whether every check held; None where the machine does not have this tier."""
    pool = Pool(workers=1, tier=tier)
    try:
        pool.tier  # noqa: B018 - starts the worker
    except SandboxError as error:
        print(f"tier {tier}  not available: {error}")
        return None
    print(f"tier {tier}  {TIERS[tier]}")
    held = True
    for name, (code, passes) in _CHECKS.items():
        result = run_tests(code, _FORMS, _LIMITS, pool)
        good = result.passed == [passes, passes] and result.cpu_s < len(_FORMS) * (_LIMITS.cpu_s + _SLACK_S)
        held = held and good
        print(f"        {'ok  ' if good else 'FAIL'} {name}{'' if good else f': {result}'}")
    start, count = time.perf_counter(), 100
    for _ in range(count):
        run_tests(_RIGHT, _FORMS[:1], _LIMITS, pool)
    print(f"        {count / (time.perf_counter() - start):.0f} trivial programs a second with one worker")
    pool.close()
    return held


def main() -> int:
    """Report every safe tier; 0 if the best one holds."""
    print(f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}, Landlock {version()}")
    results = {tier: _check_tier(tier) for tier in (1, 2)}
    available = [tier for tier, held in results.items() if held is not None]
    if not available:
        print("no safe tier: programs are refused unless the config says sandbox: {allow_weak: true}")
        return 1
    print(f"tier {available[0]} is used" if all(results[t] for t in available) else "the sandbox does NOT hold here")
    return 0 if all(results[t] for t in available) else 1


if __name__ == "__main__":
    sys.exit(main())
