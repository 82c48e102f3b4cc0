"""From a line of configuration to a reward function."""

import pytest

from rewards.builtin.format import format_ok
from rewards.builtin.judge import judge
from rewards.builtin.math_answer import math
from rewards.registry import RewardError, build_rewards, find_function

MATH = {"name": "math"}


@pytest.fixture
def plugin(tmp_path):
    """A user's reward file outside the project."""
    path = tmp_path / "mine.py"
    path.write_text(
        "LIMIT = 3\n"
        "def short(rollout, *, limit=5, base=0.0):\n"
        "    return 1.0 if len(rollout.completion_ids) <= limit else base\n"
        "def anything(rollout, **parameters):\n"
        "    return parameters['value']\n",
        encoding="utf-8",
    )
    return path


def test_shipped_names_lead_to_their_functions():
    assert find_function("judge") is judge
    assert find_function("math") is math
    assert find_function("format") is format_ok
    assert find_function("code").__name__ == "code_tests"


@pytest.mark.parametrize("name", ["rewards.builtin.format.format_ok", "rewards.builtin.format:format_ok"])
def test_a_dotted_path_leads_to_its_function(name):
    assert find_function(name) is format_ok


def test_a_function_in_a_users_file_is_found_by_path(plugin):
    (_, reward) = build_rewards([MATH, {"name": f"{plugin}:short", "limit": 2, "weight": 0.5}])
    assert (reward.name, reward.step, reward.weight, reward.parameters) == ("short", "answer", 0.5, {"limit": 2})
    assert reward.function.__name__ == "short"


def test_a_relative_path_is_read_from_the_working_folder(plugin, monkeypatch):
    monkeypatch.chdir(plugin.parent)
    assert find_function("mine.py:short").__name__ == "short"


def test_steps_weights_and_correct_have_the_documented_defaults():
    rewards = build_rewards([{"name": "judge", "margin": 0.1}, MATH, {"name": "format", "weight": 0.2}])
    assert [(r.name, r.step, r.weight, r.correct) for r in rewards] == [
        ("judge", "judge", 1.0, False),
        ("math", "answer", 1.0, True),
        ("format", "answer", 0.2, False),
    ]
    assert rewards[0].parameters == {"margin": 0.1}


def test_correct_can_be_marked_on_another_answer_reward():
    rewards = build_rewards([{"name": "format"}, {"name": "math", "correct": True}])
    assert [r.correct for r in rewards] == [False, True]


def test_a_reward_can_be_placed_in_the_judge_step(plugin):
    rewards = build_rewards([MATH, {"name": f"{plugin}:short", "step": "judge"}])
    assert rewards[1].step == "judge"


def test_the_same_reward_twice_needs_a_label(plugin):
    with pytest.raises(RewardError, match="the name 'math' is used twice"):
        build_rewards([MATH, MATH])
    rewards = build_rewards([MATH, {"name": "math", "label": "again", "timeout_s": 1.0}])
    assert [r.name for r in rewards] == ["math", "again"]


@pytest.mark.parametrize("name", ["correct", "answer_reward", "judge_reward"])
def test_the_names_of_derived_scores_are_reserved(name):
    with pytest.raises(RewardError, match=f"the name '{name}' is used twice or reserved"):
        build_rewards([{"name": "math", "label": name}])


def test_domains_and_sources_limit_a_reward():
    (reward,) = build_rewards([{"name": "math", "domains": ["math", "physics"], "sources": ["gsm8k"]}])
    assert reward.applies_to("math", "gsm8k")
    assert not reward.applies_to("code", "gsm8k")
    assert not reward.applies_to("math", "aime")
    assert build_rewards([MATH])[0].applies_to("anything", "anywhere")


def test_the_judge_takes_a_group_and_its_history_and_math_neither():
    of_group, of_rollout = build_rewards([{"name": "judge"}, MATH])
    assert (of_group.scope, of_group.wants("history")) == ("group", True)
    assert (of_rollout.scope, of_rollout.wants("history")) == ("rollout", False)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(RewardError, match=r"rewards\[1\]: no reward named 'fromat'; did you mean 'format'\?"):
        build_rewards([MATH, {"name": "fromat"}])


def test_a_name_like_no_other_is_answered_with_the_list():
    with pytest.raises(RewardError, match=r"no reward named 'zzz' \(known: judge, math, math_verify, code, format"):
        find_function("zzz")


def test_a_misspelt_parameter_is_answered_with_the_nearest(plugin):
    with pytest.raises(RewardError, match=r"rewards\[0\] has an unknown parameter 'margn'; did you mean 'margin'\?"):
        build_rewards([{"name": "judge", "margn": 0.1}, MATH])
    with pytest.raises(RewardError, match=r"unknown parameter 'zzz'; allowed: limit, base"):
        build_rewards([MATH, {"name": f"{plugin}:short", "zzz": 1}])
    with pytest.raises(RewardError, match=r"unknown parameter 'strict'; allowed: none"):
        build_rewards([MATH, {"name": "format", "strict": True}])


def test_history_is_given_by_the_scorer_and_cannot_be_configured():
    with pytest.raises(RewardError, match="unknown parameter 'history'"):
        build_rewards([{"name": "judge", "history": {}}, MATH])


def test_a_function_that_takes_any_keyword_takes_any_parameter(plugin):
    (reward,) = build_rewards([{"name": f"{plugin}:anything", "value": 3}])
    assert reward.parameters == {"value": 3}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"rewards\[0\]\.name is None"),
        ({"name": 3}, r"rewards\[0\]\.name is 3"),
        ({"name": "math", "step": "think"}, r"rewards\[0\]\.step is 'think'; allowed: judge, answer"),
        ({"name": "nowhere.py:f"}, r"rewards\[0\]: no file 'nowhere\.py'"),
        ({"name": "no_such_module_here.f"}, r"rewards\[0\]: cannot import 'no_such_module_here'"),
        ({"name": "rewards.builtin.format:nothing"}, r"rewards\.builtin\.format has no function 'nothing'"),
    ],
)
def test_a_broken_entry_is_named_with_its_place(entry, message):
    with pytest.raises(RewardError, match=message):
        build_rewards([entry])


def test_a_constant_is_no_reward(plugin):
    with pytest.raises(RewardError, match="has no function 'LIMIT'"):
        find_function(f"{plugin}:LIMIT")


def test_a_run_without_an_answer_reward_is_refused():
    with pytest.raises(RewardError, match="no entry with step 'answer'"):
        build_rewards([{"name": "judge"}])


# --- scopes, limits, functions of functions ---------------------------------------------------------------------------


@pytest.fixture
def marked(tmp_path):
    """A reward file with every kind of mark."""
    path = tmp_path / "marked.py"
    path.write_text(
        "from rewards.plugin import batch_reward, group_reward\n"
        "@group_reward\n"
        "async def whole(group, *, history=None): return [1.0] * len(group.rollouts)\n"
        "@batch_reward\n"
        "def many(rollouts): return [1.0] * len(rollouts)\n"
        "def bare(group): return []\n"
        "bare.scope = 'group'\n"
        "def odd(rollout): return 1.0\n"
        "odd.scope = 'galaxy'\n"
        "@batch_reward\n"
        "def past(rollouts, history): return []\n"
        "def needs(rollout, *, target): return 1.0\n"
        "def wraps(rollout, *, function, scale=1.0): return function(rollout) * scale\n",
        encoding="utf-8",
    )
    return path


def test_decorators_and_a_plain_attribute_say_what_a_function_takes(marked):
    rewards = build_rewards([MATH, *({"name": f"{marked}:{name}"} for name in ("whole", "many", "bare"))])
    assert [r.scope for r in rewards] == ["rollout", "group", "batch", "group"]


def test_an_unknown_scope_and_a_batch_with_history_are_refused(marked):
    with pytest.raises(RewardError, match=r"rewards\[0\]: its scope is 'galaxy'; allowed: rollout, group, batch"):
        build_rewards([{"name": f"{marked}:odd"}])
    with pytest.raises(RewardError, match=r"rewards\[0\] is a batch reward with a parameter 'history'"):
        build_rewards([{"name": f"{marked}:past"}])


def test_a_parameter_without_default_must_be_given(marked):
    with pytest.raises(RewardError, match=r"rewards\[0\] lacks the parameter 'target', which has no default"):
        build_rewards([{"name": f"{marked}:needs"}])
    assert build_rewards([{"name": f"{marked}:needs", "target": 3}])[0].parameters == {"target": 3}


def test_a_time_limit_is_kept_apart_from_the_parameters(marked):
    (reward,) = build_rewards([{"name": f"{marked}:needs", "target": 3, "timeout_s": 5}])
    assert (reward.timeout_s, reward.parameters) == (5.0, {"target": 3})
    assert build_rewards([MATH])[0].timeout_s is None


def test_a_function_that_takes_a_time_limit_itself_gets_it_as_a_parameter():
    (reward,) = build_rewards([{"name": "math", "timeout_s": 0.5}])
    assert (reward.timeout_s, reward.parameters) == (None, {"timeout_s": 0.5})


def test_a_parameter_called_function_is_looked_up_and_names_the_reward(marked, plugin):
    (reward,) = build_rewards([{"name": f"{marked}:wraps", "function": f"{plugin}:short", "scale": 2.0}])
    assert reward.name == "short"
    assert reward.parameters["function"].__name__ == "short"
    with pytest.raises(RewardError, match=r"rewards\[0\]\.function: no file 'gone\.py'"):
        build_rewards([{"name": f"{marked}:wraps", "function": "gone.py:f"}])
