"""Accuracy against thinking budget."""

from __future__ import annotations

import pytest
import torch
from factories import make_problem, word_tokenizer
from small_runs import recorded_rollout, save_policy, script, settings, tiny_protocol, write_config

from rewards.registry import build_rewards
from rl.config.read import parse_config
from rl.config.schema import ConfigError
from rl.evaluation.budget import budget_curve, was_closed
from rl.worlds.model import build_model
from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine
from rollout.protocol import DecisionProtocol, layout


def test_a_point_holds_the_means_of_what_the_engine_answers_under_its_budget():
    protocol = DecisionProtocol(word_tokenizer(["<think>", "</think>", "<no_think>"]), layout("one_token"))
    model = build_model(protocol.tokenizer, 0, hidden=32, layers=1).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(0))
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    config = parse_config(
        {
            "protocol": {"name": "one_token"},
            "rollout": {"max_new_tokens": 12},
            "rewards": [{"name": "exact"}],
            "evaluation": {"budget": "4,1,4"},
        }
    )
    problems = [make_problem(f"p{k}", text, "a") for k, text in enumerate(("a b", "7", "42 b", "c a"))]
    points = budget_curve(config, problems, engine, protocol, build_rewards(config.rewards))
    assert [(point["budget"], point["n"]) for point in points] == [(1, 4), (4, 4)]
    for point in points:
        greedy = Sampling(temperature=0.0, max_new_tokens=12, thinking_budget=point["budget"])
        rows = engine.generate([Request(protocol.render(p.prompt), "think") for p in problems], greedy, 0)
        assert point["think"]["tokens"][0] == sum(len(row.ids) for row in rows) / 4
        # Beside the switch only a closing tag is written for a row.
        assert point["think"]["closed"] == sum(0 in row.sampled[1:] for row in rows) / 4
        assert point["think"]["thoughts"] == 4
    assert points[0]["think"]["closed"] > 0


def test_a_thought_that_ends_before_its_budget_was_not_closed_by_it():
    protocol = tiny_protocol()
    ids = recorded_rollout(make_problem(), "think", "46", thinking="1+1").completion_ids
    assert not was_closed(ids, 4, protocol)
    assert was_closed(ids, 3, protocol)  # the budget is used up just there, so its tags are the ones that were written
    assert not was_closed(ids, 2, protocol)
    assert not was_closed(recorded_rollout(make_problem(), "no_think", "46").completion_ids, 0, protocol)


@pytest.mark.parametrize("text", ["-1", "a", "4,x", "4.5", "true", "16"])
def test_a_budget_that_is_none_or_that_no_response_can_use_up_is_refused(text, tmp_path):
    raw = settings(tmp_path, tmp_path, evaluation={"budget": text if text != "true" else True})
    with pytest.raises(ConfigError, match=r"evaluation\.budget"):
        parse_config(raw)


@pytest.mark.medium
def test_the_command_prints_the_curve_and_leaves_nothing_behind(tmp_path):
    policy = save_policy(tmp_path / "policy")
    raw = settings(tmp_path / "run", policy, evaluation={"problems": 4, "budget": [0, 2]})
    file = write_config(tmp_path / "run.yaml", raw)
    done = script("evaluate.py", str(file), "--model", str(policy), "--out", str(tmp_path / "e.json"))
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("budget")] == [
        "budget 0",
        "budget 2",
    ]
    assert not list(tmp_path.glob("e.json*rows*"))
