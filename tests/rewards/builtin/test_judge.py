"""The judge reward against pass rates worked out by hand."""

import pytest
from factories import make_group, make_problem

from rewards.builtin.judge import PassCounts, judge, may_think, pooled_pass_rates, right_mode


def rates(modes, correct, **options):
    letters = {"T": "think", "N": "no_think", "-": None}
    return pooled_pass_rates([letters[m] for m in modes], correct, **options)


# --- pass rates ------------------------------------------------------------------------------------------------------


def test_without_a_prior_pass_rates_are_plain_means():
    assert rates("TTNNN", (1, 0, 1, 0, 0), prior=0.0) == pytest.approx({"think": 1 / 2, "no_think": 1 / 3})


def test_the_prior_shrinks_both_modes_towards_the_problems_own_pass_rate():
    # 3 of 4 right, so the centre is 0.75: (2 + 0.5*0.75) / 2.5 and (1 + 0.5*0.75) / 2.5
    assert rates("TTNN", (1, 1, 1, 0)) == pytest.approx({"think": 0.95, "no_think": 0.55})


def test_history_is_pooled_with_the_group():
    history = {"think": PassCounts(1.0, 2.0), "no_think": PassCounts(4.0, 5.0)}
    # think: 1+2 of 2+2, no_think: 4+0 of 5+1; the centre is 7/10
    assert rates("TTN", (1, 1, 0), history=history) == pytest.approx(
        {"think": (3 + 0.35) / 4.5, "no_think": (4 + 0.35) / 6.5}
    )


def test_a_mode_that_was_never_tried_has_no_pass_rate():
    assert rates("TT-", (1, 0, 1)) == {"think": pytest.approx((1 + 0.25) / 2.5), "no_think": None}
    assert rates("--", (0, 0)) == {"think": None, "no_think": None}


def test_shrinking_adds_no_difference_of_its_own():
    untouched = rates("TTTTTTN", (1, 1, 1, 1, 1, 1, 1))
    assert untouched == {"think": 1.0, "no_think": 1.0}


# --- which mode is right ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("think", "direct", "margin", "expected"),
    [
        (0.9, 0.5, 0.05, "think"),
        (0.5, 0.9, 0.05, "no_think"),
        (1.0, 1.0, 0.05, "no_think"),
        (0.54, 0.50, 0.05, "no_think"),  # better, but within the margin
        (0.75, 0.5, 0.25, "no_think"),  # exactly the margin is not above it
        (0.76, 0.5, 0.25, "think"),
        (0.01, 0.0, 0.0, "think"),
        (0.0, 0.0, 0.05, None),
        (None, 1.0, 0.05, None),
        (1.0, None, 0.05, None),
    ],
)
def test_thinking_is_right_only_above_the_margin(think, direct, margin, expected):
    assert right_mode({"think": think, "no_think": direct}, margin) == expected


def test_where_both_fail_direct_answering_wins_only_on_request():
    assert right_mode({"think": 0.0, "no_think": 0.0}, 0.05, all_wrong="no_think") == "no_think"


# --- scores ----------------------------------------------------------------------------------------------------------


def test_group_rewards_the_mode_that_does_better_in_the_group():
    assert judge(make_group("TTNN", (1, 1, 0, 0))) == [1.0, 1.0, 0.0, 0.0]
    assert judge(make_group("TTNN", (0, 0, 1, 1))) == [0.0, 0.0, 1.0, 1.0]


def test_when_all_are_right_direct_answering_is_rewarded():
    assert judge(make_group("TTNN", (1, 1, 1, 1))) == [0.0, 0.0, 1.0, 1.0]


def test_when_all_are_wrong_nobody_is_rewarded():
    assert judge(make_group("TTNN", (0, 0, 0, 0)), wrong=-1.0) == [0.0, 0.0, 0.0, 0.0]
    assert judge(make_group("TTNN", (0, 0, 0, 0)), all_wrong="no_think") == [0.0, 0.0, 1.0, 1.0]


def test_one_mode_only_is_neutral_without_history_and_decided_with_it():
    group = make_group("TTTT", (1, 1, 1, 0))
    assert judge(group) == [0.0] * 4
    assert judge(group, history={"no_think": PassCounts(0.0, 4.0)}) == [1.0] * 4
    assert judge(group, history={"no_think": PassCounts(4.0, 4.0)}) == [0.0] * 4


@pytest.mark.parametrize(
    ("correct", "margin", "expected"),
    [
        # With four right thoughts, centre 7/8: think (4 + 7/16) / 4.5 = 0.986, direct (3 + 7/16) / 4.5 = 0.764
        ((1, 1, 1, 0), 0.25, False),
        ((1, 1, 1, 0), 0.2, True),
        ((1, 1, 1, 1), 0.0, False),
        # centre 3/4: 0.972 and 0.528
        ((1, 1, 0, 0), 0.4, True),
        ((1, 1, 0, 0), 0.45, False),
        ((0, 0, 0, 0), 0.5, True),
    ],
)
def test_thinking_may_be_right_where_it_would_be_if_every_thought_were(correct, margin, expected):
    assert may_think(["no_think"] * 4, correct, margin=margin) is expected
    # Without thoughts direct answering is right where thinking could not be, and else nothing is known.
    assert judge(make_group("NNNN", correct), margin=margin) == [0.0 if expected else 1.0] * 4


def test_earlier_thoughts_count_for_what_thinking_may_be():
    wrong = {"think": PassCounts(0.0, 8.0)}
    assert may_think(["no_think"] * 2, (1, 0), margin=0.25)
    # centre (0 + 2 + 1) / 12: think (2 + 1/8) / 10.5 = 0.202, direct (1 + 1/8) / 2.5 = 0.45
    assert not may_think(["no_think"] * 2, (1, 0), wrong, margin=0.25)


def test_history_can_overrule_one_lucky_group():
    group = make_group("TTNN", (1, 1, 1, 0))
    assert judge(group) == [1.0, 1.0, 0.0, 0.0]
    history = {"think": PassCounts(8.0, 10.0), "no_think": PassCounts(9.0, 10.0)}  # then 10 of 12 each
    assert judge(group, history=history) == [0.0, 0.0, 1.0, 1.0]


def test_a_small_margin_decides_once_the_history_makes_rates_fine_grained():
    group = make_group("TN", (1, 1))
    history = {"think": PassCounts(19.0, 19.0), "no_think": PassCounts(18.0, 19.0)}  # 20 of 20 against 19 of 20
    assert judge(group, history=history, margin=0.04) == [1.0, 0.0]
    assert judge(group, history=history, margin=0.06) == [0.0, 1.0]


def test_the_wrong_mode_costs_what_wrong_says_and_no_mode_is_never_scored():
    assert judge(make_group("TN-", (1, 0, 0)), wrong=-1.0) == [1.0, -1.0, 0.0]


def test_label_follows_the_problems_own_necessity_whatever_the_answers_were():
    group = make_group("TN-", (1, 0, 0), problem=make_problem(necessity="no_think"))
    assert judge(group, target="label") == [0.0, 1.0, 0.0]
    assert judge(group, target="label", wrong=-1.0) == [-1.0, 1.0, 0.0]


def test_label_without_necessity_is_neutral():
    assert judge(make_group("TN", (1, 0)), target="label", wrong=-1.0) == [0.0, 0.0]


def test_label_stays_alive_with_one_mode_only():
    assert judge(make_group("TT", (0, 0), problem=make_problem(necessity="think")), target="label") == [1.0, 1.0]


def test_the_margin_may_grow_over_the_steps():
    group, margin = make_group("TTTN", (1, 1, 1, 0.75)), {"start": 0.0, "end": 0.4, "steps": 10}
    # shrunk towards 15/16, the rates are 0.991 and 0.8125: 0.179 apart
    assert judge(group, margin=margin, step=4)[0] == 1.0
    assert judge(group, margin=margin, step=5)[0] == 0.0


def test_rates_a_margin_apart_are_a_tie_although_rounding_says_more():
    assert 0.55 - 0.5 > 0.05
    assert right_mode({"think": 0.55, "no_think": 0.5}, 0.05) == "no_think"
