"""Every shipped algorithm in the trainer: it trains, and its loss is its formula, written out rollout by rollout."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from small_runs import metrics, recorded_groups, recorded_rollout, save_policy, small_config, write_rollouts
from trainer_setups import generation_batch

from rl.algorithms import SHIPPED
from rl.algorithms.configured import configured_algorithm, configured_loss, plan_lines
from rl.algorithms.group import free_choices
from rl.training.run import build_trainer, set_up, train
from rollout.errors import UserError
from rollout.modes import ForcedShare
from rollout.types import Problem

LOW, HIGH = 0.2, 0.28
HALF_MASKED = {
    "algorithm": {"name": "step_srpo", "forced_switch": "masked"},
    "rollout": {"forced": {"start": 0.5, "floor": 0.5, "minimum": 1}},
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def replay_setup(tmp_path, policy, groups, name, **sections):
    file = write_rollouts(tmp_path / "recorded.jsonl", groups)
    sections = {"rollout": {"replay": str(file)}, "algorithm": {"name": name}, **sections}
    return set_up(small_config(tmp_path / "run", policy, **sections), show=lambda line: None)


def free_groups():
    """One group of free choices with unequal lengths: in each mode one right and one wrong."""
    problem = Problem("p", "11 + 22", "math", answer="33")
    words = [("think", "33", "1+1+1"), ("think", "9", "2"), ("no_think", "33", ""), ("no_think", "9", "")]
    return [[recorded_rollout(problem, mode, answer, thinking=thought) for mode, answer, thought in words]]


@pytest.mark.medium
@pytest.mark.parametrize("name", SHIPPED)
def test_two_steps_have_a_finite_loss_and_a_gradient(tmp_path, policy, name):
    trainer = {"steps": 2, "prompts_per_step": 4, "save_every": 2}
    train(replay_setup(tmp_path, policy, recorded_groups(), name, trainer=trainer))
    records = metrics(tmp_path / "run")
    assert len(records) == 2
    assert all(math.isfinite(record["loss"]) and record["grad_norm"] > 1e-4 for record in records)


# --- the loss of each, written out ------------------------------------------------------------------------------------


def moved_batch(tmp_path, policy, groups, name, **sections):
    """A trainer and its generation batch, the policy moved away from the reference since it was made."""
    trainer_section = {"prompts_per_step": len(groups)}
    setup = replay_setup(tmp_path, policy, groups, name, trainer=trainer_section, **sections)
    trainer, batch = generation_batch(setup)
    move(trainer, 0, 0.02)
    return trainer, batch, [r for group in trainer.round.groups for r in group.rollouts]


def move(trainer, seed, size):
    """Noise on every weight of the policy."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(size * torch.randn_like(parameter))


def log_probs(model, rollout):
    """The log-probability of every completion token."""
    ids = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids])
    table = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    start = len(rollout.prompt_ids)
    return [table[start + t - 1, token] for t, token in enumerate(rollout.completion_ids)]


def clipped(ratio, advantage):
    return torch.min(ratio * advantage, ratio.clamp(1 - LOW, 1 + HIGH) * advantage)


def assert_same_gradient(trainer, batch, written_out):
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in trainer.model.named_parameters()}
    trainer.model.zero_grad()
    written_out.backward()
    assert loss.item() == pytest.approx(written_out.item(), abs=1e-6)
    assert max(p.grad.abs().max().item() for p in trainer.model.parameters()) > 1e-4
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_the_loss_of_degrpo_is_its_formula(tmp_path, policy):
    trainer, batch, rollouts = moved_batch(
        tmp_path, policy, free_groups(), "degrpo", algorithm={"name": "degrpo", "alpha": 0.1, "kl": 0.5}
    )
    switch, rest, tokens, kl = torch.zeros(()), torch.zeros(()), 0, torch.zeros(())
    for rollout, advantage in zip(rollouts, [0.625, -0.875, 1.125, -0.875], strict=True):
        reference = log_probs(trainer.reference.model, rollout)
        for t, value in enumerate(log_probs(trainer.model, rollout)):
            term = -clipped((value - value.detach()).exp(), advantage)
            switch, rest = (switch + term, rest) if t == rollout.switch_index else (switch, rest + term)
            gap = reference[t].detach() - value
            kl = kl + gap.exp() - gap - 1
        tokens += len(rollout.completion_ids)
    written_out = 0.1 * switch / 4 + rest / (tokens - 4) + 0.5 * kl / tokens
    assert (kl / tokens).item() > 1e-4
    assert_same_gradient(trainer, batch, written_out)


def test_the_loss_of_dr_grpo_divides_every_token_by_the_length_limit(tmp_path, policy):
    trainer, batch, rollouts = moved_batch(tmp_path, policy, free_groups(), "dr_grpo")
    total = torch.zeros(())
    for rollout, advantage in zip(rollouts, [0.5, -0.5, 0.5, -0.5], strict=True):  # r = 1.2 0.2 1.2 0.2
        for value in log_probs(trainer.model, rollout):
            total = total - clipped((value - value.detach()).exp(), advantage)
    assert_same_gradient(trainer, batch, total / (4 * 16))


def test_the_loss_of_adaptthink_is_a_sequence_ratio_against_a_coin(tmp_path, policy):
    groups = recorded_groups(2)
    trainer, _, rollouts = moved_batch(tmp_path, policy, groups, "adaptthink")
    old = [[value.item() for value in log_probs(trainer.model, rollout)] for rollout in rollouts]
    trainer.rounds.observe(trainer.round)  # the first visit, which the second is compared with
    batch = trainer._prepare_inputs([{"prompt": r.problem.id} for r in rollouts])
    trainer._compute_loss(trainer.model, batch)  # the pass of the policy that generated
    batch = trainer._buffered_inputs[0]
    move(trainer, 1, 0.03)
    # r = 1.2 0.2 1.2 1.2; the second visit's reference is the first's pass rate of thinking, 1/2
    advantages = [0.7, -0.3, 0.75, 0.75] * 2
    total, ratios = torch.zeros(()), []
    for rollout, old_T, advantage in zip(rollouts, old, advantages, strict=True):
        logs = []
        for t, (value, before) in enumerate(zip(log_probs(trainer.model, rollout), old_T, strict=True)):
            forced_switch = rollout.forced and t == rollout.switch_index
            if not rollout.forced or t >= rollout.switch_index:  # judge text of a forced rollout is not trained
                logs.append(value - (math.log(0.5) if forced_switch else before))
        ratios.append(torch.stack(logs).mean().exp())
        total = total - clipped(ratios[-1], advantage)
    assert max(abs(ratio.item() - 1) for ratio in ratios) > 0.05
    assert_same_gradient(trainer, batch, total / len(rollouts))


def test_hgpo_puts_the_modes_reward_on_the_switch_alone(tmp_path, policy):
    trainer, batch, rollouts = moved_batch(tmp_path, policy, free_groups(), "hgpo")
    tokens = batch.judge_mask_BT * batch.judge_BT + batch.answer_mask_BT * batch.answer_B.unsqueeze(1)
    assert (trainer.loss_options.judge_weight, trainer.loss_options.judge_mean) == (1.0, "tokens")
    # r_intra is 1 0 1 0 and no_think is the better mode (1 + 0.2 against 1)
    half = math.sqrt(3) / 2
    for row, (rollout, intra, inter) in enumerate(
        zip(rollouts, [half, -half, half, -half], [-half, -half, half, half], strict=True)
    ):
        expected = [intra] * len(rollout.completion_ids)
        expected[rollout.switch_index] += inter
        assert tokens[row, : len(expected)].tolist() == pytest.approx(expected, abs=1e-4)
        assert rollout.switch_index > 0


# --- plans, shares and margins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "forced"), [("adaptthink", [2, 2]), ("grpo", [0, 0]), ("paired_routing", [2, 2])])
def test_the_algorithms_plan_replaces_the_configured_one(tmp_path, policy, name, forced):
    config = small_config(tmp_path / "run", policy, algorithm={"name": name}, trainer={"prompts_per_step": 2})
    trainer = build_trainer(set_up(config, show=lambda line: None), 1)
    made = trainer.rounds.make(trainer, [p for p in list(trainer.rounds.state.rows)[:2] for _ in range(4)])
    for group in made.groups:
        assert [sum(r.forced == m for r in group.rollouts if r.mode == m) for m in ("think", "no_think")] == forced


def test_the_batchs_think_share_is_over_free_choices_of_all_groups(tmp_path, policy):
    trainer, _, _ = moved_batch(tmp_path, policy, recorded_groups(2) + _one_thinker(), "autothink")
    # the free choices: one thought and one direct answer in two groups, four thoughts in the third
    assert free_choices(trainer.round.groups) == (6, 8)


def _one_thinker():
    problem = Problem("t", "11 + 33", "math", answer="44")
    return [[recorded_rollout(problem, "think", "44") for _ in range(4)]]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"algorithm": {"name": "step_srpo", "forced_switch": "masked"}},
            "'masked' while the plan of 'step_srpo' forces all 4 rollouts",
        ),
        ({"algorithm": {"name": "bpo", "forced_switch": "masked"}}, "'masked' while the plan of 'bpo' forces all 4"),
        ({**HALF_MASKED, "stages": [{"steps": 3, "forced_share": 1.0}]}, "forces all 4 rollouts"),
        ({**HALF_MASKED, "guard": {"action": "floor", "floor": 1.0}}, "forces all 4 rollouts"),
        ({"rewards": [{"name": "judge", "margin": {"start": 1}}, {"name": "math"}]}, "judge.margin is"),
    ],
)
def test_what_could_not_train_is_refused_before_anything_is_loaded(tmp_path, sections, message):
    from rl.cli import check_light

    with pytest.raises(ValueError, match=message):
        check_light(small_config(tmp_path / "run", tmp_path / "nothing", **sections))


def test_free_choices_may_be_all_that_trains_the_judge_where_there_are_some_in_every_group(tmp_path):
    more = {"stages": [{"steps": 3, "forced_share": 0.5}], "guard": {"action": "floor", "floor": 0.5}}
    config = small_config(tmp_path / "run", tmp_path, **HALF_MASKED, **more)
    assert configured_algorithm(config).loss.forced_switch == "masked"


def test_a_forced_share_that_an_algorithm_replaces_by_its_own_is_told(tmp_path):
    def told(name, **forced):
        config = small_config(tmp_path / "run", tmp_path, algorithm={"name": name}, rollout={"forced": forced})
        return plan_lines(config, configured_algorithm(config))

    assert told("step_srpo", floor=1.0) == told("grpo", **asdict(ForcedShare())) == []
    (line,) = told("grpo", floor=1.0)
    assert "rollout.forced does nothing with grpo" in line


def test_trainer_kl_replaces_the_algorithms_own(tmp_path):
    found = []
    for name, kl in itertools.product(("step_srpo", "degrpo"), (None, 0.0, 0.2)):
        config = small_config(tmp_path / "run", tmp_path, algorithm={"name": name}, trainer={"kl": kl})
        found.append(configured_loss(config, configured_algorithm(config)).kl)
    assert found == [0.0, 0.0, 0.2, 0.001, 0.0, 0.2]


def test_an_algorithm_may_clip_as_its_own_code_does_and_is_clipped_as_the_run_where_it_does_not(tmp_path):
    found = []
    for settings in ({}, {"clip_high": 0.2}, {"clip_low": None, "clip_high": 0.5, "delta": 4.0}):
        config = small_config(tmp_path / "run", tmp_path, algorithm={"name": "grpo", **settings})
        loss = configured_loss(config, configured_algorithm(config))
        found.append((loss.clip_low, loss.clip_high, loss.delta))
    assert found == [(0.2, 0.28, None), (0.2, 0.2, None), (0.2, 0.5, 4.0)]


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_high": -0.1},
        {"clip_low": "much"},
        {"delta": 1.1},
        {"delta": float("inf")},
        {"entropy": -1.0},
        {"truncated": "skip"},
    ],
)
def test_loss_options_out_of_range_are_refused_by_name_and_value(tmp_path, settings):
    ((name, value),) = settings.items()
    config = small_config(tmp_path / "run", tmp_path, algorithm={"name": "grpo", **settings})
    with pytest.raises(UserError, match=rf"algorithm\.{name} is '?{value}'?; allowed: "):
        configured_loss(config, configured_algorithm(config))
