"""Functions written for TRL and verl, unchanged."""

from decimal import Decimal

import numpy as np
import pytest
from factories import make_problem, make_rollout

from rewards.builtin.adapters import verl_reward
from rewards.plugin import RewardError
from rewards.registry import build_rewards
from rewards.score import score_groups
from rewards.values import named_scores
from rollout.types import RolloutGroup

TRL_FUNCTIONS = """
from trl.rewards import get_repetition_penalty_reward, get_soft_overlong_punishment, think_format_reward

overlong = get_soft_overlong_punishment(max_completion_len=10, soft_punish_cache=5)
repeats = get_repetition_penalty_reward(ngram_size=1)

def plain(completions, **kwargs):
    return [float(len(completion)) for completion in completions]

def shown(prompts, completions, completion_ids, solution, level, **kwargs):
    SEEN.append((prompts, completions, completion_ids, solution, level, sorted(kwargs)))
    return [1.0] * len(prompts)

SEEN = []

def some(prompts, completions, answer, **kwargs):
    return [None if gold is None else float(c == gold) for c, gold in zip(completions, answer)]

async def later(completions, scale, **kwargs):
    return [scale for _ in completions]

def short(prompts, completions, **kwargs):
    return [1.0]
"""

VERL_FUNCTIONS = """
SEEN = []

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    SEEN.append((data_source, solution_str, ground_truth, extra_info))
    return 1.0 if solution_str.split("####")[-1].strip() == ground_truth else 0.0

def signed(data_source, solution_str, ground_truth, extra_info=None):
    right = solution_str == ground_truth
    return {"score": 1.0 if right else -1.0, "acc": right, "pred": solution_str}

async def slow(data_source, solution_str, ground_truth, extra_info=None, bonus=0.0):
    return {"score": 0.5 + bonus}

def odd(data_source, solution_str, ground_truth, extra_info=None):
    return {"reward": 1.0}
"""


@pytest.fixture
def mine(tmp_path):
    """The files of a user who comes from TRL or verl."""
    for name, source in (("trl_user", TRL_FUNCTIONS), ("verl_user", VERL_FUNCTIONS)):
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


def group_of(answers=("46", "45"), thinking=("", ""), problem=None, **fields):
    problem = problem or make_problem()
    rollouts = [
        make_rollout(
            "think", answer_text=a, answer_ids=(1,) * len(a), think_text=t, problem=problem, scores={}, **fields
        )
        for a, t in zip(answers, thinking, strict=True)
    ]
    return RolloutGroup(problem, tuple(rollouts))


def score(mine, name, *groups, file="trl_user", **entry):
    """The scores of one adapted function, beside a reward that says what is right."""
    entry = {"name": "verl" if file == "verl_user" else "trl", "function": f"{mine / file}.py:{name}", **entry}
    rewards = build_rewards([{"name": "exact", "label": "gold"}, entry])
    scored = score_groups(groups or [group_of()], rewards)
    return [r.scores.get(name) for g in scored for r in g.rollouts]


# --- TRL --------------------------------------------------------------------------------------------------------------


def test_trls_own_functions_are_taken_as_they_are(mine):
    group = group_of(completion_ids=(7,) * 8)
    assert score(mine, "overlong", group) == pytest.approx([-0.6, -0.6])
    assert score(mine, "repeats", group) == pytest.approx([-0.875, -0.875])


def test_a_function_that_looks_at_the_thinking_is_shown_the_whole_response(mine):
    groups = [group_of(("46", ""), ("hm", "hm, cut o"))]
    assert score(mine, "think_format_reward", *groups) == [0.0, 0.0]
    assert score(mine, "think_format_reward", *groups, text="response") == [1.0, 0.0]


def test_trls_accuracy_reward_says_what_is_right(mine):
    pytest.importorskip("math_verify")
    (mine / "accuracy.py").write_text("from trl.rewards import accuracy_reward\n")
    group = group_of(("so $\\boxed{46}$", "so $\\boxed{45}$"))
    assert score(mine, "accuracy_reward", group, file="accuracy") == [1.0, 0.0]


def test_prompts_completions_and_columns_have_trls_form(mine):
    from rewards.lookup import find_function

    one = make_problem("p1", "1 + 1", "2", metadata={"level": 3})
    two = make_problem("p2", "1 + 2", "3", metadata={"solution": "1 + 2 = 3"})
    groups = [group_of(("2", "5"), problem=one), group_of(("3", "6"), problem=two)]
    seen = find_function(f"{mine / 'trl_user.py'}:shown").__globals__["SEEN"]
    assert score(mine, "shown", *groups) == [1.0] * 4
    prompts, completions, ids, solution, level, names = seen.pop()
    assert prompts[0] == [{"role": "user", "content": "1 + 1"}]
    assert completions[3] == [{"role": "assistant", "content": "6"}]
    assert ids[0] == [100, 101, 102, 103]
    assert solution == [None, None, "1 + 2 = 3", "1 + 2 = 3"]
    assert level == [3, 3, None, None]
    assert set(names) == {"answer", "difficulty", "domain", "id", "necessity", "source", "tests"}
    plain = group_of(problem=make_problem(metadata={"level": 1}))
    score(mine, "shown", plain, conversational=False, domains=["", "x"])
    assert seen[0][:2] == (["12 + 34"] * 2, ["46", "45"])
    assert seen[0][3] == ["46", "46"]


def test_a_conversation_is_shown_as_it_was_asked(mine):
    from rewards.lookup import find_function

    turns = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1"})
    score(mine, "shown", group_of(problem=make_problem(prompt="1 + 1", metadata={"level": 1}, messages=turns)))
    assert find_function(f"{mine / 'trl_user.py'}:shown").__globals__["SEEN"][0][0][0] == list(turns)


def test_none_is_not_applicable_as_in_trl(mine):
    some = {"function": f"{mine / 'trl_user.py'}:some", "name": "trl", "conversational": False}
    known, unknown = (
        group_of(("2", "3"), problem=make_problem("p1", answer="2")),
        group_of(problem=make_problem("p2", answer=None)),
    )
    bonus = build_rewards([{"name": "repetition", "correct": True, "max_penalty": 0}, some])
    scored = score_groups([known, unknown], bonus)
    assert [r.scores.get("some") for g in scored for r in g.rollouts] == [1.0, 0.0, None, None]
    with pytest.raises(RewardError, match="correctness of problem 'p2' was said by none of its rewards"):
        score_groups([known, unknown], build_rewards([some]))


def test_an_async_function_and_its_parameters_are_taken(mine):
    assert score(mine, "later", scale=0.25) == [0.25, 0.25]


def test_a_list_of_the_wrong_length_is_named_with_the_functions_own_name(mine):
    with pytest.raises(
        RewardError, match=r"reward 'short' on a batch of 2 rollouts.* returned \[1.0\]; allowed: a list"
    ):
        score(mine, "short")


def test_a_missing_function_is_refused(mine):
    with pytest.raises(RewardError, match=r"rewards\[0\] lacks the parameter 'function'"):
        build_rewards([{"name": "trl"}])
    with pytest.raises(RewardError, match=r"rewards\[0\]\.function: .* has no function 'gone'"):
        build_rewards([{"name": "verl", "function": f"{mine / 'verl_user.py'}:gone"}])


def test_numbers_of_numpy_and_decimals_are_metrics():
    returned = {"score": 1, "a": np.float32(0.5), "b": Decimal("0.25"), "c": np.int64(3), "d": np.array(2.0), "e": "x"}
    found = verl_reward(make_rollout(), function=lambda **_: returned)
    assert named_scores("verl", found) == {"verl": 1, "verl/a": 0.5, "verl/b": 0.25, "verl/c": 3, "verl/d": 2}


# --- verl -------------------------------------------------------------------------------------------------------------


def test_compute_score_gets_verls_four_arguments(mine):
    from rewards.lookup import find_function

    seen = find_function(f"{mine / 'verl_user.py'}:compute_score").__globals__["SEEN"]
    problem = make_problem(source="openai/gsm8k", metadata={"index": 7})
    assert score(mine, "compute_score", group_of(("so #### 46", "45"), problem=problem), file="verl_user") == [1.0, 0.0]
    assert seen[0] == ("openai/gsm8k", "so #### 46", "46", {"index": 7})
    given = {"data_source": "lighteval", "ground_truth": "\\boxed{46}", "extra_info": {"split": "train"}}
    score(mine, "compute_score", group_of(problem=make_problem(metadata=given)), file="verl_user", text="response")
    assert seen[2] == ("lighteval", "<think>\n\n</think>\n46", "\\boxed{46}", {"split": "train"})


def test_of_a_mapping_the_chosen_key_is_the_score_and_other_numbers_are_metrics(mine):
    entry = {"name": "verl", "function": f"{mine / 'verl_user.py'}:signed"}
    (scored,) = score_groups([group_of()], build_rewards([{"name": "exact"}, entry]))
    assert [r.scores["signed"] for r in scored.rollouts] == [1.0, -1.0]
    assert [r.scores["signed/acc"] for r in scored.rollouts] == [1.0, 0.0]
    (scored,) = score_groups([group_of()], build_rewards([{**entry, "key": "acc"}]))
    assert [r.scores["correct"] for r in scored.rollouts] == [1.0, 0.0]


def test_an_async_compute_score_and_its_parameters_are_taken(mine):
    assert score(mine, "slow", file="verl_user", bonus=0.25) == [0.75, 0.75]


def test_a_mapping_without_the_key_is_named(mine):
    with pytest.raises(RewardError, match="compute_score returned no key 'score'"):
        score(mine, "odd", file="verl_user")
