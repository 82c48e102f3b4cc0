"""What is told of a run that cannot learn, and when."""

import pytest

from rl.training.alarms import PATIENCE, Alarms, uninformative_line

GOOD = {
    "groups/informative": 0.5,
    "accuracy/think": 0.9,
    "accuracy/no_think": 0.4,
    "accuracy/gain": 0.5,
    "loss": 0.1,
    "score/math": 0.6,
}


def told(metrics, steps=PATIENCE, alarms=None):
    alarms = alarms or Alarms()
    return [line for _ in range(steps) for line in alarms.observe(metrics)]


def test_a_run_that_learns_tells_nothing():
    assert told(GOOD, 50) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"groups/informative": 0.0}, "no group has had an advantage"),
        ({"accuracy/think": 0.0, "accuracy/no_think": 0.0}, "neither mode has solved a problem"),
        ({"accuracy/gain": 0.02}, "thinking has not been better"),
        ({"accuracy/no_think": 0.0}, "no direct answer has been right"),
        ({"status/truncated": 0.3}, "have been cut"),
        ({"reward/broken_share": 1.0}, "every reward has failed"),
        ({"score/math": 0.0}, "the reward 'math' has paid nothing"),
    ],
)
def test_what_lasts_is_told_once(change, text):
    assert told({**GOOD, **change}, PATIENCE - 1) == []
    (line,) = told({**GOOD, **change}, 3 * PATIENCE)
    assert text in line


def test_thoughts_about_hard_problems_alone_may_be_right_less_often_than_direct_answers():
    assert told({**GOOD, "accuracy/think": 0.5, "accuracy/no_think": 0.9}, 50) == []
    one_mode = {key: value for key, value in GOOD.items() if key != "accuracy/gain"}
    assert told({**one_mode, "accuracy/no_think": 0.9}, 50) == []


def test_what_passes_in_between_is_not_told():
    alarms = Alarms()
    bad = {**GOOD, "groups/informative": 0.0}
    for _ in range(3):
        assert told(bad, PATIENCE - 1, alarms) == told(GOOD, 1, alarms) == []


def test_steps_without_rollouts_do_not_end_what_lasts():
    alarms = Alarms()
    bad = {**GOOD, "groups/informative": 0.0}
    assert told(bad, PATIENCE - 1, alarms) == told({"loss": 0.1}, 1, alarms) == []
    assert len(told(bad, 1, alarms)) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["loss", "grad_norm"])
def test_a_loss_or_gradient_that_is_not_finite_is_told_at_once(key, value):
    assert "not finite" in told({key: value}, 1)[0]


def test_a_step_that_taught_nothing_says_why():
    silent = {"groups/informative": 0.0, "groups/all_wrong": 0.75, "groups/one_mode": 0.25}
    assert uninformative_line(silent) == (
        "no group of this step has an advantage: 75% all wrong in both modes, 25% answered in one mode only"
    )
    assert uninformative_line(GOOD) == ""
