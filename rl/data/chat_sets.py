"""OmniThought (arXiv 2505.10937), verl's parquet and TRL's columns.

What a reward written for those frameworks needs beside the answer is kept in `metadata` under their own names.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from statistics import median_low
from typing import Any

from rewards.builtin.math_answer import verify
from rl.data.answers import last_boxed, split_thought, thinking_of
from rl.data.code_io import input_output
from rl.data.records import Record, is_absent
from rl.data.schema import conversation
from rollout.types import Problem

CODE_ABILITIES = ("code", "coding")
_ANSWERS = ("answer", "solution", "ground_truth")


def omnithought(record: Record) -> Problem:
    """`question` and `reasoning`, a list of checked chains `{Cognitive_Difficulty: {judge, level},
    Reasoning_Verbosity: {judge, level}, full_response}`.

    The set has no gold column: each chain votes with the last `\\boxed` of its final answer, not of its thoughts, and
    answers that are mathematically equal are one. Difficulty is the median cognitive difficulty; the solution is the
    thought of the least verbose chain with the gold answer.
    """
    record.field("reasoning")
    question, chains = record.text("question"), record.objects("reasoning")
    votes = [(last_boxed(split_thought(str(chain.get("full_response") or ""))[1]), chain) for chain in chains]
    counts = _equal_together(Counter(answer for answer, _ in votes if answer))
    if not counts:
        raise record.error("no chain of 'reasoning' has a \\boxed final answer")
    gold = max(counts, key=lambda answer: sum(counts[answer].values()))
    agreeing = [chain for answer, chain in votes if answer in counts[gold]]
    best = min(agreeing, key=lambda chain: (_level(chain, "Reasoning_Verbosity") or 0, len(chain["full_response"])))
    levels = [level for chain in chains if (level := _level(chain, "Cognitive_Difficulty")) is not None]
    return Problem(
        id=f"omnithought-{record.name}",
        prompt=question,
        domain="math",
        source="omnithought",
        answer=gold,
        difficulty=str(median_low(levels)) if levels else None,
        metadata={
            "solution": thinking_of(best["full_response"]),
            "verbosity": _level(best, "Reasoning_Verbosity"),
            "agreement": len(agreeing) / len(chains),
        },
    )


def _equal_together(votes: Counter[str]) -> dict[str, Counter[str]]:
    """The votes by answer, spellings of an equal one together under the one that was written most."""
    together: dict[str, Counter[str]] = {}
    for answer, count in votes.most_common():
        same = next((known for known in together if known == answer or verify(answer, known)), answer)
        together.setdefault(same, Counter())[answer] += count
    return together


def _level(chain: Mapping[str, Any], name: str) -> int | None:
    value = chain.get(name)
    level = value.get("level") if isinstance(value, Mapping) else None
    return int(level) if isinstance(level, int | float) else None


def verl(record: Record) -> Problem:
    """`data_source`, `prompt` (messages or text), `reward_model.ground_truth`, `ability`, `extra_info`; DAPO-Math
    (arXiv 2503.14476) among others. Of code the ground truth is inputs and outputs."""
    messages, prompt = _asked(record)
    source, extra = record.text("data_source"), record.mapping("extra_info")
    truth = record.mapping("reward_model").get("ground_truth")
    if is_absent(truth):
        raise record.error("no 'reward_model.ground_truth'")
    ability = record.scalar("ability") or ""
    tests: tuple[Mapping[str, Any], ...] = ()
    if ability.casefold() in CODE_ABILITIES and _is_input_output(truth):
        tests = input_output(record, truth, "class Solution" in prompt)
    return Problem(
        id=f"{source}-{record.name}",
        prompt=prompt,
        domain=ability,
        source=source,
        answer=None if tests else _as_text(record, "ground_truth", truth),
        tests=tests,
        metadata={
            "data_source": source,
            "ground_truth": truth,
            "extra_info": dataclasses.replace(record, fields=extra).others(),
        },
        messages=messages,
    )


def _asked(record: Record) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """(messages, prompt) of a column `prompt` that is text or a conversation."""
    value = record.parsed("prompt") if "prompt" in record.fields else record.field("prompt")
    if isinstance(value, str):
        return (), record.text("prompt")
    return conversation(record, "prompt")


def _is_input_output(truth: Any) -> bool:
    return isinstance(truth, Mapping) or (isinstance(truth, str) and truth.lstrip().startswith("{"))


def trl(record: Record) -> Problem:
    """`prompt` (text or messages) and one of `answer`, `solution`, `ground_truth`: the gold, never a worked thought.
    Every other column goes to `metadata`, where TRL's reward functions look for it, a column `solution` as
    `gold_solution`, because `solution` is a worked one everywhere else."""
    messages, prompt = _asked(record)
    name = next((name for name in _ANSWERS if not is_absent(record.fields.get(name))), None)
    if name is None:
        raise record.error(f"none of the fields {', '.join(_ANSWERS)}")
    gold = _as_text(record, name, record.fields[name])
    metadata = record.others("prompt", "solution")
    if not is_absent(record.fields.get("solution")):
        metadata["gold_solution"] = record.fields["solution"]
    final = split_thought(gold)[1] or gold
    return Problem(
        id=record.scalar("id") or f"trl-{record.name}",
        prompt=prompt,
        domain=record.scalar("domain") or "math",
        source=record.scalar("source") or "trl",
        answer=last_boxed(final) or final,
        metadata=metadata,
        messages=messages,
    )


def _as_text(record: Record, name: str, value: Any) -> str:
    """A gold answer as text; a list of one is what it holds, another list or object its JSON."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return record.as_text(name, value)
