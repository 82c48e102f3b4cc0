"""Evaluation of what another framework wrote down."""

import pytest
from factories import make_problem

from rewards.plugin import RewardError
from rewards.registry import Reward, build_rewards
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.evaluation.others import evaluate_records
from rl.evaluation.outcomes import MODE_PLAN
from rl.reports.choice import setting_lines
from rl.reports.tables import mode_lines

PROBLEMS = [make_problem("easy", "3+4?", "7", difficulty="1"), make_problem("hard", "30*41?", "1230", difficulty="2")]
CONFIG = parse_config({"rollout": {"max_new_tokens": 64}, "data": {"easy": ["1"], "hard": ["2"]}})


def rewards():
    return build_rewards([{"name": "judge"}, {"name": "math"}])


RECORDS = [
    {"id": "easy", "response": "<think>3+4</think>7", "usage": {"n": 20}, "setting": "think"},
    {"id": "easy", "response": "7", "usage": {"n": 3}, "setting": "no_think"},
    {"prompt": "3+4?", "response": "7", "usage": {"n": 3}},
]


def test_records_of_all_settings_give_the_whole_table():
    result = evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), mode_from="</think>", tokens_from="usage.n")
    assert (result["n"], result["modes"]["think"]["mean_tokens"], result["modes"]["auto"]["think_rate"]) == (
        1,
        20.0,
        0.0,
    )
    assert result["refused"] == {}


def broken_on(setting):
    """The rewards, of which one breaks on the answers of the product in this setting."""

    def breaks(rollout):
        if rollout.problem.id == "hard" and rollout.forced == MODE_PLAN[setting]:
            raise ValueError("it broke")
        return 1.0

    return [*rewards(), Reward("breaks", "answer", 1.0, breaks)]


RIGHT = [
    {"id": problem.id, "response": problem.answer, "setting": setting, "mode": mode, "usage": {"n": tokens}}
    for problem in PROBLEMS
    for setting, mode, tokens in (("think", "think", 20), ("no_think", "no_think", 3), ("auto", "no_think", 3))
]


@pytest.mark.parametrize("setting", ["think", "no_think", "auto"])
def test_a_problem_that_a_reward_broke_on_in_one_setting_is_in_no_mean_of_several(setting):
    dropped = parse_config({"reward_errors": {"policy": "drop", "max_share": 0.2}, "data": {"easy": ["1"]}})
    result = evaluate_records(dropped, PROBLEMS, RIGHT, broken_on(setting), tokens_from="usage.n")
    assert (result["n"], [row["id"] for row in result["problems"]]) == (1, ["easy"])
    assert {mode: (t["accuracy"], t["mean_tokens"]) for mode, t in result["modes"].items()} == {
        "think": (1.0, 20.0),
        "no_think": (1.0, 3.0),
        "auto": (1.0, 3.0),
    }
    assert {name: row["n"] for name, row in result["settings"].items()} == {**dict.fromkeys(MODE_PLAN, 2), setting: 1}
    strict = parse_config({"reward_errors": {"policy": "drop", "max_share": 0.1}})
    with pytest.raises(RewardError, match="rewards broke on 1 of 6 rollouts"):
        evaluate_records(strict, PROBLEMS, RIGHT, broken_on(setting), tokens_from="usage.n")


def test_tables_of_records_show_every_level_and_steer_no_terminal():
    result = evaluate_records(CONFIG, PROBLEMS, RIGHT, rewards(), tokens_from="usage.n")
    (easy,) = [line for line in mode_lines(result) if line.startswith("1 ")]
    assert easy.split() == ["1", "1", "1.000", "1.000", "1.000", "0.0%", "–"]
    lines = setting_lines({"settings": {}, "refused": {"x \x1b[2J": 1}})
    assert "\x1b" not in "".join(lines)


def test_records_of_one_setting_give_what_they_can():
    result = evaluate_records(CONFIG, PROBLEMS, RECORDS[2:], rewards(), mode_from="</think>", tokens_from="usage.n")
    assert result["settings"] == {"auto": {"n": 1, "accuracy": 1.0, "mean_tokens": 3.0, "think_rate": 0.0}}
    assert "modes" not in result


def test_a_record_without_mode_tokens_or_problem_is_refused_and_counted():
    rows = [
        *RECORDS,
        {"id": "easy", "response": "7"},
        {"id": "nobody", "response": "7", "usage": {"n": 3}},
        {"id": "hard", "usage": {"n": 3}},
        {"id": "hard", "response": "?", "usage": {"n": 3}, "setting": "maybe"},
    ]
    result = evaluate_records(CONFIG, PROBLEMS, rows, rewards(), mode_from="</think>", tokens_from="usage.n")
    assert sorted(result["refused"].values()) == [1, 1, 1, 1]
    with pytest.raises(ConfigError, match="3 × no mode"):
        evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), tokens_from="usage.n")


def test_records_with_different_numbers_of_answers_count_as_many_as_all_have():
    answers = {("easy", "think"): "7", ("easy", "no_think"): "7888", ("easy", "auto"): "7"}
    answers |= {("hard", "think"): "7", ("hard", "no_think"): "88", ("hard", "auto"): "8"}
    rows = [
        {
            "id": problem,
            "response": text,
            "tokens": 3,
            "setting": setting,
            "mode": "think" if setting == "think" else "no_think",
        }
        for (problem, setting), texts in answers.items()
        for text in texts
    ]
    direct = evaluate_records(CONFIG, PROBLEMS, rows, rewards())["modes"]["no_think"]
    # easy: one of four is right, so that two of them hold it with chance 1 - C(3, 2) / C(4, 2) = 1/2; hard: none is
    assert (direct["accuracy"], direct["pass@2"]) == (0.125, 0.25)


def test_named_groups_leave_a_response_without_either_undecided():
    pattern = "(?P<think><think>)|(?P<no_think><short>)"
    rows = [{"id": "easy", "response": text, "tokens": 3} for text in ("<think>a</think>7", "<short>7", "7")]
    result = evaluate_records(CONFIG, PROBLEMS, rows, rewards(), mode_from=pattern)
    assert result["settings"]["auto"]["think_rate"] == 0.5
    assert list(result["refused"].values()) == [1]


def test_an_expression_that_is_none_is_told():
    with pytest.raises(ConfigError, match="no regular expression"):
        evaluate_records(CONFIG, PROBLEMS, RECORDS, rewards(), mode_from="(")


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ({"tokens": float("nan")}, "1 × no token count in 'tokens'"),
        ({"tokens": float("inf")}, "1 × more tokens in 'tokens' than anybody writes"),
        ({"tokens": 10**13}, "1 × more tokens in 'tokens' than anybody writes"),
        ({"tokens": 5.9}, "1 × no whole number of tokens in 'tokens'"),
        ({"truncated": "false"}, "1 × a truncated that is neither true nor false"),
        ({"tokens": 0}, "1 × a response, and 0 tokens in 'tokens'"),
        ({"mode": "no_think", "response": "<think>a</think>2"}, "1 × a thought in a response of mode no_think"),
        ({"prompt": "9*9?"}, "1 × a prompt that is not its problem's"),
        ({"setting": ["think"]}, "1 × a setting that is none of think, no_think, auto"),
    ],
)
def test_a_record_with_a_value_of_no_use_is_counted(field, why):
    row = {"id": "p", "response": "2", "tokens": 3, "mode": "think", **field}
    with pytest.raises(ConfigError, match=f"no record to evaluate: {why}"):
        evaluate_records(parse_config({}), [make_problem(id="p")], [row], [])


def test_a_prompt_may_stand_in_a_template():
    row = {"id": "p", "prompt": "<user>\n1 +  1 <end>", "response": "2", "tokens": 3, "mode": "think"}
    result = evaluate_records(parse_config({}), [make_problem("p", "1 + 1", "2")], [row], rewards())
    assert result["settings"]["auto"]["accuracy"] == 1.0


def test_a_response_can_hold_an_expression_up_for_seconds_alone():
    row = {"id": "p", "response": "a" * 60 + "!", "tokens": 3}
    with pytest.raises(ConfigError, match="without repetitions inside of repetitions"):
        evaluate_records(parse_config({}), [make_problem(id="p")], [row], [], mode_from="^(a|aa)+$")


def test_records_that_repeat_another_are_counted_and_told():
    result = evaluate_records(CONFIG, PROBLEMS, RECORDS * 2, rewards(), mode_from="</think>", tokens_from="usage.n")
    assert result["settings"]["auto"]["n"] == 2
    assert any(line.startswith("3 records repeat another") for line in setting_lines(result))


def test_a_file_without_records_is_told():
    with pytest.raises(ConfigError, match="no record to evaluate: there is none"):
        evaluate_records(parse_config({}), [make_problem(id="p")], [], [])
