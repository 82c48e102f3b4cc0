"""Balanced updates against TRL's own: the same gradient and metrics, fewer tokens through the model."""

from __future__ import annotations

import pytest
import torch
import trl.trainer.utils as utils
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer

from rl.training.balanced_trainer import BalancedGRPOTrainer
from rl.worlds.model import build_model, build_tokenizer

# Total lengths 6, 43, 8, 5, 23, 4, 33, 16; the longest prompt does not belong to the longest completion.
PROMPTS = (3, 3, 5, 2, 20, 1, 3, 12)
COMPLETIONS = (3, 40, 3, 3, 3, 3, 30, 4)


def random_rows(lengths, seed):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randint(12, 30, (n,), generator=rng).tolist() for n in lengths]


def replay(prompts, trainer):
    masks = [[int(i % 5 != 1) for i in range(n)] for n in COMPLETIONS]
    ids = {"prompt_ids": random_rows(PROMPTS, 0), "completion_ids": random_rows(COMPLETIONS, 1)}
    return {**ids, "logprobs": None, "env_mask": masks}


def reward(completions, **_):
    return [float(i % 3) for i in range(len(completions))]


def make_trainer(cls, tmp_path, micro_batch=8, peft=False, **options):
    settings = {
        "gradient_accumulation_steps": 8 // micro_batch,
        "steps_per_generation": 8 // micro_batch,
        "num_generations": 4,
        "max_steps": 1,
        "learning_rate": 1.0,
        "optim": "sgd",
        "max_grad_norm": 1e9,
        "temperature": 0.7,
        "loss_type": "dapo",
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        **options,
    }
    tokenizer = build_tokenizer()
    policy = tmp_path / "policy"
    build_model(tokenizer, 0, hidden=32, layers=2).save_pretrained(policy)
    return cls(
        model=str(policy),
        reward_funcs=[reward],
        args=GRPOConfig(output_dir=str(tmp_path), per_device_train_batch_size=micro_batch, **settings),
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
        processing_class=tokenizer,
        rollout_func=replay,
        peft_config=LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM") if peft else None,
    )


def update(trainer):
    """What one step of plain gradient descent adds to each weight, and what TRL logged."""
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    moved = {name: p.detach() - before[name] for name, p in trainer.model.named_parameters() if p.requires_grad}
    return moved, trainer.state.log_history[0]


def assert_same(ours, peer):
    assert max(change.abs().max().item() for change in peer.values()) > 1e-3
    for name, change in peer.items():
        torch.testing.assert_close(ours[name], change, rtol=1e-4, atol=1e-6)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("micro_batch", "options"),
    [
        (8, {}),
        (2, {}),
        (4, {"gradient_checkpointing": True}),
        (4, {"beta": 0.5}),
        (4, {"num_iterations": 2, "max_steps": 2}),
        (8, {"peft": True}),
    ],
    ids=["all at once", "micro-batches", "checkpointing", "kl", "two iterations", "adapters"],
)
def test_the_update_is_that_of_trl(tmp_path, micro_batch, options):
    torch.manual_seed(0)
    ours, our_log = update(make_trainer(BalancedGRPOTrainer, tmp_path, micro_batch, **options))
    torch.manual_seed(0)
    peer, peer_log = update(make_trainer(GRPOTrainer, tmp_path, micro_batch, **options))
    assert_same(ours, peer)
    for key in ("loss", "grad_norm", "num_tokens"):
        assert our_log[key] == pytest.approx(peer_log[key], rel=1e-4, abs=1e-6)


def test_with_one_micro_batch_every_metric_of_trl_is_unchanged(tmp_path):
    _, ours = update(make_trainer(BalancedGRPOTrainer, tmp_path))
    _, peer = update(make_trainer(GRPOTrainer, tmp_path))
    for key in ("entropy", "clip_ratio/region_mean", "clip_ratio/high_max", "completions/mean_length", "reward"):
        assert ours[key] == pytest.approx(peer[key], rel=1e-5)


def widths(trainer):
    """The (rows, columns) that go through the backbone while the trainer trains."""
    seen = []
    backbone = trainer.model.base_model
    backbone.register_forward_pre_hook(lambda *a: seen.append(tuple(a[2]["input_ids"].shape)), with_kwargs=True)
    trainer.train()
    return seen


def test_each_part_is_as_wide_as_its_longest_row(tmp_path, monkeypatch):
    monkeypatch.setattr("rl.training.balanced_trainer.FORWARD_PRICE", {"cpu": 8})
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path)
    # 43 and 33 together would cost 10 tokens more, above the 8 of a forward pass; 23 and 16 only 7.
    assert widths(trainer) == [(1, 43), (1, 33), (2, 23), (4, 8)]


def test_a_wide_prompt_and_a_wide_completion_of_two_rows_do_not_add_up(tmp_path, monkeypatch):
    monkeypatch.setattr("rl.training.balanced_trainer.FORWARD_PRICE", {"cpu": 10**6})
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path)
    assert widths(trainer) == [(8, 43)]  # TRL: 20 prompt columns and 40 completion columns, 60


def test_prompts_do_not_pass_through_the_head(tmp_path, monkeypatch):
    scored = []
    original = utils._ChunkedLogProbFunction.apply

    def counted(hidden, *others):
        scored.append(len(hidden))
        return original(hidden, *others)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", counted)
    monkeypatch.setattr("rl.training.balanced_trainer.FORWARD_PRICE", {"cpu": 8})
    make_trainer(BalancedGRPOTrainer, tmp_path).train()
    # Completions of 40 and 30 tokens; two rows from the shorter prompt (12) to 23; four rows from column 1 to 8.
    assert scored == [40, 30, 2 * 11, 4 * 7]


def test_micro_batches_are_regrouped_by_length(tmp_path):
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path, micro_batch=2)
    assert widths(trainer) == [(1, 43), (1, 33), (2, 23), (4, 8)]


def test_without_balance_the_rows_go_as_trl_groups_them(tmp_path):
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path, micro_batch=4)
    trainer.balance = False
    assert widths(trainer) == [(4, 60), (4, 60)]


def test_a_step_is_one_forward_pass_a_part_and_old_log_probabilities_cost_none(tmp_path):
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path, micro_batch=4)
    assert sum(rows for rows, _ in widths(trainer)) == 8


def test_inputs_that_rows_cannot_be_cut_from_go_to_trl_as_they_are(tmp_path):
    trainer = make_trainer(BalancedGRPOTrainer, tmp_path)
    ids = torch.full((2, 12), 13)
    mask = torch.tensor([[0] * 9 + [1] * 3, [0] * 9 + [1] * 3])
    seen = []
    trainer.model.base_model.register_forward_pre_hook(
        lambda *a: seen.append(tuple(a[2]["input_ids"].shape)), with_kwargs=True
    )
    with torch.no_grad():
        for types in (None, torch.zeros_like(ids)):
            trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 2, token_type_ids=types)
    assert seen == [(2, 3), (2, 12)]
