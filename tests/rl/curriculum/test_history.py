"""Decayed pass counts, by hand."""

import dataclasses
import gc
import json
import tracemalloc

import pytest
from factories import make_group, make_problem

from rewards.builtin.judge import PassCounts
from rl.curriculum.history import PassHistory
from rollout.errors import UserError


def test_a_problem_never_visited_has_no_counts():
    history = PassHistory()
    assert history.counts(make_problem("new")) == {}
    assert len(history) == 0


def test_a_visit_adds_successes_and_trials_of_each_mode():
    history = PassHistory(decay=0.5)
    history.observe([make_group("TTTN-", (1, 0, 0.5, 1, 1))])
    assert history.counts(make_problem()) == {"think": PassCounts(1.5, 3.0), "no_think": PassCounts(1.0, 1.0)}


def test_earlier_visits_decay_before_the_new_one_is_added():
    history = PassHistory(decay=0.5)
    history.observe([make_group("TTNN", (1, 1, 1, 0))])
    history.observe([make_group("TNNN", (0, 1, 0, 0))])
    history.observe([make_group("TN", (1, 0))])
    # think: ((2*0.5 + 0)*0.5 + 1, (2*0.5 + 1)*0.5 + 1); no_think: ((1*0.5 + 1)*0.5 + 0, (2*0.5 + 3)*0.5 + 1)
    assert history.counts(make_problem()) == {"think": PassCounts(1.5, 2.0), "no_think": PassCounts(0.75, 3.0)}


def test_a_mode_left_out_of_a_visit_decays_all_the_same():
    history = PassHistory(decay=0.5)
    history.observe([make_group("TN", (1, 1)), make_group("TT", (1, 1))])
    assert history.counts(make_problem())["no_think"] == PassCounts(0.5, 0.5)


@pytest.mark.parametrize(("decay", "trials"), [(0.0, 2.0), (1.0, 6.0)])
def test_decay_zero_forgets_and_one_keeps_all(decay, trials):
    history = PassHistory(decay)
    for _ in range(3):
        history.observe([make_group("TT", (1, 0))])
    assert history.counts(make_problem())["think"].trials == trials


def test_problems_are_kept_apart():
    history = PassHistory()
    history.observe([make_group("TN", (1, 0), problem=make_problem(name)) for name in ("a", "b")])
    history.observe([make_group("TN", (1, 0), problem=make_problem("a"))])
    assert len(history) == 2
    assert history.counts(make_problem("b"))["think"] == PassCounts(1.0, 1.0)


def test_the_state_survives_json_and_goes_on_as_if_never_saved():
    one, other = PassHistory(0.7), PassHistory(0.7)
    one.observe([make_group("TTN", (1, 0, 1)), make_group("N", (1,), problem=make_problem("b"))])
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for history in (one, other):
        history.observe([make_group("TNN", (1, 1, 0))])
    assert other.state_dict() == one.state_dict()
    assert other.counts(make_problem()) == one.counts(make_problem())


def test_loading_replaces_what_was_there():
    history = PassHistory()
    history.observe([make_group(problem=make_problem("old"))])
    history.load_state_dict({"new": {"think": [1.0, 2.0], "no_think": [0.0, 1.0]}})
    assert history.counts(make_problem("old")) == {}
    assert history.counts(make_problem("new"))["think"] == PassCounts(1.0, 2.0)


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(UserError, match=rf"history\.decay is {decay}; allowed: 0"):
        PassHistory(decay)


def test_a_broken_rollout_is_no_trial_and_a_group_of_them_no_visit():
    history = PassHistory(decay=0.5)
    group = make_group("TTN", (1, 0, 1))
    first, second, third = group.rollouts
    history.observe([dataclasses.replace(group, rollouts=(first, dataclasses.replace(second, broken="no"), third))])
    assert history.counts(make_problem()) == {"think": PassCounts(1.0, 1.0), "no_think": PassCounts(1.0, 1.0)}
    history.observe([dataclasses.replace(group, rollouts=(dataclasses.replace(first, broken="no", scores={}),))])
    assert history.counts(make_problem())["think"] == PassCounts(1.0, 1.0)


def test_problems_of_the_training_set_take_no_memory_when_they_are_first_seen():
    names = [f"problem {number}" for number in range(500)]
    history = PassHistory(rows={name: row for row, name in enumerate(names)})
    problems = [make_problem(name) for name in names]
    assert (len(history), history.counts(problems[7])) == (0, {})
    history.observe([make_group("TN", (1, 0), problem=problems[0])])
    tracemalloc.start()
    history.observe(make_group("TN", (1, 0), problem=problem) for problem in problems[1:])
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 4000
    assert len(history) == 500
    assert history.counts(problems[499]) == {"think": PassCounts(1.0, 1.0), "no_think": PassCounts(0.0, 1.0)}
    other = PassHistory()
    other.load_state_dict(history.state_dict())
    assert other.state_dict() == history.state_dict()
