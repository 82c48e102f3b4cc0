"""What the model was asked and what it said: `Problem`, `Rollout`, `RolloutGroup`.

`Rollout` is the one carrier between rooms: plain Python and token ids, no tensors, frozen; later stages
complete it with `dataclasses.replace`. Reward plug-ins see the same object, so its field names are a public contract.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Mode = Literal["think", "no_think"]
# The modes of a protocol, cheapest first. They are read by name, never by place.
MODES: tuple[Mode, ...] = ("no_think", "think")


class Status(StrEnum):
    """How a response fits its protocol."""

    OK = "ok"
    NO_SWITCH = "no_switch"
    TWO_SWITCHES = "two_switches"
    UNCLOSED_THINK = "unclosed_think"
    UNCLOSED_ANSWER = "unclosed_answer"
    EMPTY_ANSWER = "empty_answer"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Problem:
    """One task. `answer` or `tests` is what the rewards judge by; `difficulty` and `necessity` are optional
    annotations that only reports (and the judge target `label`) read; `metadata` is whatever else a reward needs, as
    plain JSON data. A conversation is kept in `messages` (mappings of role and content; a name, tool calls and
    reasoning_content are kept), whose last turn is the user's `prompt`; without it the prompt is all that is asked."""

    id: str
    prompt: str
    domain: str = ""
    source: str = ""
    answer: str | None = None
    tests: tuple[Mapping[str, Any], ...] = ()
    difficulty: str | None = None
    necessity: Mode | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Rollout:
    """One response, `completion_ids = judge_ids + answer step`; n is the number of its tokens.

    Forced to answer directly, in the layout of KAT (a token each, white space left out):

        hm </judge> <think_off> <answer> 7 </answer> <eos>       n = 7, mode and forced "no_think", status "ok"
        judge_ids are the first three, the switch `<think_off>` stands at switch_index 2, answer_ids are `7`
        sampled is 1 1 0 1 1 1 1: the engine wrote the switch

    problem         what was asked
    mode            the mode that it answered in; None without a switch
    forced          the mode that it was forced into; None where the policy chose
    stated          the mode that its prompt states by a tag; None where the prompt leaves it open
    status          whether it fits its protocol, or how it does not
    prompt_ids      what the model read
    completion_ids  what it wrote, n tokens, tags and end token included
    judge_ids       all up to the switch, and with it
    think_ids       the thought, without its tags
    answer_ids      the answer, without its tags
    switch_index    where the switch stands in completion_ids
    judge_text, think_text, answer_text   the three as text, stripped
    logprobs        n floats: log-probability of each token under the policy that sampled
    sampled         n of 0 and 1: 1 where the policy chose the token, 0 where the engine wrote it
    switch_probs    the policy's probability of each mode's switch at the decision, before any forcing
    truncated       whether it was cut at the length cap
    scores          what the rewards gave, by name
    broken          why a reward failed on it (reward_errors.policy: drop); such a rollout counts nowhere
    """

    problem: Problem
    mode: Mode | None
    forced: Mode | None
    status: Status
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    judge_ids: tuple[int, ...] = ()
    think_ids: tuple[int, ...] = ()
    answer_ids: tuple[int, ...] = ()
    switch_index: int | None = None
    judge_text: str = ""
    think_text: str = ""
    answer_text: str = ""
    logprobs: tuple[float, ...] = ()
    sampled: tuple[int, ...] = ()
    switch_probs: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    broken: str = ""
    stated: Mode | None = None

    def with_scores(self, **scores: float) -> Rollout:
        """A copy with these scores added; a score that is already there keeps its name once, with the new value."""
        return dataclasses.replace(self, scores={**self.scores, **scores})


@dataclass(frozen=True)
class RolloutGroup:
    """All rollouts of one problem in one step: the unit that advantages are computed over."""

    problem: Problem
    rollouts: tuple[Rollout, ...]

    @property
    def stated(self) -> Mode | None:
        """The mode that the prompt of its rollouts states; None where it leaves it open."""
        return self.rollouts[0].stated if self.rollouts else None

    def by_mode(self, mode: Mode) -> tuple[Rollout, ...]:
        """The rollouts that answered in this mode."""
        return tuple(r for r in self.rollouts if r.mode == mode)

    def usable(self) -> RolloutGroup:
        """The group without its broken rollouts."""
        return RolloutGroup(self.problem, tuple(r for r in self.rollouts if not r.broken))


def rollout_to_json(rollout: Rollout) -> dict[str, Any]:
    """A plain dict of every field, ready for `json.dumps`; `rollout_from_json` is its inverse."""
    record: dict[str, Any] = {"schema": SCHEMA}
    record |= {f.name: getattr(rollout, f.name) for f in dataclasses.fields(rollout)}
    record["problem"] = dataclasses.asdict(rollout.problem)
    record["switch_probs"] = dict(rollout.switch_probs)
    record["scores"] = dict(rollout.scores)
    return record


# The number of a record's layout; 1 had a true or false in `forced`.
SCHEMA = 2
_TUPLES = ("prompt_ids", "completion_ids", "judge_ids", "think_ids", "answer_ids", "logprobs", "sampled")


def rollout_from_json(record: Mapping[str, Any]) -> Rollout:
    """The rollout that `rollout_to_json` wrote. Raises `TypeError` on unknown or missing fields."""
    values = dict(record)
    if values.pop("schema", 1) < 2:
        # The first records said whether a mode was forced, not which.
        values["forced"] = (values.get("mode") or "think") if values.get("forced") else None
    problem = dict(values.pop("problem"))
    for name in ("tests", "messages"):
        problem[name] = tuple(problem.get(name) or ())
    for name in _TUPLES:
        values[name] = tuple(values.get(name) or ())
    return Rollout(problem=Problem(**problem), **values)


def untagged(groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
    """The groups whose prompt leaves the mode open: what is known of a problem's modes comes from them alone."""
    return [group for group in groups if group.stated is None]


def group_rollouts(rollouts: Sequence[Rollout]) -> list[RolloutGroup]:
    """Consecutive rollouts of the same problem as groups, order kept."""
    groups: list[RolloutGroup] = []
    start = 0
    for end in range(1, len(rollouts) + 1):
        if end == len(rollouts) or rollouts[end].problem.id != rollouts[start].problem.id:
            groups.append(RolloutGroup(rollouts[start].problem, tuple(rollouts[start:end])))
            start = end
    return groups
