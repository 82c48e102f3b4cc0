"""Answers of the cold start that RL trains again, so that what it does not ask about is not forgotten.

RL moves a policy on its own prompts alone. On others, of lengths or levels that it never shows, answers get worse and a
free one may begin with neither switch (docs/algorithm.md, Rehearsal). A cold start leaves some of its rows beside its
weights; each round trains the answers of a few again, without their switch, so that no decision is held back. The idea
is PPO-ptx's (InstructGPT, arXiv 2203.02155), with the cold start's rows for pretraining text.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from rl.files.atomic import write_atomically
from rl.files.json_lines import json_lines
from rl.models.location import REHEARSAL
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.types import Problem, Rollout, Status

KEPT = 1_024
"""Rows that a cold start leaves; each once."""
IGNORE = -100
ROW = "a row of the cold start"
"""Why such a rollout takes part in nothing else."""


def keep_rehearsal(folder: Path, rows: Sequence[Mapping[str, Sequence[int]]], seed: int) -> None:
    """Write `KEPT` of these fine-tuning rows (`input_ids`; `labels`, −100 at the prompt) to the folder of a model."""
    distinct = list(dict.fromkeys((tuple(row["input_ids"]), tuple(row["labels"])) for row in rows))
    lines = []
    for ids, labels in random.Random(f"rehearsal-{seed}").sample(distinct, min(KEPT, len(distinct))):
        prompt = sum(label == IGNORE for label in labels)
        lines.append(json.dumps({"prompt_ids": ids[:prompt], "completion_ids": ids[prompt:]}))
    write_atomically(folder / REHEARSAL, "".join(f"{line}\n" for line in lines))


def read_rehearsal(folder: Path, protocol: DecisionProtocol, words: int, longest: int) -> tuple[list[Rollout], str]:
    """(rows, line): the rows of a model's folder that are well-formed responses of this protocol with at most `longest`
    tokens, as rollouts, and what there is to say of them. No rows where there is no file, or where those of one mode
    alone are left: they would pull towards it. `words` is the size of the model's vocabulary. Raises `UserError` for
    another file."""
    file = folder / REHEARSAL
    if not file.exists() and not file.is_symlink():
        return [], f"{folder} has no {REHEARSAL}"
    made, number = [], 0
    for number, row in json_lines(file):
        ids = [row.get("prompt_ids"), row.get("completion_ids")]
        if not all(_is_tokens(one, words) for one in ids):
            raise UserError(
                f"{file}:{number} has no prompt_ids and completion_ids of tokens below {words}; allowed: what a cold "
                "start leaves beside its model, or that file moved away"
            )
        prompt, completion = tuple(ids[0] or ()), tuple(ids[1] or ())
        parsed = protocol.parse(completion)
        if parsed.status != Status.OK or parsed.switch_index is None or len(prompt) + len(completion) > longest:
            continue
        switch, problem = parsed.switch_index, Problem(f"{REHEARSAL}:{number}", "")
        rollout = Rollout(problem, parsed.mode, parsed.mode, Status.OK, prompt, completion, switch_index=switch)
        made.append(dataclasses.replace(rollout, broken=ROW))
    thoughts = sum(row.mode == "think" for row in made)
    direct = len(made) - thoughts
    line = f"of the {number} rows in {file} {thoughts} thoughts and {direct} direct answers are well-formed and fit"
    return made if thoughts and direct else [], f"{line} {longest} tokens"


def _is_tokens(found: object, words: int) -> bool:
    return isinstance(found, list) and bool(found) and all(type(one) is int and 0 <= one < words for one in found)


def rows_of_round(rows: Sequence[Rollout], prompts: int, seed: int, step: int) -> list[Rollout]:
    """The rows that the round beginning at optimizer step `step` trains again, half as many as it has prompts; the same
    on every rank."""
    return random.Random(f"{seed}-rehearsal-{step}").sample(rows, min(-(-prompts // 2), len(rows)))


def rehearsed_tokens(rollout: Rollout) -> list[int]:
    """1 at each token that is rehearsed: those after the switch of a row of the cold start; else 0. Shape (T,)."""
    count = len(rollout.completion_ids)
    if rollout.broken != ROW or rollout.switch_index is None:
        return [0] * count
    return [0] * (rollout.switch_index + 1) + [1] * (count - rollout.switch_index - 1)
