"""Our trainer and TRL's over the same recorded rollouts, for the benchmarks of the update.

Both get the same model, prompts, completions, rewards, arguments and optimizer. Nothing is generated: rollouts of
forced lengths are replayed, so that a step is scoring, forward and backward passes, and the optimizer.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import BF16, PeakMemory, Work, build_model, build_tokenizer, clock, synchronize
from datasets import Dataset
from transformers import AutoModelForCausalLM, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import GRPOTrainer

from rl.config.read import parse_config
from rl.config.schema import Config
from rl.training.run import build_trainer, grpo_config, set_up
from rollout.types import Problem, Rollout, RolloutGroup, rollout_to_json

LONG = 50  # tokens from which on a completion counts as a thought


def one_or_zero(rollout: Rollout) -> float:
    """A reward that costs nothing and differs within a group."""
    return float(len(rollout.completion_ids) % 2)


def recorded(work: Work) -> list[RolloutGroup]:
    """Groups of random tokens with the lengths of `work`."""
    rng = random.Random(1)
    groups = []
    for number, prompt_tokens in enumerate(work.prompts):
        problem = Problem(f"p{number}", "1 + 1", "math")
        prompt = tuple(rng.choices(range(16, 30), k=prompt_tokens))
        lengths = work.completions[number * work.group : (number + 1) * work.group]
        groups.append(RolloutGroup(problem, tuple(_rollout(problem, prompt, length, rng) for length in lengths)))
    return groups


def _rollout(problem: Problem, prompt: tuple[int, ...], length: int, rng: random.Random) -> Rollout:
    ids = (*rng.choices(range(16, 30), k=length - 1), build_tokenizer().eos_token_id)
    return Rollout(
        problem=problem,
        mode="think" if length >= LONG else "no_think",
        forced=None,
        status="ok",
        prompt_ids=prompt,
        completion_ids=ids,
        judge_ids=ids[:1],
        answer_ids=ids[1:],
        switch_index=0,
        logprobs=(-1.0,) * length,
        sampled=(1,) * length,
        switch_probs={"think": 0.5, "no_think": 0.5},
    )


def configure(folder: Path, size: str, work: Work, micro_batch: int, steps: int, bf16: bool = BF16) -> Config:
    """A run over the recorded rollouts of `work`; a model of this size is written to `folder` once."""
    policy, scratch = folder / size, Path(tempfile.mkdtemp(dir=folder))
    if not policy.is_dir():
        build_model(size).save_pretrained(policy)
        build_tokenizer().save_pretrained(policy)
    lines = [json.dumps(rollout_to_json(r)) + "\n" for group in recorded(work) for r in group.rollouts]
    (scratch / "replay.jsonl").write_text("".join(lines), encoding="utf-8")
    # A run whose cap cuts every response is refused; these rows are recorded, whatever the cap.
    rollout = {"group_size": work.group, "max_new_tokens": max(*work.completions, 16)}
    trainer = {"steps": steps, "prompts_per_step": len(work.prompts), "micro_batch": micro_batch, "save_every": 10**6}
    return parse_config(
        {
            "run_dir": str(scratch),
            "resume": "never",
            "model": {"path": str(policy)},
            "protocol": {"name": "kat", "judge_patience": 1},
            "rollout": {**rollout, "replay": str(scratch / "replay.jsonl"), "forced": {"minimum": 1}},
            "rewards": [{"name": f"{__file__}:one_or_zero"}, {"name": "judge"}],
            "algorithm": {"name": "step_srpo", "judge_replay": 0},  # TRL's trainer has no such rows
            "trainer": {**trainer, "bf16": bf16},
            "wandb": {"mode": "disabled"},
        }
    )


def our_trainer(config: Config) -> Any:
    """Ours, as scripts/train.py builds it."""
    return build_trainer(set_up(config, show=lambda line: None), 1)


def trl_trainer(config: Config, work: Work) -> Any:
    """TRL's own on the same rollouts, with the same arguments."""
    groups = {group.problem.id: group for group in recorded(work)}
    tokenizer = build_tokenizer()

    def replay(prompts: list[str], trainer: Any) -> dict[str, Any]:
        rollouts = [r for prompt in prompts[:: work.group] for r in groups[prompt].rollouts]
        return {
            "prompt_ids": [list(r.prompt_ids) for r in rollouts],
            "completion_ids": [list(r.completion_ids) for r in rollouts],
            "logprobs": None,
            "env_mask": [list(r.sampled) for r in rollouts],
        }

    def reward(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [float(len(ids) % 2) for ids in completion_ids]

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(config.model.path, dtype=torch.float32),
        reward_funcs=[reward],
        args=grpo_config(config, 1),
        train_dataset=Dataset.from_dict({"prompt": list(groups)}),
        processing_class=tokenizer,
        rollout_func=replay,
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


class _LastStep(Exception):  # noqa: N818 (an outcome, not an error)
    """The step that has begun would only end the measurement of the one before."""


class _Turn(TrainerCallback):
    """Hands over to the other trainer before each step. The first step warms up, the second is watched for its memory,
    the others are timed, from one step's begin to the next."""

    def __init__(self, race: Race, side: int) -> None:
        self.race, self.side = race, side
        self.steps, self.started = -1, 0.0
        self.seconds: list[float] = []
        self.memory, self.peak_mb = PeakMemory(), 0.0

    def on_step_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        synchronize()
        self.steps += 1
        if self.steps == 2:
            self.peak_mb = self.memory.stop()
        elif self.steps > 2:
            self.seconds.append(clock() - self.started)
        if self.steps + 1 == state.max_steps:
            raise _LastStep
        self.race.hand_over(self.side)
        if self.steps == 1:
            self.memory.start()
        self.started = clock()


class Race:
    """Two trainers in one process, one step each in turns: whatever else the machine does, it does to both."""

    def __init__(self, trainers: Sequence[Any]) -> None:
        self.trainers, self.condition = trainers, threading.Condition()
        self.turn, self.running = 0, set(range(len(trainers)))
        self.turns = [_Turn(self, side) for side in range(len(trainers))]
        self.errors: list[BaseException] = []

    def run(self) -> list[list[float]]:
        """Seconds of each trainer's steps but the first two and the last, which has no next one."""
        threads = [threading.Thread(target=self._train, args=(side,)) for side in self.running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        return [turn.seconds for turn in self.turns]

    def _train(self, side: int) -> None:
        try:
            self.trainers[side].add_callback(self.turns[side])
            self.hand_over(side, first=True)
            self.trainers[side].train()
        except _LastStep:
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            with self.condition:
                self.running.discard(side)
                self._next(side)

    def hand_over(self, side: int, first: bool = False) -> None:
        """Let the others run and wait for this side's turn."""
        with self.condition:
            if not first:
                self._next(side)
            while self.turn != side:
                self.condition.wait()

    def _next(self, side: int) -> None:
        self.turn = next(((side + k) % len(self.turns) for k in range(1, len(self.turns) + 1)
                          if (side + k) % len(self.turns) in self.running), side)  # fmt: skip
        self.condition.notify_all()
