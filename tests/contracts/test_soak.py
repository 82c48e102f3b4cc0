"""The long run's arithmetic, and the long run in short."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

import pytest
from small_runs import ROOT, environment

SOAK = ROOT / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def slope():
    return runpy.run_path(str(SOAK), run_name="soak")["slope"]


def test_growth_is_found_and_a_wave_is_none(slope):
    # One more every ten seconds is 360 an hour; the first fifth of 1,000 s is left out.
    grown = slope([(float(t), 50 + t / 10) for t in range(1001)])
    assert (grown["slope_per_hour"], grown["low"], grown["high"]) == pytest.approx((360, 360, 360))
    assert grown["growth"] == pytest.approx(76, abs=0.5)  # between the middles of the first and the last stretch
    assert grown["most"] == 150
    wave = slope([(float(t), 50 + t % 7) for t in range(1001)])
    assert wave["low"] < 0 < wave["high"]


def test_what_is_there_before_the_first_fifth_is_no_growth(slope):
    warm = slope([(float(t), min(t, 100.0)) for t in range(1001)])
    assert (warm["slope_per_hour"], warm["level"]) == (0, 100)


def test_too_few_samples_have_no_slope(slope):
    assert slope([(float(t), 1.0) for t in range(30)])["slope_per_hour"] is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_soak_trains_judges_and_keeps_its_checkpoints_through_kills(tmp_path):
    command = [sys.executable, str(SOAK), "--minutes", "0.2", "--programs", "40", "--kills", "2"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "soak.json")],
        env=environment(), capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["case"]: row for row in json.loads((tmp_path / "soak.json").read_text())["rows"]}
    assert rows["training, steps"]["count"] > 2
    judged = rows["programs, judged"]
    assert (judged["count"], judged["wrong_verdicts"]) == (40, 0)
    kills = rows["kills, checkpoints left"]
    assert max(kills["after_each"]) <= 3
    assert 1 <= kills["complete_at_the_end"] <= kills["keep_checkpoints"] == 2
