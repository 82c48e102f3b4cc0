"""The demo in small, by its own commands and with its own thresholds: one easy and one hard level, fewer steps."""

from __future__ import annotations

import json

import pytest

from rl.goals import goals
from tests.small_runs import script

SMALLER = (
    'data.shares={"1": 0.66, "3": 0.34}',
    'data.hard=["3"]',
    "data.test_size=400",
    "evaluation.problems=400",
    'cold_start.shares={"1": 0.4, "3": 0.6}',
    "cold_start.steps=550",
    "cold_start.problems=15000",
    "trainer.steps=60",
    "rollout.max_new_tokens=40",
    "wandb.mode=disabled",
)


@pytest.mark.timeout(600)
def test_reinforcement_learning_alone_teaches_when_to_think(tmp_path):
    done = script("demo.py", "configs/demo.yaml", f"run_dir={tmp_path}", *SMALLER, timeout=590)
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("eval_before.json", "eval.json"))
    failed = [f"{name}: {detail}" for name, passed, detail in goals(before, after) if not passed]
    assert failed == [], done.stdout[-3000:]
