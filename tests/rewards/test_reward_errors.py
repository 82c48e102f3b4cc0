"""What a broken reward does to a run: it stops, or the rollout is left out of everything."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from factories import make_group
from small_runs import metrics, recorded_groups, save_policy, small_config, write_rollouts
from trainer_setups import generation_batch, objective

from rewards.plugin import RewardError
from rl.algorithms import build_algorithm
from rl.algorithms.base import group_advantages
from rl.training.run import set_up, train

FAULTS = {
    "raises": 'raise ConnectionError("gone")',
    "exits": "raise SystemExit(3)",
    "hangs": "import time; time.sleep(30)",
    "nan": 'return float("nan")',
    "none": "return None",
    "text": 'return "1.0"',
    "a list": "return [1.0, 0.0]",
}
FAULTY = """
def faulty(rollout):
    if rollout.logprobs and rollout.mode == "no_think" and not rollout.forced:
        {}
    return float(rollout.answer_text == rollout.problem.answer)


def lists(group):
    values = [float(r.answer_text == r.problem.answer) for r in group.rollouts]
    sampled = any(r.logprobs for r in group.rollouts)
    return values[:-1] if sampled and group.problem.id == "p0" else values


lists.scope = "group"
"""
PLUGIN = """
def picky(rollout):
    if rollout.logprobs and rollout.mode == "no_think" and not rollout.forced:  # sampled, not the preflight's
        raise ConnectionError("gone")
    return float(rollout.answer_text == rollout.problem.answer)
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def prepare(tmp_path, policy):
    """A run on recorded rollouts whose reward breaks on one of the four of each group."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    file = write_rollouts(tmp_path / "recorded.jsonl", recorded_groups())

    def made(**errors):
        return set_up(
            small_config(
                tmp_path / "run",
                policy,
                rewards=[{"name": "judge"}, {"name": f"{tmp_path / 'mine.py'}:picky"}],
                reward_errors=errors,
                rollout={"replay": str(file)},
                trainer={"steps": 2, "prompts_per_step": 4},
            ),
            show=lambda line: None,
        )

    return made


@pytest.mark.medium
def test_by_default_a_broken_reward_stops_the_run_and_names_reward_problem_and_rollout(prepare):
    with pytest.raises(RewardError, match=r"reward 'picky' failed on problem 'p\d', rollout 3: ConnectionError: gone"):
        train(prepare())


@pytest.mark.medium
def test_above_the_share_the_run_stops(prepare):
    with pytest.raises(RewardError, match=r"rewards broke on 4 of 16 rollouts; allowed: a share of 0.2 .* 'picky'"):
        train(prepare(policy="drop", max_share=0.2))


@pytest.mark.medium
def test_up_to_the_share_the_run_goes_on_and_counts(prepare, tmp_path):
    train(prepare(policy="drop", max_share=0.25))
    first = metrics(tmp_path / "run")[0]
    assert (first["reward/broken"], first["reward/broken_share"]) == (4.0, 0.25)
    assert first["accuracy"] == pytest.approx(8 / 12)


@pytest.mark.medium
def test_a_dropped_rollout_has_no_part_in_the_gradient(prepare):
    trainer, batch = generation_batch(prepare(policy="drop", max_share=0.25))
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    ours = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
    # Without rollout 3, think is right 1 of 2 times and direct 1 of 1: q is 0, 0, 1 and r is 1, 0, 1, right anchored.
    trainer.round.groups = [group.usable() for group in trainer.round.groups]
    trainer.model.zero_grad()
    objective(trainer, [0, 0, 1] * 4, [1.5, -0.5, 1] * 4, 0.4).backward()
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_advantages_are_those_of_the_group_without_its_broken_rollouts_and_zero_for_them():
    group = make_group("TTTNN", (1, 1, 0, 1, 0), (1, 1, 1, 0, 0))
    broken = dataclasses.replace(group.rollouts[1], scores={}, broken="no")
    mixed = dataclasses.replace(group, rollouts=(group.rollouts[0], broken, *group.rollouts[2:]))
    judge_G, answer_G, _ = group_advantages(build_algorithm({"name": "step_srpo"}), mixed, progress=0.0)
    assert judge_G.tolist() == [1.0, 0.0, 1.0, 0.0, 0.0]
    assert answer_G.tolist() == [1.5, 0.0, -0.5, 1.5, -0.5]


def test_a_group_of_broken_rollouts_alone_has_advantages_of_zero():
    group = make_group("TN", (1, 0))
    gone = tuple(dataclasses.replace(r, scores={}, broken="no") for r in group.rollouts)
    with np.errstate(all="raise"):
        gone_group = dataclasses.replace(group, rollouts=gone)
        judge_G, answer_G, _ = group_advantages(build_algorithm({"name": "grpo"}), gone_group, progress=0.0)
    assert [judge_G.tolist(), answer_G.tolist()] == [[0.0, 0.0], [0.0, 0.0]]


@pytest.fixture
def faulty_run(tmp_path, policy):
    """Train two steps with a reward that does this on some of the recorded rollouts; its metrics."""

    def made(fault: str, name: str = "faulty", **errors):
        (tmp_path / "faulty.py").write_text(FAULTY.format(FAULTS[fault]))
        config = small_config(
            tmp_path / "run",
            policy,
            rewards=[{"name": "judge"}, {"name": f"{tmp_path / 'faulty.py'}:{name}", "timeout_s": 0.3}],
            reward_errors=errors,
            rollout={"replay": str(write_rollouts(tmp_path / "recorded.jsonl", recorded_groups()))},
            trainer={"steps": 2, "prompts_per_step": 4, "save_every": 1},
        )
        train(set_up(config, show=lambda line: None))
        return metrics(tmp_path / "run")

    return made


@pytest.mark.medium
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_plug_in_does_a_run_that_drops_goes_on_without_those_rollouts_and_counts_them(fault, faulty_run):
    records = faulty_run(fault, policy="drop", max_share=0.25)
    assert [(record["reward/broken"], record["accuracy"]) for record in records] == [(4.0, pytest.approx(8 / 12))] * 2


@pytest.mark.medium
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_plug_in_does_a_run_that_stops_says_it_in_one_line(fault, faulty_run):
    with pytest.raises(RewardError, match=r"reward 'faulty' .*problem 'p\d', rollout 3"):
        faulty_run(fault)


@pytest.mark.medium
def test_a_list_of_the_wrong_length_drops_the_group_that_it_is_for(faulty_run):
    records = faulty_run("nan", "lists", policy="drop", max_share=0.25)
    assert [record["reward/broken"] for record in records] == [4.0, 4.0]
