"""The collapse guard: its signals by hand, its patience, its remedies on a collapsing bandit."""

from __future__ import annotations

import json

import pytest
from bandit import Bandit, make_problems
from factories import make_group, make_problem

from rl.algorithms import build_algorithm
from rl.config.schema import GuardConfig
from rl.training.guard import CollapseGuard, reads_like_reasoning, signals
from rollout.modes import make_plan
from rollout.types import RolloutGroup

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
        guard.observe(number, groups, [0.0] * sum(len(g.rollouts) for g in groups))
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
    metrics = guard.observe(4, long, [0.0] * 4)
    assert metrics["leak/tokens"] == 1.75
    (alarm,) = watch(guard, [long] * 2)
    assert "reasoning leaks into direct answers: for 3 steps 1.8 times as long as at the start" in alarm


def test_direct_answers_that_begin_to_reason_are_metered_and_told():
    plain, leaking = step(answer_text="7"), step(answer_text="wait, 7")
    guard = make()
    watch(guard, [plain] * 3)
    assert guard.observe(4, leaking, [0.0] * 4)["leak/words"] == 1.0
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


def test_only_stop_stops():
    for action in ("log", "floor", "balance", "stop"):
        guard = make(action=action)
        watch(guard, [step(0.99)] * 3)
        assert bool(guard.stopped) is (action == "stop")


# --- remedies --------------------------------------------------------------------------------------------------------


def train(action, steps, share, target, judge_weight=1.0):
    """A bandit under a bad setting; (easy think rate, step of the first alarm, guard)."""
    problems, policy = make_problems(easy=10, hard=6), Bandit(rate=6.0, shared=3.0)
    algorithm, guard, alarm = build_algorithm({"name": "step_srpo"}), make(patience=5, action=action), None
    rates = []
    for number in range(1, steps + 1):
        plan = make_plan(8, max(share, guard.floor), 0)
        groups = [policy.roll_out(problem, plan, **target) for problem in problems]
        judge_B = policy.advantages(groups, algorithm)
        policy.update(groups, [judge_weight * a for a in guard.balanced(groups, judge_B)])
        guard.observe(number, groups, judge_B)
        alarm = alarm or (number if guard.take_alarms() else None)
        rates.append(policy.think("easy"))
        if guard.stopped:
            break
    return rates, alarm, policy


SOFT = {"target": "soft"}


def test_the_soft_target_collapses_to_thinking_and_the_guard_sees_it():
    rates, alarm, policy = train("log", 60, 0.25, SOFT)
    assert alarm is not None
    assert alarm < 30
    assert rates[-1] > 0.98
    assert policy.think("hard") > 0.98


def test_balancing_the_judge_between_the_targets_brings_the_dead_mode_back():
    rates, _, policy = train("balance", 80, 0.25, SOFT)
    assert rates[-1] < 0.1
    assert policy.think("hard") > 0.9


def test_more_forced_rollouts_do_not_cure_a_target_that_is_too_loud():
    rates, _, _ = train("floor", 80, 0.25, SOFT)
    assert rates[-1] > 0.98


def test_stopping_ends_the_run_at_the_alarm():
    rates, alarm, _ = train("stop", 60, 0.25, SOFT)
    assert len(rates) == alarm


def test_a_mode_that_died_for_want_of_samples_comes_back_under_a_raised_floor():
    # Free choice alone, and a start at which direct answers are hardly ever sampled.
    def run(action):
        problems, policy, guard = make_problems(easy=10, hard=6), Bandit(rate=6.0), make(patience=5, action=action)
        policy.bias = 9.0
        algorithm = build_algorithm({"name": "step_srpo"})
        known = [policy.roll_out(problem, make_plan(8, 1.0, 0)) for problem in problems]
        guard.observe(0, known, [0.0] * 8 * len(known))
        for number in range(1, 60):
            plan = make_plan(8, guard.floor, 0)
            groups = [policy.roll_out(problem, plan) for problem in problems]
            policy.update(groups, policy.advantages(groups, algorithm))
            guard.observe(number, groups, [0.0] * 8 * len(groups))
        return policy.think("easy")

    assert run("log") > 0.9
    assert run("floor") < 0.1


def test_balanced_scales_the_groups_of_the_dying_target_to_the_others():
    guard = make(action="balance")
    groups = step(0.99)
    for number in range(1, 4):
        guard.observe(number, groups, [0.8, 0.0, 0.0, 0.2])
    # p0 prefers think with |A| of 0.8, p1 direct with 0.2: four times as much for the dying direct mode.
    assert guard.balanced(groups, [0.8, 0.0, 0.0, 0.2]) == pytest.approx([0.8, 0.0, 0.0, 0.8])


def test_before_an_alarm_nothing_is_scaled():
    guard = make(action="balance")
    groups = step(0.5)
    guard.observe(1, groups, [0.8, 0.0, 0.0, 0.2])
    assert guard.balanced(groups, [0.8, 0.0, 0.0, 0.2]) == [0.8, 0.0, 0.0, 0.2]
    assert isinstance(groups[0], RolloutGroup)
