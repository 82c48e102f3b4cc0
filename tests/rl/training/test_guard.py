"""The collapse guard: its signals by hand, its patience, its remedy on a collapsing bandit."""

from __future__ import annotations

import json

import pytest
from bandit import Bandit, make_problems
from factories import make_group, make_problem

from rl.algorithms import build_algorithm
from rl.config.schema import GuardConfig
from rl.training.guard import CollapseGuard, reads_like_reasoning, signals
from rollout.modes import make_plan

DYING = "no_think is dying: chosen at 1.0% for 3 steps, right for 50% of the problems"


def step(think=0.5, targets=("think", "no_think"), **fields):
    """One group a target, the policy thinking with probability `think`."""
    judge = {"think": (1, 0), "no_think": (0, 1)}
    probs = (think, 1 - think)
    return [
        make_group("TN", (1, 1), judge[target], make_problem(f"p{k}"), forced=True, switch_probs=probs, **fields)
        for k, target in enumerate(targets)
    ]


def make(**settings):
    return CollapseGuard(GuardConfig(**{"patience": 3, **settings}))


def watch(guard, steps):
    """Feed the steps; the alarms."""
    for number, groups in enumerate(steps, 1):
        guard.observe(number, groups)
    return guard.take_alarms()


def test_the_rate_of_a_mode_is_its_probability_at_the_decision():
    found = signals(step(think=0.7), GuardConfig())
    assert found.rates == {"think": pytest.approx(0.7), "no_think": pytest.approx(0.3)}
    assert found.targets == (1, 2)


def test_free_choices_count_where_there_are_enough_of_them():
    free = [make_group("T" * 50, (1,) * 50, switch_probs=(0.9, 0.1))]
    assert signals(free, GuardConfig()).rates["no_think"] == 0.0  # 50 choices at a threshold of 2 %
    assert signals([make_group("T" * 49, (1,) * 49, switch_probs=(0.9, 0.1))], GuardConfig()).rates[
        "no_think"
    ] == pytest.approx(0.1)


def test_an_alarm_comes_after_the_patience_once():
    guard = make()
    assert watch(guard, [step(0.99)] * 2) == []
    assert watch(guard, [step(0.99)]) == [f"step 1: {DYING}"]
    assert watch(guard, [step(0.99)] * 5) == []
    assert guard.count == 1


def test_a_step_in_between_starts_the_count_again():
    assert watch(make(), [step(0.99), step(0.99), step(0.5), step(0.99), step(0.99)]) == []


@pytest.mark.parametrize(
    ("think", "targets", "alarms"),
    [
        (0.99, ("no_think", *["think"] * 9), 0),  # right for 10 %: no more than the limit
        (0.99, ("no_think", *["think"] * 8), 1),
        (0.97, ("no_think", "think"), 0),  # 3 % is above the threshold
        (0.01, ("think", "no_think"), 1),  # the other mode
        (0.01, ("no_think", "no_think"), 0),  # never thinking is what the target asks for
    ],
)
def test_a_mode_is_dying_only_while_the_target_disagrees(think, targets, alarms):
    assert len(watch(make(), [step(think, targets)] * 4)) == alarms


def test_a_dead_mode_that_is_never_sampled_again_is_judged_by_the_last_comparisons():
    alone = [make_group("TT", (1, 1), (1, 1), switch_probs=(1.0, 0.0))]
    assert watch(make(), [alone] * 5) == []  # nothing ever said that direct answers are right
    assert len(watch(make(), [step(0.9), *[alone] * 3])) == 1


def test_off_watches_nothing():
    guard = make(action="off")
    assert watch(guard, [step(1.0)] * 5) == []


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("42", False),
        ("\\boxed{42}", False),
        ("waiter", False),
        ("Wait, 6 * 7 is 42", True),
        ("LET ME see: 42", True),
        ("Step 1: add", True),
        ("1. add\n2. multiply", True),
        ("x = 3 + 4 = 7", True),
        ("73+58=21-14=17", True),
        ("def f(x):\n    return x == 1 and x + 1 == 2", False),
    ],
)
def test_what_reads_like_reasoning(text, reasoning):
    assert reads_like_reasoning(text) is reasoning


def test_a_text_of_any_length_is_read_in_a_moment():
    assert reads_like_reasoning("= 1 " * 1_000_000) is False


def test_direct_answers_that_grow_are_metered_and_told():
    short, long = step(targets=("think", "no_think"), tokens=4), step(targets=("think", "no_think"), tokens=7)
    guard = make()
    assert watch(guard, [short] * 3) == []
    metrics = guard.observe(4, long)
    assert metrics["leak/tokens"] == 1.75
    (alarm,) = watch(guard, [long] * 2)
    assert "reasoning leaks into direct answers: for 3 steps 1.8 times as long as at the start" in alarm


def test_direct_answers_that_begin_to_reason_are_metered_and_told():
    plain, leaking = step(answer_text="7"), step(answer_text="wait, 7")
    guard = make()
    watch(guard, [plain] * 3)
    assert guard.observe(4, leaking)["leak/words"] == 1.0
    assert "100% read like reasoning (0% at the start)" in watch(guard, [leaking] * 2)[0]


def test_answers_that_always_read_like_reasoning_are_no_alarm():
    assert watch(make(), [step(answer_text="Step 1: 7")] * 9) == []


def test_its_state_survives_json():
    one, two = make(action="floor"), make(action="floor")
    watch(one, [step(0.5), *[step(0.99)] * 2])
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert len(watch(one, [step(0.99)])) == len(watch(two, [step(0.99)])) == 1
    assert two.state_dict() == one.state_dict()
    assert two.floor == 0.5


def test_the_forced_share_rises_with_the_action_floor_alone():
    floors = []
    for action in ("log", "floor"):
        guard = make(action=action)
        watch(guard, [step(0.99)] * 3)
        floors.append((guard.count, guard.floor))
    assert floors == [(1, 0.0), (1, 0.5)]


@pytest.mark.medium
def test_a_mode_that_died_for_want_of_samples_comes_back_under_a_raised_floor():
    # Free choice alone, and a start at which direct answers are hardly ever sampled.
    def run(action):
        problems, policy, guard = make_problems(easy=10, hard=6), Bandit(rate=6.0), make(patience=5, action=action)
        policy.bias = 9.0
        algorithm = build_algorithm({"name": "step_srpo"})
        known = [policy.roll_out(problem, make_plan(8, 1.0, 0)) for problem in problems]
        guard.observe(0, known)
        for number in range(1, 60):
            plan = make_plan(8, guard.floor, 0)
            groups = [policy.roll_out(problem, plan) for problem in problems]
            policy.update(groups, policy.advantages(groups, algorithm))
            guard.observe(number, groups)
        return policy.think("easy")

    assert run("log") > 0.9
    assert run("floor") < 0.1
