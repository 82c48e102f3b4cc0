"""Who is forced, and how that share falls."""

import pytest

from rollout.modes import ForcedShare, make_plan


@pytest.mark.parametrize(
    ("size", "share", "minimum", "think", "no_think", "free"),
    [
        (8, 1.0, 2, 4, 4, 0),
        (8, 0.5, 2, 2, 2, 4),
        (8, 0.3, 2, 2, 2, 4),  # 1.2 a mode, lifted to the minimum
        (8, 0.3, 0, 1, 1, 6),
        (8, 0.0, 0, 0, 0, 8),
        (8, 0.75, 0, 3, 3, 2),
        (7, 1.0, 2, 3, 3, 1),  # an odd one out stays free
        (4, 0.0, 2, 2, 2, 0),
        (2, 1.0, 2, 1, 1, 0),  # never more than the group
        (16, 0.3, 2, 2, 2, 12),
    ],
)
def test_a_plan_counts_as_computed_by_hand(size, share, minimum, think, no_think, free):
    assert make_plan(size, share, minimum) == ("think",) * think + ("no_think",) * no_think + (None,) * free


def test_the_forced_share_falls_linearly_to_its_floor_and_stays_there():
    share = ForcedShare(start=1.0, floor=0.2, decay_steps=4, minimum=2)
    assert [share.at(step) for step in (0, 1, 2, 3, 4, 5, 1000)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2])


def test_without_decay_steps_the_share_is_the_floor_from_the_start():
    assert ForcedShare(start=1.0, floor=0.3, decay_steps=0).at(0) == 0.3


def test_pieces_hold_from_their_part_of_the_run_on_whatever_the_step():
    share = ForcedShare(floor=0.0, points=[[0.0, 1.0], [0.25, 0.5], [0.75, 0.1]])
    found = [share.at(10**6, progress) for progress in (0.0, 0.24, 0.25, 0.7, 0.75, 1.0)]
    assert found == [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]


def test_pieces_never_fall_below_the_floor():
    assert ForcedShare(floor=0.3, points=[[0.0, 1.0], [0.5, 0.1]]).at(0, 0.9) == 0.3


@pytest.mark.parametrize(
    ("minimum", "share", "size", "least"),
    [(2, 0.0, 8, 2), (0, 0.15, 8, 2), (0, 0.15, 20, 3), (4, 0.15, 20, 4), (0, 0.0, 8, 0), (1, 0.25, 4, 1)],
)
def test_the_least_forced_rollouts_a_mode_are_a_count_or_a_share_rounded_up(minimum, share, size, least):
    assert ForcedShare(minimum=minimum, minimum_share=share).least(size) == least


@pytest.mark.parametrize(
    ("share", "size", "forces_all"),
    [
        (ForcedShare(start=1.0, floor=0.3), 8, True),  # in its first step
        (ForcedShare(start=1.0, floor=0.3), 7, False),  # the odd one is free
        (ForcedShare(start=0.5, floor=0.3), 8, False),
        (ForcedShare(start=1.0, floor=0.3, decay_steps=0), 8, False),  # never at its start
        (ForcedShare(start=0.5, floor=0.3, minimum=2), 4, True),  # by its minimum
        (ForcedShare(start=0.0, floor=0.9, decay_steps=0, minimum=0), 4, True),  # 3.6 of 4 are rounded to 4
        (ForcedShare(floor=0.0, start=0.0, minimum=0, points=[[0.0, 0.5], [0.5, 1.0]]), 8, True),
        (ForcedShare(floor=0.0, start=0.0, minimum=0, points=[[0.0, 0.5]]), 8, False),
        (ForcedShare(floor=0.3, minimum=0, points=[[0.0, 0.5]]), 8, False),  # `start` is not used with points
    ],
)
def test_a_plan_that_ever_forces_all_says_so(share, size, forces_all):
    assert share.ever_forces_all(size) is forces_all


@pytest.mark.parametrize(
    "points",
    [
        [[0.5, 1.0]],
        [[0.0, 1.5]],
        [[0.0, -0.1]],
        [[0.0]],
        [[0.0, 1.0], [0.5, 0.5], [0.2, 0.3]],
        [[0.0, 1.0], [0.0, 0.5]],
    ],
)
def test_pieces_that_make_no_schedule_are_refused(points):
    with pytest.raises(ValueError, match=r"rollout\.forced\.points is .*; allowed: pairs"):
        ForcedShare(points=points)
