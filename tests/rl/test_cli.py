"""What every script does before its work."""

from pathlib import Path

import pytest
from small_runs import settings

from rewards.sandbox import configure, pool
from rl.cli import check_light
from rl.config.read import parse_config


@pytest.fixture
def own_sandbox():
    yield
    configure()


def test_the_sandbox_takes_its_tier_from_the_configuration(tmp_path, own_sandbox):
    check_light(parse_config(settings(tmp_path, Path("tiny"), sandbox={"workers": 1, "tier": 2})))
    assert pool._state["pool"].tier == 2
