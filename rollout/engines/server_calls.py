"""One row of a plan as requests to a text-generation server: what vLLM is asked, in-process or over HTTP.

A server samples a continuation of a prompt and stops; it cannot write given tokens halfway. So a row is a generator of
calls. A forced row in KAT's layout is two rounds:

    1. the judge text from the prompt, until the trigger `</judge>` or the patience, end token and switches banned;
    2. the answer, from prompt + judge text + the written tokens (the switch among them), and beside it, for each
       written token, a call for one token at its place: its draw is thrown away, its log-probabilities are the policy's
       own for the written token.

The other layouts have no judge text and need round 2 only; a free row is one call. A row that is forced into "any other
token" draws its first one by a call of its own, with the other mode's token and the end tokens banned. Where modes have
caps of their own, a free row pauses at its first switch, whose mode says how much may follow. Under a thinking budget
it pauses where a thought may begin, end or be used up. Banning is a logit bias
of −100, which leaves the reported log-probabilities alone (they are taken before it). Identical calls are asked once,
so the rows of a group share the calls for their written tokens.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from rollout.engines.base import Completion, Finished, Request, Sampling
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.reader import ThoughtBudget

BAN = -100.0


@dataclass(frozen=True)
class Call:
    """Sample at most `max_tokens` after `prompt_ids`, up to the first of `stop_ids`, and none of `banned_ids`."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    watch_ids: tuple[int, ...]
    stop_ids: tuple[int, ...] = ()
    banned_ids: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Piece:
    """The answer to a call: the sampled tokens, the log-probability of each, and those of the call's `watch_ids` at
    each position, all before any ban and untruncated by top-k or top-p."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    watched: tuple[tuple[float, ...], ...]


Program = Generator[list[Call], list[Piece], Completion]


@dataclass
class _Row:
    """What a row holds so far; `switches` has the log-probabilities of both switches at each position."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    switches: list[tuple[float, ...]] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)

    def sample(self, piece: Piece) -> None:
        """Append sampled tokens."""
        self.ids += piece.ids
        self.logprobs += piece.logprobs
        self.switches += piece.watched
        self.sampled += [1] * len(piece.ids)

    def write(self, token: int, piece: Piece) -> None:
        """Append a forced token; `piece` comes from the call for one token at its place."""
        *pair, logprob = piece.watched[0]
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.switches.append(tuple(pair))
        self.sampled.append(0)

    def cut(self, limit: int) -> None:
        """Keep the first `limit` tokens."""
        for values in (self.ids, self.logprobs, self.switches, self.sampled):
            del values[limit:]


def row_program(request: Request, protocol: DecisionProtocol, sampling: Sampling, seeds: tuple[int, int]) -> Program:
    """The calls of one row; `seeds` are those of the tokens up to the decision and of the rest."""
    forcing = protocol.forcing(request.forced) if request.forced else None
    switch_ids = protocol.watch_ids
    row, written, limit = _Row(), forcing.write if forcing else (), sampling.max_new_tokens
    if forcing is None and sampling.max_new_tokens_by_mode:
        # The decision says how much may follow: it is the first switch, or the first token whatever it is.
        most, stops = (1, ()) if protocol.other else (limit, (*protocol.end_ids, *switch_ids))
        (head,) = yield [Call(request.prompt_ids, most, switch_ids, stops, (), seeds[0])]
        row.sample(head)
    if forcing and forcing.banned:
        (head,) = yield [Call(request.prompt_ids, 1, switch_ids, (), forcing.banned, seeds[0])]
        row.sample(head)
    if forcing and forcing.after is not None:
        patience = min(forcing.patience, limit)
        if patience:
            banned = (*protocol.end_ids, *switch_ids)
            (judge,) = yield [Call(request.prompt_ids, patience, switch_ids, (forcing.after,), banned, seeds[0])]
            row.sample(judge)
        if forcing.after not in row.ids:
            written = (forcing.after, *written)
    limit = _limit((*row.ids, *written), protocol, sampling)
    written = written[: limit - len(row.ids)]
    start = (*request.prompt_ids, *row.ids)
    calls = _write_calls(start, written, switch_ids)
    ended = bool(row.ids) and row.ids[-1] in protocol.end_ids
    rest = 0 if ended or sampling.thinking_budget is not None else limit - len(row.ids) - len(written)
    if rest:
        calls.append(Call((*start, *written), rest, switch_ids, protocol.end_ids, (), seeds[1]))
    pieces = (yield calls) if calls else []
    for token, piece in zip(written, pieces, strict=False):
        row.write(token, piece)
    if rest:
        row.sample(pieces[-1])
    if sampling.thinking_budget is not None:
        yield from _budgeted(row, request, protocol, limit, protocol.thought_budget(sampling.thinking_budget), seeds[1])
    row.cut(_limit(row.ids, protocol, sampling))
    found = protocol.find_switch(row.ids)
    probs = protocol.switch_probs(row.switches[found[0]]) if found else {}
    return Completion(tuple(row.ids), tuple(row.logprobs), tuple(row.sampled), probs)


def _write_calls(start: tuple[int, ...], written: Sequence[int], switch_ids: tuple[int, ...]) -> list[Call]:
    """For each written token a call for one token at its place, for its log-probability."""
    return [Call((*start, *written[:i]), 1, (*switch_ids, token)) for i, token in enumerate(written)]


def _budgeted(
    row: _Row, request: Request, protocol: DecisionProtocol, limit: int, budget: ThoughtBudget, seed: int
) -> Generator[list[Call], list[Piece], None]:
    """The rest of a row under a thinking budget: it pauses where the thought may begin, end or be used up."""
    due = tuple(token for read in row.ids for token in budget.push(read))
    while len(row.ids) < limit and not (row.ids and row.ids[-1] in protocol.end_ids):
        start, room = (*request.prompt_ids, *row.ids), limit - len(row.ids)
        if due:
            pieces = yield _write_calls(start, due[:room], protocol.watch_ids)
            for token, piece in zip(due, pieces, strict=False):
                row.write(token, piece)
                budget.push(token)
            due = ()
            continue
        most, stops = budget.ahead()
        call = Call(start, min(most or room, room), protocol.watch_ids, (*protocol.end_ids, *stops), (), seed + room)
        (piece,) = yield [call]
        row.sample(piece)
        due = tuple(token for read in piece.ids for token in budget.push(read))


def _limit(ids: Sequence[int], protocol: DecisionProtocol, sampling: Sampling) -> int:
    """The most tokens of a row that begins with these."""
    found = protocol.find_switch(ids) if sampling.max_new_tokens_by_mode else None
    return sampling.limit(found[1], found[0]) if found else sampling.max_new_tokens


class Rows:
    """All rows of a request list as one stream of calls: `open` gives the first ones, `close` takes an answer and
    gives those that it makes possible. Nothing waits for other rows; `finished` gets each when it ends."""

    def __init__(
        self,
        requests: Sequence[Request],
        protocol: DecisionProtocol,
        sampling: Sampling,
        seed: int,
        finished: Finished | None = None,
    ) -> None:
        draw = random.Random(seed)
        self.programs = []
        for request in requests:
            seeds = (draw.getrandbits(62), draw.getrandbits(62)) if sampling.temperature else (0, 0)
            self.programs.append(row_program(request, protocol, sampling, seeds))
        self.finished = finished
        self.completions: list[Completion | None] = [None] * len(requests)
        self.answers: dict[Call, Piece] = {}
        self.waiting: dict[Call, list[int]] = {}
        self.wanted: list[list[Call]] = [[] for _ in requests]

    def open(self) -> list[Call]:
        """The calls that can be made at once."""
        return [call for i in range(len(self.programs)) for call in self._go_on(i, None)]

    def close(self, call: Call, piece: Piece) -> list[Call]:
        """Take the answer to `call`."""
        self.answers[call] = piece
        ready = [i for i in self.waiting.pop(call) if all(c in self.answers for c in self.wanted[i])]
        return [new for i in ready for new in self._go_on(i, [self.answers[c] for c in self.wanted[i]])]

    def results(self) -> list[Completion]:
        """The completions in the order of the requests."""
        return [completion for completion in self.completions if completion is not None]

    def _go_on(self, i: int, pieces: list[Piece] | None) -> list[Call]:
        """Advance one row; the calls that no other row has made before."""
        try:
            calls = next(self.programs[i]) if pieces is None else self.programs[i].send(pieces)
        except StopIteration as end:
            self.completions[i] = end.value
            if self.finished:
                self.finished(i, end.value)
            return []
        self.wanted[i] = calls
        fresh = []
        for call in dict.fromkeys(calls):
            if call not in self.answers:
                if call not in self.waiting:
                    fresh.append(call)
                self.waiting.setdefault(call, []).append(i)
        if all(call in self.answers for call in calls):
            return self._go_on(i, [self.answers[call] for call in calls])
        return fresh


def check_length(requests: Sequence[Request], limit: int, max_model_len: int, key: str) -> None:
    """Raises `UserError` when a row could outgrow the model length that the engine was started with."""
    longest = max(len(request.prompt_ids) for request in requests)
    if longest + limit > max_model_len:
        raise UserError(
            f"a prompt of {longest} tokens and {limit} new ones need {longest + limit}; allowed: {key}, {max_model_len}"
        )
