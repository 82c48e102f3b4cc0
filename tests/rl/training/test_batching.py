"""Which rows go together: worked examples, and the best cut of all cuts for small cases."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from rl.training.batching import envelope, even_parts, like_lengths


def costs(lengths, sizes):
    """Padded tokens of each part: rows times its longest."""
    ends = np.cumsum(sizes)
    return [n * int(lengths[end - n]) for n, end in zip(sizes, ends, strict=True)]


def all_cuts(count, parts):
    """Every way to cut `count` rows into `parts` parts in a row."""
    for inner in combinations(range(1, count), parts - 1):
        yield [b - a for a, b in pairwise([0, *inner, count])]


def test_long_rows_are_parted_from_short_ones():
    assert like_lengths([200] * 4 + [4] * 28, price=48) == [4, 28]


def test_rows_of_one_length_stay_together():
    assert like_lengths([50] * 8, price=1) == [8]


def test_a_cut_must_save_more_than_a_forward_pass_costs():
    # One part: 2 · 10 = 20 tokens. Two: 10 + 4 and one more pass at 5 or 7.
    assert like_lengths([10, 4], price=5) == [1, 1]
    assert like_lengths([10, 4], price=7) == [2]


def test_no_part_has_more_padded_tokens_than_allowed_but_for_a_single_longer_row():
    rng = np.random.default_rng(2)
    for most in (1, 40, 100):
        lengths = -np.sort(-rng.integers(1, 60, size=12))
        sizes = like_lengths(lengths, 10**6, most)
        assert sum(sizes) == 12
        assert all(cost <= most or size == 1 for cost, size in zip(costs(lengths, sizes), sizes, strict=True))
    assert like_lengths([50] * 7, 1, 100) == [1, 2, 2, 2]


@pytest.mark.parametrize("price", [0.5, 3, 20])
def test_no_cut_costs_less(price):
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = -np.sort(-rng.integers(1, 40, size=8))
        found = sum(costs(lengths, like_lengths(lengths, price))) + price * len(like_lengths(lengths, price))
        best = min(sum(costs(lengths, c)) + price * parts for parts in range(1, 9) for c in all_cuts(8, parts))
        assert found == best


def test_micro_batches_hold_about_the_same_padded_tokens():
    # Two long rows a part are 200 tokens; the twelve short ones, 120, share a part of their own.
    assert even_parts([100] * 4 + [10] * 12, 3) == [2, 2, 12]


def test_no_micro_batches_have_a_smaller_largest_one():
    rng = np.random.default_rng(1)
    for _ in range(30):
        lengths = -np.sort(-rng.integers(0, 40, size=9))
        for parts in (1, 2, 4, 9):
            sizes = even_parts(lengths, parts)
            assert len(sizes) == parts
            assert min(sizes) >= 1
            assert sum(sizes) == 9
            assert max(costs(lengths, sizes)) == min(max(costs(lengths, c)) for c in all_cuts(9, parts))


def test_never_more_padded_tokens_at_once_than_equal_rows_of_the_longest():
    lengths = [500, 400, 30, 20, 10, 10, 10, 10]
    assert max(costs(lengths, even_parts(lengths, 4))) <= 2 * 500


def test_ranks_cut_by_the_longest_row_at_each_place():
    assert envelope([[5, 2, 9], [1, 8, 7]]).tolist() == [9, 7, 2]
