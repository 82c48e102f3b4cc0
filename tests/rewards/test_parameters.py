"""Parameters against their annotations: types, ranges, choices; nonsense is refused for every shipped function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field

from rewards.parameters import describe, typed
from rewards.registry import build_rewards
from rl.algorithms import build_algorithm
from rollout.errors import UserError


def refused(value, hint):
    try:
        typed(value, hint, "here")
    except UserError:
        return True
    return False


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (float, [0, -1.5, "1e-3"], [True, "1", None, float("nan"), float("inf")]),
        (int, [0, -3], [1.0, True, "1", None]),
        (bool, [True, False], [0, 1, "yes"]),
        (str, ["", "x"], [1, None]),
        (Annotated[float, Ge(0), Lt(1)], [0, 0.99], [1, -1e-9]),
        (Annotated[float, Gt(0), Le(1)], [1, 1e-9], [0, 1.01]),
        (Annotated[float, Field(ge=2)], [2], [1.9]),
        (Annotated[int, Gt(0)] | None, [1, None], [0, 1.5]),
        (Literal["a", 1], ["a", 1], ["b", True, None]),
        (list[str], [[], ["a"]], ["a", [1]]),
        (Sequence[Annotated[float, Ge(0)]], [(0, 1)], [[-1]]),
        (float | Mapping[str, Any], [1, {"start": 0}], ["wide", []]),
        (Callable[..., Any], [len], ["len"]),
        (Any, [object()], []),
    ],
)
def test_a_value_is_what_its_annotation_says(hint, good, bad):
    assert [refused(value, hint) for value in good] == [False] * len(good)
    assert [refused(value, hint) for value in bad] == [True] * len(bad)


def test_numbers_come_back_as_floats():
    assert repr(typed(1, float, "here")) == "1.0"
    assert typed("2E-1", Annotated[float, Ge(0)] | None, "here") == 0.2


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[float, Ge(0), Le(1)], "0 to 1"),
        (Annotated[float, Gt(0)], "above 0"),
        (Annotated[float, Le(0)], "0 or less"),
        (Annotated[float, Lt(1)], "below 1"),
        (Annotated[float, Gt(0), Lt(1)], "above 0, below 1"),
        (Annotated[int, Ge(1)], "a whole number, 1 or more"),
        (Literal["a", "b"], "a, b"),
        (float | Mapping[str, Any], "a number or a section of keys"),
        (list[str], "a list"),
    ],
)
def test_what_is_allowed_is_said_in_words(hint, words):
    assert describe(hint) == words


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "judge", "target": "hard"},
        {"name": "judge", "all_wrong": "think"},
        {"name": "judge", "margin": "wide"},
        {"name": "judge", "margin": {"start": 0}},
        {"name": "judge", "prior": -1},
        {"name": "judge", "wrong": 2},
        {"name": "judge", "weight": True},
        {"name": "judge", "domains": "math"},
        {"name": "format", "correct": "yes"},
        {"name": "format", "timeout_s": 0},
        {"name": "format", "timeout_s": "2"},
        {"name": "format", "label": 3},
        {"name": "math", "timeout_s": -1},
        {"name": "code", "cpu_s": 0},
        {"name": "code", "memory_mb": 0.5},
        {"name": "code", "reuse": "never"},
        {"name": "choice", "letters": "a-d"},
        {"name": "exact", "ignore_case": 1},
        {"name": "length", "shape": "linear"},
        {"name": "length", "shape": "target", "target": -5},
        {"name": "length", "shape": "overlong", "cache": 0},
        {"name": "length", "shape": "min_max", "of": "judge"},
        {"name": "repetition", "n": 0},
        {"name": "repetition", "max_penalty": 0.5},
        {"name": "repetition", "unit": "lines"},
        {"name": "language", "threshold": 1.5},
        {"name": "language", "scripts": ["Cyrillic"]},
        {"name": "language", "scripts": "LATIN"},
        {"name": "reasoning_gym", "partial": "some"},
        {"name": "trl", "function": 3},
        {"name": "verl", "function": "rewards.builtin.format:format_ok", "text": "all"},
    ],
    ids=str,
)
def test_a_nonsense_parameter_of_a_reward_is_refused_before_any_rollout(entry):
    named = list(entry)[-1]
    with pytest.raises(UserError, match=rf"{named}\b.* (is|has) .*; allowed: "):
        build_rewards([entry, {"name": "math", "label": "other"}])


@pytest.mark.parametrize(
    "settings",
    [
        {"kappa": -1},
        {"kappa": "2"},
        {"kappa": True},
        {"kappa": float("nan")},
        {"kappa": None},
        {"baseline": 1},
        {"baseline": "mean"},
        {"balance": 0.5},
        {"lean": 1.0},
        {"anchor": -1.0},
        {"answer_scale": "sigma"},
        {"truncated_answer": "drop"},
        {"bracket": -1},
        {"omega": -0.1},
        {"gamma": -0.1},
        {"judge_weight": "much"},
        {"judge_weight": -1},
        {"judge_mean": "words"},
        {"forced_switch": "free"},
        {"clip_high": -0.1},
        {"delta": 1.0},
        {"entropy": -1},
        {"kl": "none"},
        {"name": "grpo", "answer_scale": "max"},
        {"name": "hipo", "gamma": -1},
        {"name": "hgpo", "alpha": -1},
        {"name": "adaptthink", "delta": -0.1},
        {"name": "degrpo", "alpha": -1},
        {"name": "degrpo", "think_reward": "half"},
        {"name": "autothink", "stage": 4},
        {"name": "autothink", "stage": 1.5},
        {"name": "autothink", "target_share": 1.5},
        {"name": "autothink", "alpha": -1.0},
        {"name": "autothink", "beta": -1.0},
        {"name": "paired_routing", "scale": -1},
        {"name": "paired_routing", "margin": "wide"},
    ],
    ids=str,
)
def test_a_nonsense_parameter_of_an_algorithm_is_refused_before_any_rollout(settings):
    with pytest.raises(UserError, match=r"^algorithm\.\w+ is .*; allowed: "):
        build_algorithm(settings)


def test_a_users_function_says_its_ranges_in_the_same_way(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from typing import Annotated\nfrom pydantic import Field\n"
        "def short(rollout, limit: Annotated[int, Field(gt=0)] = 9):\n    return 1.0\n"
        "def push(group, *, force: Annotated[float, Field(ge=0, le=1)] = 0.5):\n"
        "    return group.judge_G, group.rewards_G\n"
    )
    with pytest.raises(UserError, match=r"rewards\[0\]\.limit is 0; allowed: a whole number, above 0"):
        build_rewards([{"name": f"{path}:short", "limit": 0}])
    with pytest.raises(UserError, match=r"algorithm\.force is 2; allowed: 0 to 1"):
        build_algorithm({"name": f"{path}:push", "force": 2})
