"""Thoughts, solutions and scores out of what models write; selection and agreement by hand."""

import pytest

from rl.distillation.agreement import agreement
from rl.distillation.chains import Chain, known_score, score_in, split_response, tagged
from rl.distillation.selection import mixer, student, thoughtx, verbosity_target
from rollout.errors import UserError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (tagged("3+4 is 7", "It is 7"), ("3+4 is 7", "It is 7")),
        ("<thinking>3+4</thinking><answer>7</answer>", ("3+4", "7")),
        ("<think>\n3+4\n</think>\n\n7", ("3+4", "7")),
        ("3+4</think>7", ("3+4", "7")),
        ("<think>3+4 and on and on", ("3+4 and on and on", "")),
        ("It is 7", ("", "It is 7")),
        ("<|begin_of_thought|>3+4<|end_of_thought|>7", ("3+4", "7")),
        ("", ("", "")),
    ],
)
def test_a_response_is_a_thought_and_a_solution(text, parts):
    assert split_response(text) == parts


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<score>7</score>", 7),
        ("first <score> 0 </score>", 0),
        ("<score>3</score> so <score>3</score>", 3),
        ("<score>3</score> no, <score>5</score>", -1),
        ("<score>10</score>", -1),
        ("7", -1),
        ("", -1),
    ],
)
def test_a_judges_score_is_read_or_unknown(text, score):
    assert score_in(text) == score


def test_scores_in_rows_may_be_missing_or_nonsense():
    values = [4, 4.0, 0, 9, 10, -1, None, "4", True, 4.5, float("nan")]
    assert [known_score(v) for v in values] == [4, 4, 0, 9, -1, -1, -1, -1, -1, -1, -1]


def chain(name, verbosity=-1, difficulty=-1, correctness=1, thought="because", problem="p"):
    return Chain(
        problem,
        name,
        "?",
        f"<think>{thought}</think>7",
        correctness=correctness,
        verbosity=verbosity,
        difficulty=difficulty,
    )


def names(chains):
    return [chain.name for chain in chains]


def test_the_filter_of_thoughtx_keeps_its_exact_ranges_and_takes_unknown_as_zero():
    chains = [
        chain("low", 2, 4),
        chain("first", 3, 4),
        chain("last", 5, 4),
        chain("high", 6, 4),
        chain("easy", 4, 3),
        chain("hard", 4, 5),
        chain("wrong", 4, 4, correctness=0),
        chain("unjudged", 4, 4, correctness=-1),
        chain("unscored", -1, 4),
    ]
    assert names(thoughtx(chains)) == ["first", "last"]


def test_the_targets_rise_from_two_to_ten():
    assert [verbosity_target(i, 3) for i in range(3)] == [2.0, 6.0, 10.0]
    assert [verbosity_target(i, 4) for i in range(4)] == [2.0, 4.67, 7.33, 10.0]


def test_the_mixer_takes_of_each_bin_those_nearest_to_its_target():
    chains = [
        chain("a", 5, 0),
        chain("b", 2, 2),
        chain("c", 1, 1),
        chain("d", 3, 1),
        chain("e", 6, 3),
        chain("f", -1, 4),
        chain("g", 9, 9),
        chain("unscored", 2, -1),
        chain("wrong", 2, 1, correctness=0),
    ]
    assert names(mixer(chains, 2)) == ["b", "c", "e", "f", "g"]
    assert names(mixer(chains, 1, target="low")) == ["b", "e", "g"]
    assert names(mixer(chains, 1, bins=(0, 5))) == ["a"]  # one bin alone wants a verbosity of 5


@pytest.mark.parametrize(("bins", "target"), [((0,), "matched"), ((0, 3, 3), "matched"), ((0, 3), "huge")])
def test_bins_and_targets_that_are_none_are_refused(bins, target):
    with pytest.raises(UserError, match="allowed"):
        mixer([], 1, bins=bins, target=target)


def label(think, no_think):
    return {"think": {"pass_rate": think}, "no_think": {"pass_rate": no_think}}


def test_a_student_gets_what_its_own_pass_rates_ask_for():
    chains = [
        chain("long", 4, 4, thought="a long one", problem="solid"),
        chain("short", 9, 1, thought="short", problem="solid"),
        chain("far", 8, 5, problem="weak"),
        chain("near", 6, 5, thought="a longer thought", problem="weak"),
        chain("wrong", 5, 5, correctness=0, problem="weak"),
        chain("x", 3, 3, problem="direct"),
        chain("y", 3, 3, correctness=0, problem="lost"),
    ]
    labels = {
        "solid": label(0.75, 0.25),
        "weak": label(0.5, 0.0),
        "direct": label(0.8, 0.75),
        "hopeless": label(0.0, 0.0),
        "lost": label(0.25, 0.0),
    }
    chosen = student(chains, labels)
    assert {name: one and one.name for name, one in chosen.items()} == {
        "solid": "short",
        "weak": "near",
        "direct": None,
    }


def test_judges_who_agree_have_a_kappa_of_one_and_opposite_ones_of_minus_one():
    scores = [0, 9] * 30
    assert agreement(scores, scores).kappa == pytest.approx(1.0)
    assert agreement(scores, [*scores[1:], 0]).kappa == pytest.approx(-1.0)


def test_kappa_by_hand():
    # 25 pairs each of (0,0), (0,9), (9,9), (9,9): observed disagreement ¼; by chance ½·¾ + ½·¼ = ½
    first, second = [0] * 50 + [9] * 50, [0] * 25 + [9] * 75
    assert agreement(first, second).kappa == pytest.approx(1 - 0.25 / 0.5)


def test_unparsed_scores_are_left_out_and_counted_and_few_pairs_say_nothing():
    found = agreement([-1, *[3, 5] * 30], [4, *[3, 5] * 30])
    assert (found.pairs, found.left_out) == (60, 1)
    assert agreement([3, 5] * 20, [3, 5] * 20).kappa is None
    assert agreement([3] * 60, [3] * 60).kappa is None
