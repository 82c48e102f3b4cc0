"""The dial on vLLM: a dialled run is the point of the curve that the transformers engine measured."""

from __future__ import annotations

from factories import make_problem, make_protocol

from rewards.registry import build_rewards
from rl.config.read import parse_config
from rl.evaluation.dial import dialled
from rl.evaluation.evaluate import evaluate
from rl.statistics.dial import thresholds
from rollout.engines.hf import HFEngine

CLOSE = 1e-3


def test_a_dialled_run_is_the_curves_point_but_for_rows_at_the_threshold(engine, model):
    protocol = make_protocol(judge_patience=3)
    config = parse_config({"rollout": {"max_new_tokens": 14}, "protocol": {"judge_patience": 3}})
    problems = [make_problem(f"p{i}", f"{i} + {i * i % 50}", str(i), domain="math") for i in range(10, 40)]
    rewards = build_rewards([{"name": "judge"}, {"name": "format"}, {"name": "math", "weight": 0.1}])
    rows = evaluate(config, problems, HFEngine(model, protocol, 0), protocol, rewards)["problems"]
    taus, compared = thresholds(rows)[::4], 0
    assert len(taus) > 5
    for tau in taus:
        run = dialled(config, problems, tau, engine, protocol, rewards)
        for row in rows:
            rollout, mode = run[row["id"]], "think" if row["p_think"] >= tau else "no_think"
            if abs(row["p_think"] - tau) > CLOSE:
                compared += 1
                assert rollout.forced == mode
                assert [rollout.scores["correct"], len(rollout.completion_ids)] == row[mode]
    assert compared > 0.9 * len(rows) * len(taus)
