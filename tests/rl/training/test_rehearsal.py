"""Answers of the cold start in the update: their part of the gradient, by hand, and when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import save_policy, small_config, tiny_protocol
from trainer_setups import gradients, quiet_setup, replay_setup, rows_of

from rl.config.schema import ConfigError
from rl.curriculum.rehearsal import IGNORE, keep_rehearsal, rows_of_round
from rl.models.location import REHEARSAL
from rl.training.run import build_trainer, set_up
from rl.training.work import training_work


def with_rows(folder: Path) -> Path:
    """A policy whose cold start left six rows."""
    policy, protocol, rows = save_policy(folder), tiny_protocol(), []
    for number, (mode, thinking) in enumerate([("think", "1+1"), ("no_think", "")] * 3):
        prompt = protocol.render(f"{number} + 4")
        response = protocol.response(mode, str(number), thinking, "hm")
        rows.append({"input_ids": [*prompt, *response], "labels": [IGNORE] * len(prompt) + list(response)})
    keep_rehearsal(policy, rows, seed=0)
    return policy


def round_gradient(folder, policy, weight, micro_batch):
    """The trainer after a whole step's backward passes, and the gradient by parameter."""
    folder.mkdir()
    algorithm = {"name": "step_srpo", "rehearsal": weight}
    setup = replay_setup(folder, policy, algorithm=algorithm, trainer={"micro_batch": micro_batch})
    trainer = build_trainer(setup, 1)
    trainer.model.train()
    total: dict[str, torch.Tensor] = {}
    for micro in range(trainer.args.gradient_accumulation_steps):
        trainer._step = micro
        for name, gradient in gradients(trainer, trainer._prepare_inputs(rows_of(setup))).items():
            total[name] = total.get(name, torch.zeros_like(gradient)) + gradient
    return trainer, total


@pytest.mark.parametrize("micro_batch", [0, 4])
def test_the_gradient_has_the_mean_of_the_rehearsed_answers_in_it(tmp_path, micro_batch):
    policy = with_rows(tmp_path / "policy")
    _, without = round_gradient(tmp_path / "none", policy, 0.0, micro_batch)
    trainer, found = round_gradient(tmp_path / "half", policy, 0.5, micro_batch)
    rows = rows_of_round(trainer.rounds.rehearsed, trainer.config.trainer.prompts_per_step, trainer.config.seed, 0)
    total, tokens = torch.zeros(()), 0
    for row in rows:
        ids = torch.tensor([*row.prompt_ids, *row.completion_ids])
        logps = trainer.model(input_ids=ids[None]).logits[0].log_softmax(-1)
        for place in range(len(row.prompt_ids) + row.switch_index + 1, len(ids)):
            total, tokens = total - logps[place - 1, ids[place]], tokens + 1
    trainer.model.zero_grad()
    (0.5 * total / tokens).backward()
    expected = {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}
    assert (len(rows), tokens) == (2, sum(len(r.completion_ids) - r.switch_index - 1 for r in rows))
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        assert torch.allclose(found[name] - without[name], gradient, atol=1e-6), name


def test_rehearsal_that_is_asked_for_needs_the_rows_of_a_cold_start(tmp_path):
    policy = save_policy(tmp_path / "policy")
    asked = {"name": "adaptthink", "rehearsal": 1.0}
    with pytest.raises(
        ConfigError, match=rf"algorithm.rehearsal is 1.0 and \S+policy has no {REHEARSAL}.*; allowed: 0"
    ):
        quiet_setup(small_config(tmp_path / "run", policy, algorithm=asked))
    lines: list[str] = []
    setup = set_up(small_config(tmp_path / "run", policy, algorithm={"name": "step_srpo"}), show=lines.append)
    assert setup.rehearsed == []
    assert build_trainer(setup, 1).loss_options.rehearsal == 0.0
    assert [line for line in lines if line.startswith("rehearsal: none")]
    assert not quiet_setup(small_config(tmp_path / "run", policy, algorithm={"name": "grpo"})).rehearsed


def test_other_rows_are_another_run(tmp_path):
    policy = with_rows(tmp_path / "policy")
    config = small_config(tmp_path / "run", policy)
    before = training_work(config).settings
    (policy / REHEARSAL).unlink()
    assert training_work(config).settings != before
