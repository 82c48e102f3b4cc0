"""Tiny problems, rollouts, groups and tokenizers for tests; every number can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rl.worlds.model import build_tokenizer
from rollout.protocol import DecisionProtocol, layout
from rollout.types import Mode, Problem, Rollout, RolloutGroup

LETTERS: dict[str, Mode | None] = {"T": "think", "N": "no_think", "-": None}


def make_problem(id: str = "p1", prompt: str = "12 + 34", answer: str | None = "46", **fields: Any) -> Problem:
    """One problem; `fields` are the others of `Problem`."""
    return Problem(id, prompt, answer=answer, **fields)


def make_rollout(
    mode: Mode | None = "think",
    *,
    tokens: int = 4,
    judge_tokens: int = 1,
    forced: bool | Mode = False,
    correct: float = 1.0,
    answer_reward: float | None = None,
    judge_reward: float = 0.0,
    switch_probs: tuple[float, float] | None = (0.5, 0.5),
    **fields: Any,
) -> Rollout:
    """A scored rollout of `tokens` tokens 100, 101, …, whose judge step has `judge_tokens`; the answer reward is
    `correct` unless given. A forced one has its switch not sampled."""
    ids = tuple(range(100, 100 + tokens))
    switch = judge_tokens - 1 if mode else None
    values: dict[str, Any] = {
        "problem": make_problem(),
        "mode": mode,
        "forced": ((mode or "think") if forced is True else forced) or None,
        "status": "ok" if mode else "no_switch",
        "prompt_ids": (1, 2, 3),
        "completion_ids": ids,
        "judge_ids": ids[:judge_tokens] if mode else (),
        "answer_ids": ids[judge_tokens:] if mode else (),
        "switch_index": switch,
        "logprobs": (-1.0,) * tokens,
        "sampled": tuple(0 if forced and i == switch else 1 for i in range(tokens)),
        "switch_probs": dict(zip(("think", "no_think"), switch_probs, strict=True)) if mode and switch_probs else {},
        "scores": {
            "correct": correct,
            "answer_reward": correct if answer_reward is None else answer_reward,
            "judge_reward": judge_reward,
        },
    }
    return Rollout(**{**values, **fields})


def make_group(
    modes: str = "TTNN",
    correct: Sequence[float] = (1, 1, 0, 0),
    judge: Sequence[float] | None = None,
    problem: Problem | None = None,
    **fields: Any,
) -> RolloutGroup:
    """A scored group; `modes` has a letter a rollout: T think, N no_think, - none."""
    problem = problem or make_problem()
    judge = judge or [0.0] * len(modes)
    rollouts = tuple(
        make_rollout(LETTERS[m], correct=float(c), judge_reward=float(q), problem=problem, **fields)
        for m, c, q in zip(modes, correct, judge, strict=True)
    )
    return RolloutGroup(problem, rollouts)


def word_tokenizer(
    special: Sequence[str], words: Sequence[str] = ("a", "b", "c", "7", "42")
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that keeps white space: "\\n\\n", "\\n" and " " are tokens of their own."""
    vocabulary = ["<pad>", "<unk>", "<eos>", *special, "\n", "\n\n", " ", *words]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n\n|\n| |[^\s]+"), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<eos>",
        additional_special_tokens=list(special),
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make_protocol(name: str = "kat", **options: Any) -> DecisionProtocol:
    """A protocol over a tiny tokenizer: the embedded world's for `kat`, a word-level one for the others."""
    if name == "kat":
        return DecisionProtocol(build_tokenizer(), layout("kat"), **options)
    special = ["<think>", "</think>"] if name == "qwen3" else ["<think>", "</think>", "<no_think>"]
    return DecisionProtocol(word_tokenizer(special), layout(name), **options)
