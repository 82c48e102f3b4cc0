"""A thought is closed at its budget, by the transformers engine and by calls to a server alike."""

import pytest
import torch
from small_engine import make_engine

from rollout.engines.base import Request, Sampling
from rollout.engines.server_calls import Piece, Rows
from rollout.protocol import LAYOUTS
from rollout.types import MODES


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_thought_is_closed_at_its_budget_and_what_is_written_counts_as_forced(name, limit):
    engine = make_engine(name, judge_patience=3)
    protocol, budget = engine.protocol, Sampling(temperature=0.0, max_new_tokens=24, thinking_budget=limit)
    requests = [Request(protocol.encode(text), mode) for text in ("7", "a b", "42 7 b") for mode in (None, *MODES)]
    closing, closed = protocol.thought_budget(0).closing, 0
    plain = engine.generate(requests, Sampling(temperature=0.0, max_new_tokens=24), seed=0)
    for request, before, after in zip(requests, plain, engine.generate(requests, budget, seed=0), strict=True):
        if request.forced == "no_think":
            assert after.ids == before.ids
        if after.ids == before.ids:
            continue
        same = next(k for k, (a, b) in enumerate(zip(before.ids, after.ids, strict=False)) if a != b)
        first = next(k for k in range(len(after.ids)) if after.ids[k : k + len(closing)] == closing and k >= same - 2)
        assert after.sampled[first : first + len(closing)] == (0,) * len(closing)
        assert after.sampled[first + len(closing) :] == (1,) * (len(after.ids) - first - len(closing))
        closed += 1
    assert closed or name == "kat"  # a random model hardly ever writes <think> behind <think_on>


def answered(model, call):
    """What a server says to a greedy call."""
    ids, logprobs, watched = list(call.prompt_ids), [], []
    for _ in range(call.max_tokens):
        with torch.no_grad():
            logp_V = model(input_ids=torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
        allowed_V = logp_V.clone()
        allowed_V[list(call.banned_ids)] = -torch.inf
        token = int(allowed_V.argmax())
        ids.append(token)
        logprobs.append(float(logp_V[token]))
        watched.append(tuple(float(logp_V[t]) for t in call.watch_ids))
        if token in call.stop_ids:
            break
    return Piece(tuple(ids[len(call.prompt_ids) :]), tuple(logprobs), tuple(watched))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("limit", [0, 2, 5])
def test_rows_by_calls_equal_those_of_the_engine(name, limit):
    engine = make_engine(name, judge_patience=3)
    protocol, budget = engine.protocol, Sampling(temperature=0.0, max_new_tokens=16, thinking_budget=limit)
    requests = [Request(protocol.encode(text), mode) for text in ("7", "a b") for mode in (None, *MODES)]
    rows = Rows(requests, protocol, budget, seed=0)
    calls = rows.open()
    while calls:
        call = calls.pop()
        calls += rows.close(call, answered(engine.model, call))
    expected = engine.generate(requests, budget, seed=0)
    assert [c.ids for c in rows.results()] == [c.ids for c in expected]
    assert [c.sampled for c in rows.results()] == [c.sampled for c in expected]
    for mine, theirs in zip(rows.results(), expected, strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
        assert mine.switch_probs == pytest.approx(theirs.switch_probs, abs=1e-5)
