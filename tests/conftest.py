"""No network, no telemetry, no W&B account; two threads at most, as on the smallest machine we promise to run on.

`tests/end_to_end/test_demo.py` trains for minutes: its run is started first, on the second core, and its tests come
last.
"""

import os
import subprocess
import sys
import tempfile
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

ROOT = Path(__file__).parents[1]
REDUCED = (
    "data.shares={1: 0.66, 3: 0.34}",
    'data.hard=["3"]',
    "data.test_size=600",
    "evaluation.problems=600",
    "cold_start.steps=800",
    "trainer.steps=70",
    "wandb.mode=disabled",
)


class ReducedDemo:
    """`scripts/demo.py` on one and three operations only, in a process of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reduced-demo-"))
        command = [sys.executable, "scripts/demo.py", "configs/demo.yaml", f"run_dir={self.folder}", *REDUCED]
        with (self.folder / "log.txt").open("w") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "5", *command],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def wait(self, timeout_s: float) -> Path:
        """The run's folder once it is over."""
        code = self.process.wait(timeout_s)
        assert code == 0, (self.folder / "log.txt").read_text()[-2000:]
        return self.folder

    def stop(self) -> None:
        """End the run, whatever it is doing."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the run when it is asked for, and put its tests last."""
    slow = [item for item in items if item.path.name == "test_demo.py"]
    items[:] = [item for item in items if item not in slow] + slow
    if slow and not config.option.collectonly:
        config.stash[DEMO] = ReducedDemo()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no process behind."""
    if DEMO in config.stash:
        config.stash[DEMO].stop()


DEMO = pytest.StashKey[ReducedDemo]()


@pytest.fixture(scope="session")
def reduced_demo(pytestconfig: pytest.Config) -> ReducedDemo:
    """The run that was started with the session."""
    return pytestconfig.stash[DEMO]
