"""No network, no telemetry, no W&B account; two threads at most, as on the smallest machine we promise to run on.

`--record FILE` writes what a run came to, for the tests that nobody runs before each commit.
"""

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import pytest

for name, value in {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}.items():
    os.environ.setdefault(name, value)


class Record:
    """The outcome and the seconds of each test, setup included, as a JSON file at the end of the session."""

    def __init__(self, file: Path) -> None:
        self.file, self.started = file, time.time()
        self.tests: dict[str, tuple[str, float]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test fails when any of its setup, call and teardown does, and is skipped when one is."""
        outcome, seconds = self.tests.get(report.nodeid, ("passed", 0.0))
        if outcome == "passed" or report.failed:
            outcome = report.outcome
        self.tests[report.nodeid] = (outcome, seconds + report.duration)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file; nothing where nothing ran, so that a wrong selection keeps the last result."""
        if not self.tests:
            return
        outcomes = [outcome for outcome, _ in self.tests.values()]
        result = {
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started),
            "cores": len(os.sched_getaffinity(0)),
            "versions": {"python": platform.python_version()} | {n: metadata.version(n) for n in ("torch", "trl")},
            "counts": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
            "tests": {name: [outcome, round(seconds, 1)] for name, (outcome, seconds) in sorted(self.tests.items())},
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(result, indent=2) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, metavar="FILE", help="write outcomes and seconds of the tests here")


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("--record"):
        config.pluginmanager.register(Record(file), "record")
