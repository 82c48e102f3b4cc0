"""A decision between one token and any other: its probability, its forcing, and the training of that one place."""

from __future__ import annotations

import math

import pytest
import torch
from lone_switch import save_lone_switch
from small_runs import small_config
from trainer_setups import gradients, quiet_setup, rows_of

from rl.training.decision import decision_logps, log_other
from rl.training.run import build_trainer
from rollout.decision import log_other as log_other_of_floats

LONE = {"name": "adaptthink"}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_lone_switch(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def round_of(policy, tmp_path_factory):
    """A trainer on its first round and its micro-batch: of 2 prompts, 3 rollouts forced into each mode and 2 free."""

    def make(**sections):
        config = small_config(
            tmp_path_factory.mktemp("run"),
            policy,
            protocol=LONE,
            rollout={"group_size": 8, "max_new_tokens": 6, "max_prompt_tokens": 64, "forced": {"start": 0.75}},
            trainer={"prompts_per_step": 2, "balance": False},
            data={"train_size": 2},
            # The random model solves nothing, so direct answers are right and thoughts are wrong.
            rewards=[{"name": "judge", "all_wrong": "no_think", "wrong": -1}, {"name": "math"}],
            **sections,
        )
        setup = quiet_setup(config)
        trainer = build_trainer(setup, 1)
        trainer.model.eval()
        return trainer, trainer._prepare_inputs(rows_of(setup))

    return make


def test_the_rest_of_a_probability_by_hand():
    for p in (0.9, 0.25, 1e-3, 1e-9):
        logp = torch.tensor([math.log(p)], requires_grad=True)
        log_other(logp).backward()
        assert log_other(logp).item() == pytest.approx(math.log1p(-p), abs=1e-7)
        assert logp.grad.item() == pytest.approx(-p / (1 - p), rel=1e-4, abs=1e-7)
        assert log_other_of_floats(math.log(p)) == pytest.approx(math.log1p(-p), abs=1e-12)
    certain = torch.zeros(1, requires_grad=True)  # p = 1 in float32
    log_other(certain).backward()
    assert math.isfinite(log_other(certain).item())
    assert certain.grad.item() == 0.0


def test_only_the_first_column_of_rows_that_took_another_token_is_turned():
    logps_BT = torch.tensor([[0.25, 0.5], [0.25, 0.5]]).log()
    turned = decision_logps(logps_BT, torch.tensor([7, 3]), token=7).exp()
    torch.testing.assert_close(turned, torch.tensor([[0.25, 0.5], [0.75, 0.5]]))


def plain_logps(trainer, rollout, off):
    """The log-probability of each token of a rollout, its first one that of the decision, from whole logits."""
    ids = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids])
    logits = trainer.model(input_ids=ids[None]).logits[0]
    start, values = len(rollout.prompt_ids), []
    for t, token in enumerate(rollout.completion_ids):
        row = logits[start + t - 1]
        if t > 0 or token == off:
            values.append(row.log_softmax(-1)[token])
        else:
            others = torch.cat([row[:off], row[off + 1 :]])
            values.append(others.logsumexp(-1) - row.logsumexp(-1))
    return torch.stack(values)


def test_a_round_decides_as_the_plan_says_and_reports_the_probability_of_each_mode(round_of):
    trainer, _ = round_of(algorithm={"name": "step_srpo", "direct_first": False})
    (off,) = trainer.rounds.protocol.watch_ids
    for group in trainer.round.groups:
        plan = [r.forced for r in group.rollouts]
        assert plan == ["think"] * 3 + ["no_think"] * 3 + [None] * 2
        assert [r.mode for r in group.rollouts[:6]] == ["think"] * 3 + ["no_think"] * 3
        for rollout in group.rollouts:
            first = rollout.completion_ids[0]
            assert (first == off) == (rollout.mode == "no_think")
            assert rollout.switch_index == 0
            assert rollout.sampled[0] == (0 if rollout.forced and rollout.mode == "no_think" else 1)
            if rollout.forced and rollout.mode == "think":
                assert first not in trainer.rounds.protocol.end_ids
            expected = plain_logps(trainer, rollout, off)
            torch.testing.assert_close(torch.tensor(rollout.logprobs), expected.detach(), rtol=1e-4, atol=1e-5)
            assert rollout.switch_probs[rollout.mode] == pytest.approx(expected[0].exp().item(), rel=1e-4)
            assert sum(rollout.switch_probs.values()) == pytest.approx(1.0)


def test_log_probabilities_and_their_gradients_are_those_of_a_plain_loop(round_of):
    trainer, batch = round_of()
    (off,) = trainer.rounds.protocol.watch_ids
    rollouts = [r for group in trainer.round.groups for r in group.rollouts]
    logps_BT, _, _ = trainer._scores(trainer.model, batch)
    weights_BT = torch.randn(logps_BT.shape, generator=torch.Generator().manual_seed(1))
    trainer.model.zero_grad()
    (weights_BT * logps_BT).sum().backward()
    ours = {name: p.grad.clone() for name, p in trainer.model.named_parameters()}
    trainer.model.zero_grad()
    for row, rollout in enumerate(rollouts):
        values_T = plain_logps(trainer, rollout, off)
        torch.testing.assert_close(logps_BT[row, : len(values_T)], values_T, rtol=1e-4, atol=1e-5)
        (weights_BT[row, : len(values_T)] * values_T).sum().backward()
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("treatment", ["uncorrected", "importance"])
def test_the_gradient_of_the_loss_is_that_of_the_objective_written_out(treatment, round_of):
    baseline = {"baseline": "policy"} if treatment == "importance" else {}
    trainer, batch = round_of(algorithm={"name": "step_srpo", "forced_switch": treatment, **baseline})
    (off,) = trainer.rounds.protocol.watch_ids
    ours = gradients(trainer, batch)
    groups, judge, answer = trainer.round.everyone
    rollouts = [r for group in groups for r in group.rollouts]
    trainer.model.zero_grad()
    judge_sum, answer_sum, answer_tokens = 0.0, 0.0, 0
    for row, (rollout, q, a) in enumerate(zip(rollouts, judge, answer, strict=True)):
        values_T = plain_logps(trainer, rollout, off)
        weight = 1.0
        if treatment == "importance":
            mode_count = sum(r.mode == rollout.mode for r in groups[row // 8].rollouts)
            weight = rollout.switch_probs[rollout.mode] * 8 / mode_count
        judge_sum = judge_sum + weight * q * values_T[0]
        trained_T = torch.tensor(rollout.sampled[1:], dtype=torch.float32)
        answer_sum = answer_sum + (a * trained_T * values_T[1:]).sum()
        answer_tokens += int(trained_T.sum())
    (-trainer.loss_options.judge_weight * judge_sum / len(rollouts) - answer_sum / answer_tokens).backward()
    assert {q > 0 for q, r in zip(judge, rollouts, strict=True) if r.mode == "no_think"} == {True}
    assert {q < 0 for q, r in zip(judge, rollouts, strict=True) if r.mode == "think"} == {True}
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_a_coin_s_half_is_the_denominator_of_forced_decisions_in_either_mode(round_of):
    trainer, batch = round_of(algorithm={"name": "adaptthink"})
    trainer._compute_loss(trainer.model, batch)
    batch = trainer._buffered_inputs[0]
    rollouts = [r for group in trainer.round.groups for r in group.rollouts]
    forced = torch.tensor([r.forced is not None for r in rollouts])
    assert {r.mode for r in rollouts if r.forced} == {"think", "no_think"}
    torch.testing.assert_close(batch.ratio_old()[forced, 0], torch.full((int(forced.sum()),), math.log(0.5)))
    torch.testing.assert_close(batch.ratio_old()[~forced, 0], batch.policy_old()[~forced, 0])
