"""The trainer on a small policy: its loss, its gradient, what it learns, what it saves."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pytest
import torch
from small_runs import (
    metrics,
    recorded_rollout,
    save_policy,
    small_config,
    tiny_protocol,
)
from trainer_setups import generation_batch, objective, quiet_setup, replay_setup
from transformers import AutoModelForCausalLM

import rollout.engines.hf as hf_engine
from rewards.early import EarlyScores
from rl.training import journal
from rl.training.run import batch_shape, build_trainer, train
from rollout.engines.packed_linear import packed_linears
from rollout.types import Problem


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policy"))


def test_the_gradient_is_that_of_the_objective_written_out(tmp_path, policy):
    setup = replay_setup(tmp_path, policy, trainer={"prompts_per_step": 4})
    trainer, batch = generation_batch(setup)
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    ours = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
    # Direct answering is right (2 of 2 against 1 of 2): q is 0, 0, 1, 1. r is 1.2, 0.2, 1.2, 1.2, right anchored.
    trainer.model.zero_grad()
    objective(trainer, [0, 0, 1, 1] * 4, [1.5, -0.5, 1, 1] * 4, 0.4).backward()
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_masked_forced_switch_gets_no_gradient(tmp_path, policy):
    problem = Problem("p", "11 + 22", "math", answer="33")
    group = [recorded_rollout(problem, mode, "33", forced=True) for mode in ("think", "think", "no_think", "no_think")]
    losses = {}
    for treatment in ("masked", "uncorrected"):
        setup = replay_setup(
            tmp_path / treatment if (tmp_path / treatment).mkdir() is None else tmp_path,
            policy,
            [group],
            algorithm={"name": "step_srpo", "anchor": 0.0, "forced_switch": treatment},
            rollout={"forced": {"start": 0.5, "floor": 0.5, "minimum": 1}},
            trainer={"prompts_per_step": 1},
        )
        trainer, batch = generation_batch(setup)
        trainer.model.zero_grad()
        trainer._compute_loss(trainer.model, batch).backward()
        losses[treatment] = sum(p.grad.abs().sum().item() for p in trainer.model.parameters())
    assert losses["masked"] == 0.0
    assert losses["uncorrected"] > 0.01


@pytest.mark.medium
def test_a_few_steps_move_the_switch_towards_the_right_mode(tmp_path, policy):
    setup = replay_setup(
        tmp_path, policy, rollout={"save_every": 100}, trainer={"steps": 8, "learning_rate": 3e-3, "save_every": 8}
    )

    def direct_share(model) -> float:
        protocol = tiny_protocol()
        prompt = protocol.render(setup.problems[0].prompt)
        ids = torch.tensor([[*prompt, *protocol.response("think", "30", judge="hm")[:2]]])
        logits = model(input_ids=ids).logits[0, -1, [protocol.switch_ids[m] for m in ("think", "no_think")]]
        return logits.softmax(-1)[1].item()

    before = direct_share(setup.model)
    folder = train(setup)
    after = direct_share(AutoModelForCausalLM.from_pretrained(folder))
    assert after > before + 0.1


@pytest.mark.medium
def test_a_run_folder_holds_what_it_promises(tmp_path, policy):
    config = small_config(tmp_path / "run", policy)
    train(quiet_setup(config))
    run = tmp_path / "run"
    assert [record["step"] for record in metrics(run)] == [1, 2, 3]
    keys = set(metrics(run)[0])
    assert {"reward/answer", "reward/judge", "advantage/judge_abs", "forced_share", "loss", "grad_norm"} <= keys
    assert {"switch/entropy", "history/problems", "think_probability/1", "score/math", "status/ok"} <= keys
    assert json.loads((run / "config.json").read_text())["trainer"]["steps"] == 3
    first = json.loads((run / "rollouts" / "step_000001.jsonl").read_text().splitlines()[0])
    assert {"problem", "mode", "forced", "status", "judge_ids", "logprobs", "switch_probs", "scores"} <= set(first)
    assert len((run / "rollouts" / "step_000001.jsonl").read_text().splitlines()) == 16
    assert (run / "checkpoints" / "checkpoint-2" / "complete.json").is_file()
    assert AutoModelForCausalLM.from_pretrained(run / "model").config.hidden_size == 32


@pytest.mark.medium
def test_lora_trains_adapters_and_saves_a_plain_model(tmp_path, policy):
    config = small_config(tmp_path / "run", policy, model={"path": str(policy), "lora": {"rank": 4}})
    setup = quiet_setup(config)
    folder = train(setup)
    assert AutoModelForCausalLM.from_pretrained(folder).config.hidden_size == 32
    assert not (folder / "adapter_config.json").exists()


@pytest.mark.medium
def test_code_problems_train_for_three_steps_on_the_sandboxed_tests(tmp_path, policy):
    tests = ({"call": "f", "args": [2], "expected": 3}, {"call": "f", "args": [5], "expected": 6})
    groups = []
    for index in range(4):
        problem = Problem(f"c{index}", f"1{index}", "code", tests=tests)
        rollouts = [recorded_rollout(problem, mode, "1") for mode in ("think", "think", "no_think", "no_think")]
        programs = ["def f(x): return x + 1", "def f(x): return 3", "def f(x): return x", "while True: pass"]
        groups.append([_with_answer(r, program) for r, program in zip(rollouts, programs, strict=True)])
    rewards = [{"name": "judge"}, {"name": "code", "cpu_s": 0.5}, {"name": "format", "weight": 0.2}]
    setup = replay_setup(tmp_path, policy, groups, rewards=rewards)
    train(setup)
    records = metrics(tmp_path / "run")
    assert len(records) == 3
    # The four programs pass 2, 1, 0 and 0 of the 2 tests.
    assert [round(r["score/code"], 4) for r in records] == [0.375] * 3
    assert records[0]["accuracy/think"] == 0.75


@pytest.mark.medium
def test_a_run_in_bfloat16_on_a_cpu_decodes_with_packed_layers(tmp_path, policy, monkeypatch):
    packed = []

    @contextlib.contextmanager
    def all_packed(model):
        with packed_linears(model, least=1) as count:
            packed.append(count)
            yield count

    monkeypatch.setattr(hf_engine, "packed_linears", all_packed)
    train(quiet_setup(small_config(tmp_path / "run", policy, trainer={"bf16": True, "steps": 2})))
    assert all(math.isfinite(record["loss"]) for record in metrics(tmp_path / "run"))
    # The preflight's rollouts are decoded in float32, those of the two steps under autocast.
    assert len(packed) >= 3
    assert min(packed) > 0


PARITY = '''
def parity(group):
    """Thinking is right on every second problem."""
    right = "think" if int(group.problem.id.rpartition("-")[2]) % 2 else "no_think"
    return [float(r.mode == right) for r in group.rollouts]


parity.scope = "group"
'''


@pytest.mark.medium
def test_every_optimizer_step_is_a_record_and_the_bar_follows_the_steps_not_the_lines(tmp_path, policy, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, total, initial, **_):
            self.total, self.n, self.lines = total, initial, []
            bars.append(self)

        def update(self, count):
            self.n += count

        def write(self, line):
            self.lines.append((self.n, line))

        def close(self):
            self.closed = True

    monkeypatch.setattr(journal, "tqdm", Bar)
    (tmp_path / "judges.py").write_text(PARITY)
    config = small_config(
        tmp_path / "run",
        policy,
        rewards=[{"name": f"{tmp_path}/judges.py:parity", "step": "judge"}, {"name": "math"}],
        algorithm={"name": "step_srpo", "preset": "none"},
        guard={"patience": 2, "share": 0.5, "disagreement": 0.0},  # one mode is always under a half
        trainer={"steps": 8, "iterations": 4, "save_every": 8},
    )
    train(quiet_setup(config))
    assert [record["step"] for record in metrics(tmp_path / "run")] == [1, 2, 3, 4, 5, 6, 7, 8]
    (bar,) = bars
    assert (bar.n, bar.total, bar.closed) == (8, 8, True)
    steps = [(place, line.split()[1]) for place, line in bar.lines if line.startswith("step ")]
    assert steps == [(k, f"{k + 1}/8") for k in range(8)]
    alarms = [place for place, line in bar.lines if line.startswith("alarm: ")]
    assert alarms[0] == 4


def test_answers_are_scored_while_other_rollouts_still_decode(tmp_path, policy, monkeypatch):
    begun: list[tuple[int, int]] = []
    begin = EarlyScores.begin

    def watched(self, place, rollout):
        begun.append(place)
        begin(self, place, rollout)

    monkeypatch.setattr(EarlyScores, "begin", watched)
    trainer = build_trainer(quiet_setup(small_config(tmp_path / "run", policy)), 1)
    made = trainer.rounds.make(trainer, [name for name in list(trainer.rounds.state.rows)[:4] for _ in range(4)])
    assert sorted(begun) == [(i, k) for i in range(4) for k in range(4)]
    assert begun != sorted(begun)  # as they end, not in the order of the plan
    assert all("math" in r.scores for group in made.groups for r in group.rollouts)


def _with_answer(rollout, text: str):
    import dataclasses

    return dataclasses.replace(rollout, answer_text=text)


@pytest.mark.parametrize(
    ("sections", "ranks", "message"),
    [
        ({"trainer": {"prompts_per_step": 3}}, 2, "trainer.prompts_per_step is 3 on 2 ranks"),
        ({"trainer": {"prompts_per_step": 4, "micro_batch": 5}}, 1, "trainer.micro_batch is 5"),
    ],
)
def test_a_batch_that_would_split_groups_is_refused(tmp_path, sections, ranks, message):
    with pytest.raises(ValueError, match=message):
        batch_shape(small_config(tmp_path, tmp_path, **sections), ranks)


def test_the_permuted_control_keeps_the_judge_rewards_but_not_their_places(tmp_path, policy):
    setup = replay_setup(tmp_path, policy, control={"permute_judge": True})
    trainer, _ = generation_batch(setup)
    values = [r.scores["judge_reward"] for g in trainer.round.groups for r in g.rollouts]
    assert sorted(values) == [0.0] * 8 + [1.0] * 8
    assert values != [0.0, 0.0, 1.0, 1.0] * 4
