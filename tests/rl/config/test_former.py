"""Settings of earlier versions: left out with a warning, or refused with what stands in their place."""

import logging

import pytest

from rl.config.describe import document
from rl.config.former import FORMER
from rl.config.read import parse_config
from rl.config.schema import Config, ConfigError


@pytest.mark.parametrize(
    ("raw", "place", "instead"),
    [
        ({"guard": {"action": "balance"}}, "guard.action", "algorithm.balance"),
        ({"guard": {"action": "stop"}}, "guard.action", "log"),
        ({"rewards": [{"name": "math"}, {"name": "judge", "target": "soft"}]}, r"rewards\[1\].target", "group"),
        (
            {"rewards": [{"name": "judge", "margin": {"start": 0.1, "change": 0.02}}]},
            r"rewards\[0\].margin",
            "{start, end, steps}",
        ),
    ],
)
def test_what_would_change_the_run_is_refused_with_what_stands_in_its_place(raw, place, instead):
    with pytest.raises(ConfigError, match=rf"^{place} .*{instead}"):
        parse_config(raw)


def test_what_changes_nothing_is_left_out_with_a_warning(caplog):
    raw = {"rewards": [{"name": "judge", "tau": 0.3}, {"name": "math", "tau": 1}]}
    with caplog.at_level(logging.WARNING):
        config = parse_config(raw)
    assert config.rewards == [{"name": "judge"}, {"name": "math", "tau": 1}]
    assert [record.getMessage().split()[0] for record in caplog.records] == ["rewards[0].tau"]
    assert raw["rewards"][0] == {"name": "judge", "tau": 0.3}


def test_present_settings_are_no_former_ones(caplog):
    parse_config({"guard": {"action": "floor"}, "rewards": [{"name": "judge", "target": "label", "margin": 0.1}]})
    assert caplog.records == []


def test_the_reference_lists_them_all():
    listed = document(Config).partition("## Settings of earlier versions")[2]
    assert [f"`{one.place}` | `{one.value}`" in listed for one in FORMER] == [True] * len(FORMER)
