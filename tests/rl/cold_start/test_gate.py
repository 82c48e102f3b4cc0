"""The gate between cold start and RL: limits by hand, a real policy, and RL that refuses to begin."""

from __future__ import annotations

import json

import pytest
from small_runs import save_policy, small_config

from rl.cold_start.gate import Probe, check_gate, is_open, judge_probe, lines, run_gate
from rl.cold_start.work import gate_work
from rl.config.cold_start import GateConfig
from rl.config.schema import ConfigError
from rl.files.finished import read_record
from rl.models.location import trained_path

GOOD = Probe(64, {"think": 0.5, "no_think": 0.4}, {"think": 0.9, "no_think": 0.3}, {"think": 1.0, "no_think": 1.0})


def changed(**fields):
    return Probe(**{**vars(GOOD), **fields})


def test_a_policy_that_can_do_both_passes():
    assert judge_probe(GOOD, GateConfig()) == []
    assert judge_probe(changed(obedience={}), GateConfig()) == []


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        (
            {"switch_probability": {"think": 0.999, "no_think": 0.2}},
            "switch probability of think is 0.999; allowed: 0.05 to 0.95; try more examples",
        ),
        (
            {"switch_probability": {"think": 0.5, "no_think": 0.001}},
            "switch probability of no_think is 0.001; allowed: 0.05 to 0.95; try more examples",
        ),
        (
            {"accuracy": {"think": 0.0, "no_think": 0.3}},
            "accuracy of think is 0.000; allowed: 0.05 or more; try a longer",
        ),
        (
            {"obedience": {"think": 1.0, "no_think": 0.5}},
            "obedience of no_think is 0.500; allowed: 0.8 or more; try more",
        ),
    ],
)
def test_each_limit_names_what_was_measured_and_what_to_change(fields, failure):
    (found,) = judge_probe(changed(**fields), GateConfig())
    assert found.startswith(failure)


def test_limits_are_inclusive_and_a_mode_without_a_floor_is_not_judged():
    limits = GateConfig(min_switch_probability=0.4, max_switch_probability=0.5, min_accuracy={"no_think": 0.3})
    assert judge_probe(changed(accuracy={"think": 0.0, "no_think": 0.3}), limits) == []


def test_rl_does_not_begin_on_a_model_that_failed_its_gate(tmp_path):
    gate = {"problems": 4, "min_switch_probability": 0.0, "max_switch_probability": 1.0}
    config = small_config(
        tmp_path,
        save_policy(tmp_path / "policy"),
        cold_start={"gate": {**gate, "min_accuracy": {"think": 0.0, "no_think": 0.5}}},
    )
    check_gate(config)  # nothing was fine-tuned: there is no gate
    assert trained_path(config) == str(tmp_path / "policy")
    save_policy(tmp_path / "cold_start" / "model")
    assert trained_path(config) == str(tmp_path / "cold_start" / "model")
    with pytest.raises(ConfigError, match=r"has not been through its gate; allowed: scripts/cold_start\.py"):
        check_gate(config)
    (failure,) = run_gate(config)
    assert failure.startswith("accuracy of no_think is 0.000; allowed: 0.5 or more")
    with pytest.raises(ConfigError, match=r"has failed its gate \(accuracy of no_think .*cold_start\.gate\.problems=0"):
        check_gate(config)
    record = json.loads((tmp_path / "cold_start" / "gate.json").read_text())
    assert record["problems"] == 4
    assert record["accuracy"] == {"think": 0.0, "no_think": 0.0}
    assert lines(record)[0].startswith("gate, no_think: switch probability ")
    check_gate(small_config(tmp_path, tmp_path / "policy", cold_start={"gate": {"problems": 0}}))


def test_the_limits_of_a_gate_are_applied_to_what_was_measured_and_another_model_is_measured_anew(tmp_path):
    gate = {"problems": 4, "min_switch_probability": 0.0, "max_switch_probability": 1.0, "min_accuracy": {"think": 0.5}}
    policy = save_policy(tmp_path / "policy")
    config = small_config(tmp_path, policy, cold_start={"gate": gate})
    save_policy(tmp_path / "cold_start" / "model")
    assert len(run_gate(config)) == 1
    measured = (tmp_path / "cold_start" / "gate.json").read_bytes()
    lenient = small_config(tmp_path, policy, cold_start={"gate": {**gate, "min_accuracy": {}}})
    assert run_gate(lenient) == []
    assert is_open(lenient)
    assert not is_open(config)
    assert (tmp_path / "cold_start" / "gate.json").read_bytes() == measured
    save_policy(tmp_path / "cold_start" / "model", seed=1)
    assert not is_open(lenient)
    with pytest.raises(ConfigError, match=r"gate\.json was measured on another model"):
        check_gate(lenient)
    before = read_record(gate_work(lenient))
    run_gate(lenient)
    assert read_record(gate_work(lenient)) != before
    assert len(list((tmp_path / "cold_start" / "old").glob("*/gate.json"))) == 1
    check_gate(lenient)


def test_floors_are_for_the_two_modes():
    with pytest.raises(ConfigError, match=r"min_accuracy is .*; allowed: 0 to 1 for no_think, think"):
        small_config("run", "policy", cold_start={"gate": {"min_accuracy": {"thinking": 0.1}}})
