"""Our update against TRL's own on the same rollouts: the same gradient, fewer tokens through the model.

The algorithm is Dr.GRPO's advantage in one mean over tokens, which is TRL's `dapo` without scaling.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import trl.trainer.utils as utils
from datasets import Dataset
from small_runs import save_policy, small_config, write_rollouts
from trainer_setups import generation_batch, quiet_setup
from transformers import AutoModelForCausalLM, PhimoeConfig, PhimoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
from trl import GRPOTrainer

from rl.models.adapters import lora_config
from rl.training import scoring
from rl.training.run import build_trainer, grpo_config
from rl.training.scoring import check_router
from rl.worlds.model import build_tokenizer
from rollout.errors import UserError
from rollout.types import Problem, Rollout

# Total lengths 6, 43, 8, 5, 23, 4, 33, 16; the longest prompt does not belong to the longest completion.
PROMPTS = (3, 3, 5, 2, 20, 1, 3, 12)
COMPLETIONS = (3, 40, 3, 3, 3, 3, 30, 4)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def random_rows(lengths, seed):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randint(12, 30, (n,), generator=rng).tolist() for n in lengths]


def rollouts() -> list[list[Rollout]]:
    """Two groups of four; every fifth token was not sampled and is not trained."""
    rows = zip(random_rows(PROMPTS, 0), random_rows(COMPLETIONS, 1), strict=True)
    made = [
        Rollout(
            problem=Problem(f"p{number // 4}", "1 + 1", "math", answer="2"),
            mode="think",
            forced=None,
            status="ok",
            prompt_ids=tuple(prompt),
            completion_ids=tuple(completion),
            judge_ids=tuple(completion[:1]),
            switch_index=0,
            answer_text="2" if number % 3 else "3",
            logprobs=(-1.0,) * len(completion),
            sampled=tuple(int(i % 5 != 1) for i in range(len(completion))),
            switch_probs={"think": 0.5, "no_think": 0.5},
        )
        for number, (prompt, completion) in enumerate(rows)
    ]
    return [made[:4], made[4:]]


def configured(tmp_path, policy, micro_batch, trainer=None, model=None):
    file = write_rollouts(tmp_path / "recorded.jsonl", rollouts())
    return small_config(
        tmp_path / "run",
        policy,
        rollout={"replay": str(file), "temperature": 0.7},
        rewards=[{"name": "judge"}, {"name": "math"}],
        model={"path": str(policy), "gradient_checkpointing": False, **(model or {})},
        algorithm={"name": "dr_grpo", "answer_mean": "tokens"},
        trainer={"steps": 1, "prompts_per_step": 2, "micro_batch": micro_batch, "learning_rate": 1.0,
                 "max_grad_norm": 1e9, "save_every": 120, **(trainer or {})},
    )  # fmt: skip


def plain_descent(trainer):
    trainer.args.optim = "sgd"
    return trainer


def our_trainer(config):
    return plain_descent(build_trainer(quiet_setup(config), 1))


def trl_trainer(config):
    made = [r for group in rollouts() for r in group]

    def replay(prompts, trainer):
        return {
            "prompt_ids": [list(r.prompt_ids) for r in made],
            "completion_ids": [list(r.completion_ids) for r in made],
            "logprobs": None,
            "env_mask": [list(r.sampled) for r in made],
        }

    def reward(completions, **_):
        return [float(r.answer_text == "2") for r in made]

    args = grpo_config(config, 1)
    args.loss_type, args.scale_rewards, args.beta = "dapo", "none", config.trainer.kl or 0.0
    args.use_bias_correction_kl = False
    args.epsilon, args.epsilon_high = config.trainer.clip_low, config.trainer.clip_high
    setup = quiet_setup(config)
    return plain_descent(
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(config.model.path),
            reward_funcs=[reward],
            args=args,
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
            processing_class=setup.tokenizer,
            rollout_func=replay,
            peft_config=lora_config(config, setup.model, setup.tokenizer),
        )
    )


def update(trainer):
    """What plain gradient descent adds to each weight, and what was logged."""
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    moved = {name: p.detach() - before[name] for name, p in trainer.model.named_parameters() if p.requires_grad}
    return moved, trainer.state.log_history


@pytest.mark.medium
@pytest.mark.parametrize(
    ("micro_batch", "trainer", "model"),
    [
        (8, {}, {}),
        (2, {}, {}),
        (4, {}, {"gradient_checkpointing": True}),
        (4, {"kl": 0.5, "iterations": 2, "steps": 2}, {}),
        (4, {"iterations": 3, "steps": 3}, {}),
        (8, {}, {"lora": {"rank": 2}}),
        (8, {"balance": False}, {}),
        (2, {"balance": False}, {}),
    ],
    ids=["all at once", "micro-batches", "checkpointing", "kl", "iterations", "adapters", "unbalanced", "unbalanced 2"],
)
def test_the_update_is_that_of_trl(tmp_path, policy, micro_batch, trainer, model):
    config = configured(tmp_path, policy, micro_batch, trainer, model)
    ours, our_log = update(our_trainer(config))
    peer, peer_log = update(trl_trainer(config))
    assert max(change.abs().max().item() for change in peer.values()) > 1e-3
    for name, change in peer.items():
        torch.testing.assert_close(ours[name], change, rtol=1e-4, atol=2e-6)
    for our_record, peer_record in zip(our_log[:-1], peer_log[:-1], strict=True):
        for key in ("loss", "grad_norm"):
            assert our_record[key] == pytest.approx(peer_record[key], rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    """A mixture of four experts whose router loss weighs as much as the objective."""
    folder, tokenizer = tmp_path_factory.mktemp("experts"), build_tokenizer()
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, moe_intermediate_size=16,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=8, num_experts=4,
        num_experts_per_tok=2, decoder_sparse_step=1, max_position_embeddings=128, router_aux_loss_coef=1.0,
        output_router_logits=True, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    Qwen3MoeForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.medium
def test_a_mixture_of_experts_has_its_router_loss_added_as_trl_adds_it(tmp_path, experts):
    config = configured(tmp_path, experts, 8)
    made = our_trainer(config)
    ours, our_log = update(made)
    peer, peer_log = update(trl_trainer(config))
    assert made.aux_loss_enabled
    assert peer_log[0]["aux_loss"] > 1.0
    assert our_log[0]["loss"] == pytest.approx(peer_log[0]["loss"], rel=1e-4)
    assert max(peer[name].abs().max().item() for name in peer if "gate.weight" in name) > 1e-3
    for name, change in peer.items():
        torch.testing.assert_close(ours[name], change, rtol=1e-3, atol=2e-6)


@pytest.mark.medium
def test_the_router_loss_of_micro_batches_is_their_mean(tmp_path, experts):
    one, two = (update(our_trainer(configured(tmp_path, experts, size)))[1][0]["loss"] for size in (8, 4))
    assert one == pytest.approx(two, rel=0.05)


def test_a_router_loss_that_the_head_cannot_compute_is_refused_by_name(tmp_path, experts):
    check_router(AutoModelForCausalLM.from_pretrained(experts))
    config = PhimoeConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"PhimoeForCausalLM .*num_experts.*; allowed: "):
        check_router(PhimoeForCausalLM(config))


def widths(trainer):
    """The (rows, columns) that go through the backbone while the trainer trains."""
    seen = []
    backbone = trainer.model.base_model
    backbone.register_forward_pre_hook(lambda *a: seen.append(tuple(a[2]["input_ids"].shape)), with_kwargs=True)
    trainer.train()
    return seen


@pytest.mark.medium
@pytest.mark.parametrize("micro_batch", [8, 2])
def test_each_part_is_as_wide_as_its_longest_row(tmp_path, policy, monkeypatch, micro_batch):
    monkeypatch.setattr(scoring, "FORWARD_PRICE", {"cpu": 8})
    # 43 and 33 together would cost 10 tokens more, above the 8 of a forward pass; 23 and 16 only 7. Four micro-batches
    # of even size are the same parts.
    trainer = our_trainer(configured(tmp_path, policy, micro_batch))
    assert widths(trainer) == [(1, 43), (1, 33), (2, 23), (4, 8)]


@pytest.mark.medium
def test_a_wide_prompt_and_a_wide_completion_of_two_rows_do_not_add_up(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(scoring, "FORWARD_PRICE", {"cpu": 10**6})
    assert widths(our_trainer(configured(tmp_path, policy, 8))) == [(8, 43)]  # TRL: 20 + 40 columns


@pytest.mark.medium
def test_prompts_do_not_pass_through_the_head(tmp_path, policy, monkeypatch):
    scored = []
    original = utils._ChunkedLogProbFunction.apply

    def counted(hidden, *others):
        scored.append(len(hidden))
        return original(hidden, *others)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", counted)
    monkeypatch.setattr(scoring, "FORWARD_PRICE", {"cpu": 8})
    our_trainer(configured(tmp_path, policy, 8)).train()
    # Completions of 40 and 30 tokens; two rows from the shorter prompt (12) to 23; four rows from column 1 to 8.
    assert scored == [40, 30, 2 * 11, 4 * 7]


@pytest.mark.medium
def test_without_balance_rows_stay_as_they_come_and_a_micro_batch_is_one_part(tmp_path, policy):
    trainer = our_trainer(configured(tmp_path, policy, 4, {"balance": False}))
    assert widths(trainer) == [(4, 43), (4, 33)]


@pytest.mark.medium
def test_a_step_is_one_forward_pass_a_part_and_old_log_probabilities_cost_none(tmp_path, policy):
    trainer = our_trainer(configured(tmp_path, policy, 4, {"iterations": 2, "steps": 2}))
    assert sum(rows for rows, _ in widths(trainer)) == 2 * 8


def test_log_probabilities_are_those_of_the_plain_model_at_the_temperature_and_zero_elsewhere(tmp_path, policy):
    trainer, batch = generation_batch(quiet_setup(configured(tmp_path, policy, 8)))
    with torch.no_grad():
        logps_BT, entropy_BT, _ = trainer._scores(trainer.model, batch)
    by_length = sorted((r for group in rollouts() for r in group), key=lambda r: -len(r.prompt_ids + r.completion_ids))
    for row, rollout in enumerate(by_length):
        prompt, length = len(rollout.prompt_ids), len(rollout.completion_ids)
        ids = torch.tensor([[*rollout.prompt_ids, *rollout.completion_ids]])
        with torch.no_grad():
            table = (trainer.model(input_ids=ids).logits[0, prompt - 1 : -1] / 0.7).log_softmax(-1)
        torch.testing.assert_close(logps_BT[row, :length], table.gather(1, ids[0, prompt:, None])[:, 0])
        torch.testing.assert_close(entropy_BT[row, :length], -(table.exp() * table).sum(-1))
        assert not logps_BT[row, length:].any()
