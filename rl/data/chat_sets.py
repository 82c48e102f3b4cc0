"""OmniThought (arXiv 2505.10937), verl's parquet and TRL's columns.

What a reward written for those frameworks needs beside the answer is kept in `metadata` under their own names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from statistics import median_low
from typing import Any

from rl.data.math_sets import last_boxed
from rl.data.records import DataError, Record
from rl.data.schema import conversation
from rollout.types import Problem

CODE_ABILITIES = ("code", "coding")
_ANSWERS = ("answer", "solution", "ground_truth")


def omnithought(record: Record) -> Problem:
    """`question` and `reasoning`, a list of checked chains `{Cognitive_Difficulty: {judge, level},
    Reasoning_Verbosity: {judge, level}, full_response}`.

    The set has no gold column: the answer is the one in a `\\boxed` that most chains end with. Difficulty is the
    median cognitive difficulty; the solution is the least verbose chain with that answer.
    """
    record.field("reasoning")
    question, chains = record.text("question"), record.objects("reasoning")
    found = [(last_boxed(str(chain.get("full_response") or "")), chain) for chain in chains]
    boxed = Counter(answer for answer, _ in found if answer)
    if not boxed:
        raise DataError(f"{record.place}: no chain of 'reasoning' has a \\boxed answer")
    gold = boxed.most_common(1)[0][0]
    agreeing = [chain for answer, chain in found if answer == gold]
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


def thinking_of(response: str) -> str:
    """The text between `<think>` and `</think>`; the whole response without them."""
    before, closed, _ = response.partition("</think>")
    return (before.partition("<think>")[2] or before).strip() if closed else response.strip()


def _level(chain: Mapping[str, Any], name: str) -> int | None:
    value = chain.get(name)
    level = value.get("level") if isinstance(value, Mapping) else None
    return int(level) if isinstance(level, int | float) else None


def verl(record: Record) -> Problem:
    """`data_source`, `prompt` (messages), `reward_model.ground_truth`, `ability`, `extra_info`."""
    messages, prompt = conversation(record, "prompt")
    source, extra = record.text("data_source"), record.mapping("extra_info")
    truth = record.mapping("reward_model").get("ground_truth")
    if truth is None:
        raise DataError(f"{record.place}: no 'reward_model.ground_truth'")
    ability = str(record.fields.get("ability") or "")
    tests = _input_output(truth) if ability in CODE_ABILITIES else ()
    return Problem(
        id=f"{source}-{record.name}",
        prompt=prompt,
        domain=ability,
        source=source,
        answer=None if tests else _as_text(truth),
        tests=tests,
        metadata={"data_source": source, "ground_truth": truth, "extra_info": _plain_fields(extra)},
        messages=messages,
    )


def _input_output(truth: Any) -> tuple[Mapping[str, Any], ...]:
    """The tests of verl's code data, `{"inputs": […], "outputs": […]}`; none when the truth is something else."""
    try:
        value = json.loads(truth) if isinstance(truth, str) else truth
    except ValueError:
        return ()
    if not isinstance(value, Mapping) or value.get("fn_name"):
        return ()
    pairs = zip(value.get("inputs") or (), value.get("outputs") or (), strict=False)
    return tuple({"stdin": str(given), "stdout": str(wanted)} for given, wanted in pairs)


def trl(record: Record) -> Problem:
    """`prompt` (text or messages) and one of `answer`, `solution`, `ground_truth`; every other column goes to
    `metadata`, where TRL's reward functions look for it."""
    value = record.field("prompt")
    messages, prompt = ((), record.text("prompt")) if isinstance(value, str) else conversation(record, "prompt")
    gold = next((record.fields[name] for name in _ANSWERS if record.fields.get(name) is not None), None)
    if gold is None:
        raise DataError(f"{record.place}: none of the fields {', '.join(_ANSWERS)}")
    metadata = _plain_fields({key: value for key, value in record.fields.items() if key != "prompt"})
    return Problem(
        id=str(record.fields.get("id") or f"trl-{record.name}"),
        prompt=prompt,
        domain=str(record.fields.get("domain") or "math"),
        source=str(record.fields.get("source") or "trl"),
        answer=last_boxed(_as_text(gold)) or _as_text(gold),
        metadata=metadata,
        messages=messages,
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that JSON can hold."""
    return {key: value for key, value in row.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
