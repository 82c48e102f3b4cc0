"""Who is forced, and how that share falls."""

import pytest

from rollout.plan import ForcedShare, make_plan


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


@pytest.mark.parametrize(
    ("field", "value"), [("start", 1.5), ("start", -0.1), ("floor", 2), ("floor", -1), ("minimum", -1)]
)
def test_a_share_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"rollout\.forced\.{field} is {value}"):
        ForcedShare(**{field: value})
