"""The model that a run began with is the first row, whether it has modes or has yet to learn them."""

import json

import pytest
import torch
from small_runs import save_policy, script, settings, small_config, write_config
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewards.registry import build_rewards
from rl.data import load_problems
from rl.evaluation.others import split_thought
from rl.evaluation.untouched import evaluate_plainly, needs_tokens
from rl.reports.tables import before_after_lines, untouched_rows
from rollout.errors import UserError

NEW_TOKENS = {"name": "one_token", "think": "<ponder>", "no_think": "<plainly>", "add_tokens": True}


def test_a_model_without_decision_tokens_is_asked_plainly_and_greedily(tmp_path):
    policy = save_policy(tmp_path / "policy")
    protocol = {**NEW_TOKENS, "system": "decide first"}
    data = {"test_size": 5, "shares": {"1": 0.5, "3": 0.5}}
    config = small_config(tmp_path / "run", policy, data=data, protocol=protocol, evaluation={"batch": 3})
    assert needs_tokens(config)
    problems = load_problems(config, "test")
    found = evaluate_plainly(config, problems, build_rewards(config.rewards))
    assert "modes" not in found
    assert found["settings"]["auto"]["n"] == 5
    # One row at a time, without padding, by transformers alone.
    tokenizer, model = AutoTokenizer.from_pretrained(policy), AutoModelForCausalLM.from_pretrained(policy)
    lengths = []
    for problem in problems:
        ids = torch.tensor([tokenizer(problem.prompt)["input_ids"]])
        written = model.generate(ids, do_sample=False, max_new_tokens=16, eos_token_id=tokenizer.eos_token_id)
        lengths.append(written.shape[1] - ids.shape[1])
    assert found["settings"]["auto"]["mean_tokens"] == sum(lengths) / 5


def test_a_model_with_tokens_of_its_own_has_modes_and_an_embedded_one_is_none(tmp_path):
    assert not needs_tokens(small_config(tmp_path / "run", save_policy(tmp_path / "policy")))
    with pytest.raises(UserError, match="has learned nothing"):
        needs_tokens(small_config(tmp_path / "run", tmp_path, model={"path": "tiny"}))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>3+4</think>7", ("3+4", "7")),
        ("3+4</think>7", ("3+4", "7")),  # the template opened the thought
        ("<think>\n\n</think>\n\n7", ("\n\n", "\n\n7")),
        (" <think>3+4 and then", ("3+4 and then", "")),  # cut inside the thought
        ("7", ("", "7")),
    ],
)
def test_a_thought_in_the_text_is_split_off(text, parts):
    assert split_thought(text) == parts


def test_the_untouched_model_is_the_first_row_of_the_last_table():
    plain = {"settings": {"auto": {"accuracy": 0.25, "mean_tokens": 12.0, "think_rate": 0.0}}}
    hybrid = {"modes": {"auto": {"accuracy": 0.5, "mean_tokens": 40.0, "think_rate": 1.0}}}
    assert before_after_lines({}, {}, plain)[2].split() == [
        "untouched",
        "model",
        "0.250",
        "–",
        "12.0",
        "–",
        "0.0%",
        "–",
    ]
    assert before_after_lines({}, {}, hybrid)[2].split()[2] == "0.500"
    assert before_after_lines({}, {})[2].startswith("forced think")
    assert untouched_rows({"settings": {"auto": {"accuracy": "high"}}}) == []


@pytest.mark.medium
@pytest.mark.parametrize(("protocol", "has_modes"), [(NEW_TOKENS, False), ({"judge_patience": 3}, True)])
def test_the_command_measures_it_once_and_shows_it_first(tmp_path, protocol, has_modes):
    policy = save_policy(tmp_path / "policy")
    raw = settings(tmp_path / "run", policy, data={"test_size": 4}, protocol=protocol, evaluation={"problems": 4})
    config, out = write_config(tmp_path / "c.yaml", raw), tmp_path / "run" / "eval_untouched.json"
    done = script("evaluate.py", str(config), "--untouched", "--out", str(out))
    assert done.returncode == 0, done.stderr[-2000:]
    assert ("modes" in json.loads(out.read_text())) == has_modes
    again = script("evaluate.py", str(config), "--untouched", "--out", str(out))
    assert "already finished" in again.stdout
    if has_modes:
        later = script("evaluate.py", str(config), "--model", str(policy), "--out", str(tmp_path / "run" / "eval.json"))
        assert later.stdout.splitlines()[1].startswith("untouched model")
