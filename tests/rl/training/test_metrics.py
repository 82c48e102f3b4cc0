"""Groups to floats, every number by hand."""

import math

import pytest
from factories import make_problem, make_rollout

from rl.training.metrics import step_line, step_metrics
from rollout.types import RolloutGroup


def make_groups():
    """Two problems: an easy one (level 1) and a hard one (level 4) with a rollout that never decided."""
    easy, hard = make_problem("easy", difficulty="1"), make_problem("hard", difficulty="4")
    one = RolloutGroup(
        easy,
        (
            make_rollout(
                "think", problem=easy, tokens=10, forced=True, correct=1, judge_reward=0, switch_probs=(0.6, 0.2)
            ),
            make_rollout("no_think", problem=easy, tokens=4, correct=1, judge_reward=1, switch_probs=(0.5, 0.5)),
        ),
    )
    two = RolloutGroup(
        hard,
        (
            make_rollout("think", problem=hard, tokens=20, correct=1, judge_reward=1, switch_probs=(0.9, 0.1)),
            make_rollout("think", problem=hard, tokens=22, correct=0, judge_reward=1, switch_probs=(0.9, 0.1)),
            make_rollout("no_think", problem=hard, tokens=4, forced=True, correct=0, switch_probs=(0.9, 0.1)),
            make_rollout(None, problem=hard, tokens=6, correct=0),
        ),
    )
    return [one, two]


@pytest.fixture(scope="module")
def metrics():
    return step_metrics(
        make_groups(), [0, 1, 1, 1, 0, -1], [0.5, -0.5, 0, 0.25, 0, 0], forced_share=0.5, history_size=7
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reward/answer", 3 / 6),
        ("reward/judge", 3 / 6),
        ("accuracy", 3 / 6),
        ("advantage/judge", 2 / 6),
        ("advantage/judge_abs", 4 / 6),
        ("advantage/answer", 0.25 / 6),
        ("advantage/answer_abs", 1.25 / 6),
        ("tokens", 66 / 6),
        ("tokens/total", 66.0),
        ("forced_share", 0.5),
        ("history/problems", 7.0),
        ("accuracy/think", 2 / 3),
        ("accuracy/no_think", 1 / 2),
        ("accuracy/gain", (0.0 + 1 / 2) / 2),
        ("tokens/think", 52 / 3),
        ("tokens/no_think", 4.0),
        ("share/think", 3 / 6),
        ("share/no_think", 2 / 6),
        ("free_share/think", 2 / 4),  # of the free rollouts, the undecided one among them
        ("free_share/no_think", 1 / 4),
        ("think_rate/1", 0.0),  # the forced one does not count
        ("think_rate/4", 2 / 3),
        ("think_probability/1", (0.75 + 0.5) / 2),
        ("think_probability/4", 0.9),
        ("accuracy/think/1", 1.0),
        ("accuracy/no_think/1", 1.0),
        ("accuracy/think/4", 1 / 2),
        ("accuracy/no_think/4", 0.0),
        ("judge/target_think", 1 / 2),
        ("status/ok", 5 / 6),
        ("status/no_switch", 1 / 6),
        ("status/truncated", 0.0),
        ("score/correct", 3 / 6),
        ("switch/think_probability", (0.75 + 0.5 + 3 * 0.9) / 5),
    ],
)
def test_each_metric_is_as_computed_by_hand(metrics, key, value):
    assert metrics[key] == pytest.approx(value)


def test_switch_entropy_is_that_of_the_two_switches_alone(metrics):
    def entropy(p):
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    assert metrics["switch/entropy"] == pytest.approx((entropy(0.75) + math.log(2) + 3 * entropy(0.9)) / 5)


def test_every_metric_is_a_finite_float(metrics):
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())


def test_a_key_whose_set_is_empty_is_left_out():
    rollout = make_rollout("think", forced=True, switch_probs=None)
    metrics = step_metrics([RolloutGroup(rollout.problem, (rollout,))], [0], [0], forced_share=1.0, history_size=0)
    for key in (
        "free_share/think",
        "accuracy/no_think",
        "accuracy/gain",
        "tokens/no_think",
        "switch/entropy",
        "judge/target_think",
    ):
        assert key not in metrics
    assert metrics["accuracy/think"] == 1.0
    assert not [key for key in metrics if key.startswith(("think_rate/", "think_probability/"))]


def test_a_score_that_only_some_rollouts_have_is_averaged_over_those():
    scores = {"correct": 1.0, "answer_reward": 1.0, "judge_reward": 0.0}
    rollouts = (make_rollout(scores={**scores, "math/steps": 3.0}), make_rollout(scores=scores))
    group = RolloutGroup(rollouts[0].problem, rollouts)
    assert step_metrics([group], [0, 0], [0, 0], forced_share=0, history_size=0)["score/math/steps"] == 3.0


def test_a_certain_switch_has_no_entropy_rather_than_an_error():
    rollout = make_rollout("think", switch_probs=(1.0, 0.0))
    group = RolloutGroup(rollout.problem, (rollout,))
    metrics = step_metrics([group], [0], [0], forced_share=0, history_size=0)
    assert metrics["switch/entropy"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["switch/think_probability"] == 1.0


def test_a_step_is_one_readable_line():
    values = {
        "accuracy/think": 0.98,
        "accuracy/no_think": 0.614,
        "reward/judge": 0.754,
        "free_share/think": 0.5,
        "tokens": 21.6,
        "time/step": 2.04,
        "think_probability/1": 0.031,
        "think_probability/4": 0.98,
    }
    line = step_line(7, 100, values, easy=("1",), hard=("3", "4"), left_s=186)
    assert line == (
        "step   7/100 | right: think 98%, direct 61% | thinks: easy 3%, hard 98% | judge 0.75 | tokens 22 | 2.0 s | "
        "3 min left"
    )
    assert step_line(1, 9, {"free_share/think": 0.5, "loss": 0.25}) == "step 1/9 | thinks: 50% | loss 0.250"


def test_groups_without_an_advantage_are_counted_with_their_reason():
    right, wrong = make_rollout("think", correct=1.0), make_rollout("no_think", correct=0.0)
    direct = make_rollout("no_think", correct=1.0)
    groups = [RolloutGroup(right.problem, pair) for pair in ((right, direct), (wrong, wrong), (right, wrong))]
    metrics = step_metrics(groups, [0, 0, 0, 0, 1, 0], [0] * 6, forced_share=0, history_size=0)
    assert metrics["groups/informative"] == pytest.approx(1 / 3)
    assert (
        metrics["groups/all_right"] == metrics["groups/all_wrong"] == metrics["groups/one_mode"] == pytest.approx(1 / 3)
    )


def test_broken_rollouts_are_counted_and_change_nothing_else_but_the_tokens_spent(metrics):
    (easy, hard) = make_groups()
    broken = make_rollout("think", problem=hard.problem, tokens=33, scores={}, broken="reward 'x' failed")
    groups = [easy, RolloutGroup(hard.problem, (*hard.rollouts, broken))]
    found = step_metrics(
        groups, [0, 1, 1, 1, 0, -1, 0], [0.5, -0.5, 0, 0.25, 0, 0, 0], forced_share=0.5, history_size=7
    )
    changed = {key for key in found if found[key] != metrics[key]}
    assert changed == {"reward/broken", "reward/broken_share", "tokens/total"}
    assert (found["reward/broken"], found["tokens/total"]) == (1.0, 99.0)
    assert found["reward/broken_share"] == pytest.approx(1 / 7)
