"""The order of prompts over a run: by seed alone, by stages, and by what was observed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from factories import make_group, make_problem

from rl.config.schema import HistoryConfig
from rl.curriculum.prompt_order import Mix, PromptOrder
from rl.curriculum.resampling import Resampler
from rl.curriculum.sampler import RoundSampler
from rollout.errors import UserError


def make_order(size=10, prompts=4, seed=0, resample="off", mixes=None):
    mixes = mixes or [Mix(0, {"": [str(k) for k in range(size)]}, {})]
    return PromptOrder(mixes, prompts=prompts, seed=seed, resampler=Resampler(HistoryConfig(resample=resample)))


def make_sampler(size=10, prompts=4, group_size=3, repeats=2, rounds=5, seed=0):
    rows = {str(k): k for k in range(size)}
    order = make_order(size, prompts, seed)
    return RoundSampler(order, rows, group_size=group_size, repeats=repeats, rounds=rounds)


def blocks(order, rounds):
    """The problems of each round, as numbers."""
    return [[int(name) for name in order.block(k)] for k in range(rounds)]


def observed(names, right=()):
    """A scored group a name; those in `right` are all correct, with a policy that is settled on direct answers."""
    return [
        make_group(
            "TTNN",
            (1, 1, 1, 1) if name in right else (1, 1, 0, 0),
            (0, 0, 1, 1) if name in right else (1, 1, 0, 0),
            make_problem(name),
            switch_probs=(0.01, 0.99) if name in right else (0.9, 0.1),
        )
        for name in names
    ]


def test_the_sampler_is_as_long_as_the_rows_it_yields():
    sampler = make_sampler()
    assert len(list(sampler)) == len(sampler) == 5 * 2 * 4 * 3


def test_each_prompt_fills_a_group_in_a_row_and_its_block_is_repeated():
    rows = list(make_sampler(rounds=1))
    first = rows[:12]
    assert [len(set(first[i : i + 3])) for i in range(0, 12, 3)] == [1, 1, 1, 1]
    assert len(set(first)) == 4
    assert rows[12:] == first


def test_iterating_again_starts_from_the_beginning():
    sampler = make_sampler()
    assert list(sampler) == list(sampler)


def test_no_prompt_comes_twice_in_one_generation_even_across_passes():
    for seed in range(20):
        assert all(len(set(block)) == 4 for block in blocks(make_order(size=5, seed=seed), 8))


def test_a_pass_over_the_data_visits_every_problem_once():
    assert sorted(i for block in blocks(make_order(size=12), 3) for i in block) == list(range(12))


def test_over_a_long_run_every_problem_comes_about_equally_often():
    counts = Counter(i for block in blocks(make_order(size=10), 250) for i in block)
    assert sorted(counts) == list(range(10))
    assert max(counts.values()) - min(counts.values()) <= 20  # 100 each on average


def test_the_order_of_a_seed_never_changes():
    assert blocks(make_order(size=5, prompts=3), 4) == [[1, 2, 4], [0, 3, 4], [2, 1, 0], [3, 0, 2]]
    assert blocks(make_order(size=6, prompts=4, seed=7), 3) == [[2, 4, 1, 3], [0, 5, 2, 4], [5, 1, 3, 4]]


def test_more_prompts_than_problems_are_refused():
    with pytest.raises(UserError, match=r"trainer\.prompts_per_step is 11; allowed: up to the 10 training problems"):
        make_order(prompts=11)


# --- stages ----------------------------------------------------------------------------------------------------------

MATH, CODE = [f"m{k}" for k in range(6)], [f"c{k}" for k in range(6)]


def test_a_stage_draws_from_its_own_pools_by_weight():
    mixes = [Mix(0, {"math": MATH}, {}), Mix(2, {"math": MATH, "code": CODE}, {"math": 0.25, "code": 0.75})]
    order = make_order(prompts=4, mixes=mixes)
    assert all(name[0] == "m" for k in range(2) for name in order.block(k))
    later = [name[0] for k in range(2, 502) for name in order.block(k)]
    assert 0.70 < later.count("c") / len(later) < 0.80


def test_a_pool_that_cannot_fill_a_block_is_refused_by_name():
    with pytest.raises(UserError, match="is 4; allowed: up to the 3 training problems of domain code"):
        make_order(mixes=[Mix(0, {"domain math": MATH, "domain code": CODE[:3]}, {})])


# --- an order that depends on what was observed ----------------------------------------------------------------------


def play(order, rounds, right=(), ahead=1):
    """Train for some rounds: the loader asks `ahead` rounds early, then each round is observed."""
    seen = []
    for k in range(rounds):
        for asked in range(k, k + ahead + 1):
            order.block(asked)
        seen.append(list(order.block(k)))
        order.observe(observed(seen[-1], right))
    return seen


def test_solved_prompts_leave_the_later_passes():
    easy = {"0", "1", "2", "3", "4", "5"}
    seen = play(make_order(size=8, prompts=2, resample="srpo"), 20, easy)
    assert {name for block in seen[:4] for name in block} == {str(k) for k in range(8)}
    assert {name for block in seen[6:] for name in block} == {"6", "7"}


def test_the_order_is_the_same_whether_or_not_the_loader_runs_ahead():
    right = {"0", "1", "2"}
    eager, lazy = (make_order(size=8, prompts=2, resample="mode_aware") for _ in range(2))
    assert play(eager, 20, right, ahead=1) == play(lazy, 20, right, ahead=0)


def test_asking_further_ahead_than_observations_allow_is_an_error():
    order = make_order(resample="srpo")
    with pytest.raises(RuntimeError, match="round 2 was asked for before round 0 was observed"):
        order.block(2)


def test_a_resumed_order_goes_on_exactly():
    right = {"0", "1", "2", "5"}
    whole = play(make_order(size=8, prompts=2, resample="mode_aware"), 30, right)
    for stop in (1, 7, 16):
        first = make_order(size=8, prompts=2, resample="mode_aware")
        play(first, stop, right)
        second = make_order(size=8, prompts=2, resample="mode_aware")
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for k in range(stop):
            second.block(k)  # the trainer skips these
        rest = []
        for k in range(stop, 30):
            second.block(k + 1)
            rest.append(list(second.block(k)))
            second.observe(observed(rest[-1], right))
        assert rest == whole[stop:]


def test_a_checkpoint_without_resampling_state_is_refused():
    order = make_order(resample="srpo")
    with pytest.raises(UserError, match=r"history.resample is 'srpo', but the checkpoint was written without"):
        order.load_state_dict(make_order().state_dict())
