"""Trainers over recorded rollouts, and the objective written out rollout by rollout."""

from __future__ import annotations

from pathlib import Path

import torch
from small_runs import recorded_groups, small_config, write_rollouts

from rl.training.run import Setup, build_trainer, set_up


def quiet_setup(config) -> Setup:
    return set_up(config, show=lambda line: None)


def replay_setup(tmp_path: Path, policy: Path, groups=None, **sections) -> Setup:
    file = write_rollouts(tmp_path / "recorded.jsonl", groups or recorded_groups())
    rollout = {"replay": str(file), **sections.pop("rollout", {})}
    return quiet_setup(small_config(tmp_path / "run", policy, rollout=rollout, **sections))


def generation_batch(setup: Setup):
    """A trainer and the first micro-batch of its first round."""
    trainer = build_trainer(setup, 1)
    trainer.model.train()
    return trainer, trainer._prepare_inputs(rows_of(setup))


def rows_of(setup: Setup) -> list[dict[str, str]]:
    """What the data loader gives: every problem as often as it has rollouts."""
    return [{"prompt": p.id} for p in setup.problems for _ in range(setup.config.rollout.group_size)]


def gradients(trainer, batch) -> dict[str, torch.Tensor]:
    """The gradient of the loss of a micro-batch, by parameter."""
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def objective(trainer, judge_B, answer_B, judge_weight: float) -> torch.Tensor:
    """Section "objective" of docs/algorithm.md, written out rollout by rollout at ratio 1: the log-probability stands
    for ρ, whose gradient it has."""
    rollouts = [r for g in trainer.round.groups for r in g.rollouts]
    judge_sum, answer_sum, answer_tokens = torch.zeros(()), torch.zeros(()), 0
    for rollout, judge, answer in zip(rollouts, judge_B, answer_B, strict=True):
        ids = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids])
        logp = trainer.model(input_ids=ids[None]).logits[0].log_softmax(-1)
        start = len(rollout.prompt_ids)
        for t, token in enumerate(rollout.completion_ids):
            value = logp[start + t - 1, token]
            in_judge = t <= rollout.switch_index
            if in_judge and (not rollout.forced or t == rollout.switch_index):
                judge_sum = judge_sum + judge * value
            elif not in_judge:
                answer_sum = answer_sum + answer * value
                answer_tokens += 1
    return -judge_weight * judge_sum / len(rollouts) - answer_sum / answer_tokens
