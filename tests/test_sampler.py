"""The order of prompts over a run."""

from collections import Counter

import pytest

from rl.sampler import RoundSampler
from rollout.errors import UserError


def make_sampler(size=10, prompts=4, group_size=3, repeats=2, rounds=5, seed=0):
    return RoundSampler(size, prompts=prompts, group_size=group_size, repeats=repeats, rounds=rounds, seed=seed)


def blocks(sampler):
    """The distinct prompts of each generation."""
    rows = list(sampler)
    size = sampler.prompts * sampler.group_size * sampler.repeats
    return [rows[i : i + size][:: sampler.group_size][: sampler.prompts] for i in range(0, len(rows), size)]


def test_its_length_is_the_number_of_rows_it_yields():
    sampler = make_sampler()
    assert len(list(sampler)) == len(sampler) == 5 * 2 * 4 * 3


def test_each_prompt_fills_a_group_in_a_row_and_its_block_is_repeated():
    rows = list(make_sampler(rounds=1))
    first = rows[:12]
    assert [len(set(first[i : i + 3])) for i in range(0, 12, 3)] == [1, 1, 1, 1]
    assert len(set(first)) == 4
    assert rows[12:] == first


def test_no_prompt_comes_twice_in_one_generation_even_across_passes():
    for seed in range(20):
        assert all(len(set(block)) == 4 for block in blocks(make_sampler(size=5, rounds=8, seed=seed)))


def test_a_pass_over_the_data_visits_every_problem_once():
    assert sorted(i for block in blocks(make_sampler(size=12, rounds=3)) for i in block) == list(range(12))


def test_over_a_long_run_every_problem_comes_about_equally_often():
    counts = Counter(i for block in blocks(make_sampler(size=10, rounds=250)) for i in block)
    assert sorted(counts) == list(range(10))
    assert max(counts.values()) - min(counts.values()) <= 20  # 100 each on average


def test_the_order_follows_the_seed_alone():
    assert list(make_sampler(seed=3)) == list(make_sampler(seed=3))
    assert list(make_sampler(seed=3)) != list(make_sampler(seed=4))


def test_a_resumed_run_skips_to_where_an_unbroken_one_would_be():
    short, long = list(make_sampler(rounds=3)), list(make_sampler(rounds=5))
    assert long[: len(short)] == short


def test_iterating_again_starts_from_the_beginning():
    sampler = make_sampler()
    assert list(sampler) == list(sampler)


def test_more_prompts_than_problems_are_refused():
    with pytest.raises(UserError, match=r"trainer\.prompts_per_step is 11; allowed: up to the 10 training problems"):
        make_sampler(prompts=11)
