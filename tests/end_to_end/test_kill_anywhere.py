"""kill -9 at twenty random moments, while checkpoints are written and in the final save among them: on one rank and on
two, full and with adapters, the run ends with the weights and the metrics of an unbroken one, bit for bit."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

import pytest
from small_runs import Started, metrics, save_policy, settings, started, write_config

from rl.training.checkpoints import COMPLETE, last_complete, step_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
KILLS, STEPS = 20, 16
PLUG_IN = "def varied(rollout):\n    return sum(rollout.completion_ids) % 7 / 7\n"


def make_config(tmp_path: Path, rank: int) -> Path:
    (tmp_path / "plug_in.py").write_text(PLUG_IN)
    raw = settings(
        tmp_path / "unused",
        save_policy(tmp_path / "policy"),
        model={"lora": {"rank": rank}},
        rewards=[{"name": "judge"}, {"name": "math"}, {"name": f"{tmp_path}/plug_in.py:varied", "timeout_s": 30}],
        trainer={"steps": STEPS, "save_every": 1, "learning_rate": 1e-2},
    )
    return write_config(tmp_path / "config.json", raw)


def half_written(run: Path) -> list[Path]:
    return [path for path in run.glob("checkpoints/checkpoint-*") if not (path / COMPLETE).is_file()]


def kill_somewhere(process: Started, run: Path, rng: random.Random, final: bool) -> bool:
    """Kill at a random moment after some step's checkpoint was begun, or after the final save was; whether it hit."""
    known = last_complete(run / "checkpoints")
    step = step_of(known) if known else 0
    final = final or step == STEPS
    goal = run / "model.part" if final else run / "checkpoints" / f"checkpoint-{min(step + rng.randint(1, 2), STEPS)}"
    left = goal.exists()  # by the kill before: it is removed and made anew
    process.wait_until(lambda: not goal.exists() if left else True)
    if not process.wait_until(goal.exists):
        return False
    time.sleep(rng.uniform(0, 0.01) if final else rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.2))))
    hit = process.alive()
    ranks = len(process.processes)
    process.send(signal.SIGKILL, [rng.randrange(ranks)] if rng.random() < 0.3 else None)
    for one in process.processes:
        one.join(60)
    assert not process.alive()  # a rank that lost the other ends too
    return hit


@pytest.mark.parametrize("adapters", [0, 4], ids=["full", "lora"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_killed_twenty_times_ends_as_an_unbroken_one(tmp_path, ranks, adapters):
    config, whole, broken = make_config(tmp_path, adapters), tmp_path / "whole", tmp_path / "broken"
    with started("train.py", str(config), f"run_dir={whole}", ranks=ranks) as process:
        assert [rank.returncode for rank in process.ended()] == [0] * ranks
    rng, hits, halves, finals, named = random.Random(f"{ranks}-{adapters}"), 0, 0, 0, 0
    for number in range(KILLS):
        left = half_written(broken)
        with started("train.py", str(config), f"run_dir={broken}", ranks=ranks) as process:
            hits += kill_somewhere(process, broken, rng, final=number >= KILLS - 4)
            told = process.files[0][0].read_text()
        named += sum(f"{path} was not written to its end" in told for path in left)
        # Only what was there in full is ever gone on from.
        resumed = re.findall(r"resuming from (\S+)", told)
        assert not set(resumed) & {str(path) for path in left}
        halves += len(left)
        finals += (broken / "model.part").exists()
    with started("train.py", str(config), f"run_dir={broken}", ranks=ranks) as process:
        results = process.ended()
    assert [rank.returncode for rank in results] == [0] * ranks, results[0].stderr[-2000:]
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, broken)]
    assert weights[0] == weights[1]
    assert metrics(broken) == metrics(whole)
    assert not half_written(broken)
    print(f"{hits} kills hit, {halves} left half a checkpoint, {finals} half a final model")
    assert hits >= KILLS - 3
    assert halves >= 3
    assert named >= halves - 2  # a run that was killed before it looked did not name it
    assert finals >= 1
