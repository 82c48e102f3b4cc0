"""Several optimizer steps on the same rollouts: what the later ones train, and what is logged of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl.algorithms.base import LossOptions
from rl.repeats import judge_lengths
from rl.trainer import StepSRPOTrainer
from rl.training import set_up, train
from rollout.errors import UserError
from rollout.types import Problem
from tests.small_runs import metrics, recorded_groups, recorded_rollout, save_policy, small_config, write_rollouts


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def trained_tokens(tmp_path, policy, monkeypatch, repeats):
    """The tokens under the mask in each step: two generations, two steps on each, two micro-batches a step."""
    counted: list[int] = []
    compute_loss = StepSRPOTrainer._compute_loss

    def counting(self, model, inputs):
        counted.append(int(inputs["completion_mask"].sum()))
        return compute_loss(self, model, inputs)

    monkeypatch.setattr(StepSRPOTrainer, "_compute_loss", counting)
    file = write_rollouts(tmp_path / "recorded.jsonl", recorded_groups())
    trainer = {"steps": 4, "prompts_per_step": 4, "micro_batch": 8, "iterations": 2, "save_every": 4}
    algorithm = {"name": "step_srpo", "repeats": repeats} if repeats else {"name": "step_srpo"}
    config = small_config(tmp_path / "run", policy, trainer=trainer, rollout={"replay": str(file)}, algorithm=algorithm)
    train(set_up(config, show=lambda line: None))
    assert len(counted) == 8
    return [counted[i] + counted[i + 1] for i in range(0, 8, 2)]


def tokens_of(groups):
    rollouts = [rollout for group in groups for rollout in group]
    return sum(len(r.completion_ids) for r in rollouts), sum(r.switch_index + 1 for r in rollouts)


def test_later_steps_on_the_same_rollouts_train_step_srpo_s_judge_step_alone(tmp_path, policy, monkeypatch):
    every, judge = tokens_of(recorded_groups())
    assert every > 2 * judge
    assert trained_tokens(tmp_path, policy, monkeypatch, "") == [every, judge, every, judge]


def test_later_steps_can_train_all_tokens(tmp_path, policy, monkeypatch):
    every, _ = tokens_of(recorded_groups())
    assert trained_tokens(tmp_path, policy, monkeypatch, "all") == [every] * 4


def test_the_judge_step_ends_with_the_switch_and_is_all_of_a_response_without_one():
    decided = recorded_rollout(Problem("p", "1 + 1", "math", answer="2"), "no_think", "2")
    undecided = decided.__class__(**{**decided.__dict__, "switch_index": None})
    assert judge_lengths([decided, undecided]) == [decided.switch_index + 1, len(decided.completion_ids)]
    assert decided.switch_index + 1 < len(decided.completion_ids)


def test_judge_repeats_are_refused_where_judge_text_belongs_to_the_answer():
    with pytest.raises(UserError, match=r"^algorithm.repeats is 'judge' with judge_text 'answer'; allowed: all$"):
        LossOptions(repeats="judge", judge_text="answer")


def test_the_probe_counts_generations_and_each_of_its_lines_says_what_was_spent(tmp_path, policy):
    trainer = {"steps": 8, "prompts_per_step": 2, "iterations": 2, "save_every": 8}
    config = small_config(tmp_path / "run", policy, trainer=trainer, evaluation={"every": 2, "probe": 4})
    train(set_up(config, show=lambda line: None))
    records = metrics(tmp_path / "run")
    assert [record["step"] for record in records if "probe/accuracy" in record] == [4, 8]
    # A generation is logged with the first step on it, a probe with the last.
    assert [record["step"] for record in records] == [1, 3, 4, 5, 7, 8]
    spent = [record["tokens/spent"] for record in records]
    assert spent[1] == spent[2] < spent[3] < spent[4] == spent[5]
