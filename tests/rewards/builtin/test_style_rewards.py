"""Rewards on how an answer is given: length in its published shapes, repetition, language. All numbers by hand."""

import math
import time

import pytest
from factories import make_problem, make_rollout

from rewards.builtin.language import language
from rewards.builtin.length import length
from rewards.builtin.repetition import repetition
from rewards.plugin import RewardError
from rewards.registry import build_rewards
from rewards.score import score_groups
from rollout.errors import UserError
from rollout.types import RolloutGroup


def sized(*rows, problem=None):
    """A group whose rows are (mode, tokens, correct)."""
    problem = problem or make_problem()
    modes = {"T": "think", "N": "no_think", "-": None}
    rollouts = [make_rollout(modes[m], tokens=n, correct=c, problem=problem) for m, n, c in rows]
    return RolloutGroup(problem, tuple(rollouts))


# --- length -----------------------------------------------------------------------------------------------------------


def test_min_max_ranks_lengths_and_never_rewards_a_wrong_answer():
    group = sized(("T", 10, 1), ("T", 20, 1), ("N", 30, 0), ("N", 10, 0), ("N", 20, 1))
    assert length(group, shape="min_max") == [0.5, 0.0, -0.5, 0.0, 0.0]


def test_min_max_within_each_mode_does_not_compare_thinking_with_direct_answers():
    group = sized(("T", 100, 1), ("T", 200, 1), ("N", 4, 1), ("N", 8, 0), ("-", 1000, 0))
    assert length(group, shape="min_max", per_mode=True) == [0.5, -0.5, 0.5, -0.5, 0.0]
    assert length(group, shape="min_max")[:2] == pytest.approx([0.5 - 96 / 196, -0.5])


def test_min_max_is_silent_where_all_are_equally_long():
    assert length(sized(("T", 9, 1), ("N", 9, 0)), shape="min_max") == [0.0, 0.0]
    assert length(sized(("T", 9, 1), ("N", 4, 1)), shape="min_max", per_mode=True) == [0.0, 0.0]
    assert length(sized(("-", 9, 0)), shape="min_max") == [0.0]


def test_target_punishes_the_distance_on_both_sides():
    group = sized(("T", 100, 1), ("T", 300, 0), ("N", 200, 1))
    assert length(group, shape="target", target=200) == pytest.approx([-0.03, -0.03, 0.0])
    assert length(group, shape="target", target=200, alpha=0.01) == pytest.approx([-1.0, -1.0, 0.0])


def test_budget_is_a_right_answers_reward_that_falls_slowly_past_the_target():
    group = sized(("T", 200, 1), ("T", 1200, 1), ("T", 9000, 1), ("T", 200, 0), ("T", 1, 1))
    # 0.5; 0.0003 * -1000 + 0.5; below 0; wrong; 0.0003 * 199 + 0.5
    assert length(group, shape="budget", target=200) == pytest.approx([0.5, 0.2, 0.0, 0.0, 0.5597])
    assert length(group, shape="budget", target=5000)[0] == 1.0


def test_a_problems_own_target_wins():
    group = sized(("T", 100, 1), problem=make_problem(metadata={"target_tokens": 300}))
    assert length(group, shape="target", target=200) == pytest.approx([-0.06])


def test_overlong_falls_from_zero_to_minus_one_over_the_cache_as_in_trl():
    from trl.rewards import get_soft_overlong_punishment

    sizes = [1, 79, 80, 81, 90, 99, 100, 101, 500]
    ours = length(sized(*(("T", n, 1) for n in sizes)), shape="overlong", max_tokens=100, cache=20)
    assert ours == pytest.approx([0.0, 0.0, 0.0, -0.05, -0.5, -0.95, -1.0, -1.0, -1.0])
    assert ours == pytest.approx(get_soft_overlong_punishment(100, 20)([[1] * n for n in sizes]))
    assert length(sized(("T", 90, 1)), shape="overlong", max_tokens=100) == [-0.5]  # a fifth of the maximum


def test_cosine_rewards_short_right_and_long_wrong_answers():
    group = sized(("T", 50, 1), ("T", 50, 0), ("T", 25, 1), ("T", 100, 1), ("N", 1, 0))
    scores = length(group, shape="cosine", max_tokens=100)
    # Half way the mean of both ends; at a quarter 0.5 + 0.25 * (1 + cos 45°); at the maximum what exceeding costs.
    assert scores[:4] == pytest.approx([0.75, -0.75, 0.5 + 0.25 * (1 + math.sqrt(0.5)), -1.0])
    assert -1.0 < scores[4] < -0.999
    own = length(group, shape="cosine", max_tokens=100, right_short=2, right_long=1, wrong_short=-10, wrong_long=0)
    assert own[:2] == pytest.approx([1.5, -5.0])


def test_the_part_that_is_measured_can_be_chosen():
    rollout = make_rollout("think", tokens=40, think_ids=(1,) * 30, answer_ids=(1,) * 5)
    group = RolloutGroup(rollout.problem, (rollout,))
    found = [length(group, shape="target", target=100, alpha=1.0, of=of)[0] for of in ("response", "think", "answer")]
    assert found == [-60.0, -70.0, -95.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "target"}, r"length\.target is None; allowed for the shape 'target': a number above 0"),
        ({"shape": "cosine"}, r"length\.max_tokens is None; allowed for the shape 'cosine'"),
        ({"shape": "overlong", "max_tokens": 0}, r"length\.max_tokens is 0; allowed"),
    ],
)
def test_a_shape_without_what_it_needs_says_so(options, message):
    with pytest.raises(UserError, match=message):
        length(sized(("T", 5, 1)), **options)


def test_length_is_added_to_the_answer_reward_and_knows_which_answers_are_right():
    rewards = build_rewards([{"name": "length", "shape": "min_max", "weight": 0.5}, {"name": "exact", "correct": True}])
    group = RolloutGroup(
        make_problem(),
        tuple(
            make_rollout("think", tokens=n, scores={}, answer_text=text) for n, text in ((4, "46"), (8, "46"), (4, "1"))
        ),
    )
    (scored,) = score_groups([group], rewards)
    assert [r.scores["answer_reward"] for r in scored.rollouts] == [1.25, 0.75, 0.0]


# --- repetition -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "n", "score"),
    [
        ((1, 2, 3, 4), 2, 0.0),
        ((5, 5, 5, 5, 5), 2, -0.75),
        ((1, 2, 1, 2, 1), 2, -0.5),  # 12 21 12 21: two different of four
        ((1, 2), 3, 0.0),
        ((), 1, 0.0),
        ((1, 2, 3, 1, 2, 3), 3, -0.25),
    ],
)
def test_repetition_is_the_share_of_repeated_ngrams_as_in_trl(ids, n, score):
    from trl.rewards import get_repetition_penalty_reward

    assert repetition(make_rollout(completion_ids=ids), n=n) == pytest.approx(score)
    assert get_repetition_penalty_reward(n)([list(ids)]) == [pytest.approx(score)]


def test_repetition_of_words_ignores_case_and_can_look_at_one_part():
    rollout = make_rollout(think_text="so so so", answer_text="So it is so it is", judge_text="x")
    # so it | it is | is so | so it | it is: three different of five
    assert repetition(rollout, n=2, unit="words", of="answer", max_penalty=-10) == pytest.approx(-4.0)
    assert repetition(rollout, n=1, unit="words", of="think") == pytest.approx(-2 / 3)


# --- language ---------------------------------------------------------------------------------------------------------


def spoken(prompt, answer, thinking="", **options):
    return language(
        make_rollout(problem=make_problem(prompt=prompt), answer_text=answer, think_text=thinking), **options
    )


@pytest.mark.parametrize(
    ("prompt", "answer", "score"),
    [
        ("What is this?", "It is a tree.", 1.0),
        ("What is this?", "Это дом", 0.0),
        ("What is this?", "tree дом", 4 / 7),
        ("Что это?", "Это дом", 1.0),
        ("这是什么？", "这是树", 1.0),
        ("这是什么？", "树 tree", 1 / 5),
        ("これは何ですか", "これは木です", 1.0),
        ("これは何ですか", "ターミナル", 1.0),
        ("이것은 무엇입니까", "나무입니다", 1.0),
        ("What is 12 + 34?", "46", 1.0),
        ("12 + 34", "что угодно", 1.0),
        ("这是 x 吗？", "是 $\\alpha + beta$ `code` \\frac x y", 1.0),
        ("这是什么？", "```python\nprint('tree')\n```\n树", 1.0),
        ("What is this?", "ｔｒｅｅ", 1.0),  # full-width Latin
        ("What is this?", "π and é", 1.0),
    ],
)
def test_language_is_the_share_of_letters_in_the_prompts_scripts(prompt, answer, score):
    assert spoken(prompt, answer) == pytest.approx(score)


def test_a_few_letters_of_another_script_in_the_prompt_do_not_allow_it():
    prompt = "Please explain in your own words what the word дом means to you today"
    assert spoken(prompt, "дом дом") == 0.0
    assert spoken("What does слово mean?", "слово") == 1.0  # a third of the letters


def test_thinking_counts_unless_only_the_answer_is_meant_and_a_threshold_makes_it_all_or_nothing():
    assert spoken("Hello", "tree", "дом") == pytest.approx(4 / 7)
    assert spoken("Hello", "tree", "дом", of="answer") == 1.0
    assert (spoken("Hello", "tree", "дом", threshold=0.5), spoken("Hello", "tree", "дом", threshold=0.9)) == (1.0, 0.0)


def test_scripts_can_be_named():
    assert spoken("Translate: hello", "дом", scripts=["CYRILLIC"]) == 1.0
    assert spoken("Translate: hello", "tree", scripts=["HIRAGANA"]) == 0.0
    assert spoken("Translate: hello", "きのこ木", scripts=["HIRAGANA"]) == 1.0


@pytest.mark.parametrize("unit", ["\\(", "\\[", "$$", "$", "`", "```", "\\a", "x "])
def test_long_texts_without_their_closing_marks_take_no_time(unit):
    started = time.process_time()
    spoken("Hello", unit * (60_000 // len(unit)))
    assert time.process_time() - started < 3.0


def test_rewards_of_style_are_found_by_name():
    names = ["length", "repetition", "language", "exact", "choice", "reasoning_gym"]
    entries = [{"name": name, **({"shape": "min_max"} if name == "length" else {})} for name in names]
    assert [r.name for r in build_rewards(entries)] == names
    with pytest.raises(RewardError, match=r"rewards\[0\] lacks the parameter 'shape'"):
        build_rewards([{"name": "length"}])
