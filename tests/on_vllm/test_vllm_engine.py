"""The vLLM engine against the transformers engine and the model itself: same tokens, same log-probabilities."""

from __future__ import annotations

import copy

import pytest
import torch
from factories import make_protocol

from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine
from rollout.errors import UserError
from rollout.protocol import LAYOUTS
from rollout.types import MODES

PROMPTS = ("7 + 1", "12 + ( 34 ) r2 - 00", "99", "5 - 5 - 5", "40 + 02", "3 + 3 r3")
ALL = (None, *MODES)
LONG = tuple(5 + i * i % 30 for i in range(150))  # more than a block of the cache


def kat_requests(protocol, forced=ALL):
    return [Request(protocol.render(prompt), mode) for prompt in PROMPTS for mode in forced]


def with_protocol(engine, protocol):
    """The shared engine under another protocol; every protocol's ids are below the model's vocabulary."""
    other = copy.copy(engine)
    other.protocol = protocol
    return other


def full_pass(model, request, completion, temperature=1.0):
    """Log-probabilities (T, V) of one completion by one forward pass of transformers."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*request.prompt_ids, *completion.ids]])).logits[0]
    return torch.log_softmax(logits[len(request.prompt_ids) - 1 : -1].float() / temperature, dim=-1)


@pytest.mark.parametrize("name", LAYOUTS)
def test_greedy_rows_equal_those_of_the_transformers_engine(engine, model, name):
    protocol = make_protocol(name, judge_patience=3)
    texts = PROMPTS if name == "kat" else ("a", "a b c 7", "42 42 b", "c c c c c a")
    requests = [Request(ids, mode) for ids in (*map(protocol.encode, texts), LONG) for mode in ALL]
    greedy = Sampling(temperature=0.0, max_new_tokens=14)
    theirs = HFEngine(model, protocol, 0).generate(requests, greedy, seed=0)
    ours = with_protocol(engine, protocol).generate(requests, greedy, seed=0)
    assert [c.ids for c in ours] == [c.ids for c in theirs]
    assert [c.sampled for c in ours] == [c.sampled for c in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert mine.switch_probs == pytest.approx(other.switch_probs, abs=1e-5)
    assert any(c.switch_probs for c in ours)


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_are_cut_by_the_caps_of_their_modes_as_the_transformers_engine_cuts_them(engine, model, name):
    protocol = make_protocol(name, judge_patience=3)
    texts = PROMPTS if name == "kat" else ("a", "a b c 7", "42 42 b", "c c c c c a")
    requests = [Request(ids, mode) for ids in map(protocol.encode, texts) for mode in ALL]
    capped = Sampling(temperature=0.0, max_new_tokens=14, max_new_tokens_by_mode={"no_think": 2, "think": 5})
    theirs = HFEngine(model, protocol, 0).generate(requests, capped, seed=0)
    ended = []
    ours = with_protocol(engine, protocol).generate(requests, capped, 0, lambda number, _: ended.append(number))
    assert [c.ids for c in ours] == [c.ids for c in theirs]
    assert sorted(ended) == list(range(len(requests)))
    assert {len(c.ids) for c in ours} != {14}


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new_tokens=16),
        Sampling(temperature=0.7, max_new_tokens=16),
        Sampling(temperature=1.8, top_p=0.8, top_k=9, max_new_tokens=16),
    ],
    ids=["plain", "cool", "hot_and_truncated"],
)
def test_logprobs_are_those_of_one_full_forward_pass(engine, model, sampling):
    requests = kat_requests(engine.protocol)
    completions = engine.generate(requests, sampling, seed=3)
    forced = 0
    for request, completion in zip(requests, completions, strict=True):
        logp_TV = full_pass(model, request, completion, sampling.temperature)
        taken = logp_TV.gather(1, torch.tensor(completion.ids).unsqueeze(1)).squeeze(1)
        assert torch.allclose(taken, torch.tensor(completion.logprobs), atol=1e-4)
        found = engine.protocol.find_switch(completion.ids)
        if found:
            probs = logp_TV[found[0]].exp()
            expected = {mode: probs[engine.protocol.switch_ids[mode]].item() for mode in MODES}
            assert completion.switch_probs == pytest.approx(expected, abs=1e-5)
        forced += completion.sampled.count(0)
    assert forced >= 2 * len(PROMPTS)


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_kat_row_writes_its_judge_text_freely_then_the_switch(engine, mode):
    protocol = engine.protocol
    requests = [Request(protocol.render(PROMPTS[i % 6]), mode) for i in range(120)]
    completions = engine.generate(requests, Sampling(max_new_tokens=10), seed=5)
    close, closed_freely = protocol.forcing(mode).after, 0
    for completion in completions:
        parsed = protocol.parse(completion.ids)
        switch = parsed.switch_index
        assert parsed.mode == mode
        assert 1 <= switch <= 4
        assert completion.ids[switch - 1] == close
        assert set(completion.ids[: switch - 1]).isdisjoint({close, protocol.eos_id, *protocol.switch_ids.values()})
        assert completion.sampled[switch] == 0
        assert completion.sampled[switch - 1] == (0 if switch == 4 else 1)
        assert set(completion.sampled[: switch - 1]) | set(completion.sampled[switch + 1 :]) <= {1}
        closed_freely += completion.sampled[switch - 1]
    assert 0 < closed_freely < 120


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "think", "direct"), [("qwen3", 2, 4), ("one_token", 1, 1)])
def test_forced_rows_of_the_other_layouts_begin_with_their_switch(engine, name, think, direct, mode):
    protocol = make_protocol(name)
    request = Request(protocol.encode("a b 7"), mode)
    (completion,) = with_protocol(engine, protocol).generate([request], Sampling(max_new_tokens=8), seed=6)
    count = think if mode == "think" else direct
    assert completion.ids[:count] == protocol.forcing(mode).write
    assert completion.sampled == (0,) * count + (1,) * (len(completion.ids) - count)


def test_rows_end_with_the_end_token_or_at_the_limit_in_the_order_of_the_requests(engine):
    requests = kat_requests(engine.protocol) * 12
    completions = engine.generate(requests, Sampling(max_new_tokens=12), seed=1)
    eos = engine.protocol.eos_id
    assert {eos in c.ids for c in completions} == {True, False}
    for request, completion in zip(requests, completions, strict=True):
        assert completion.ids.count(eos) == (completion.ids[-1] == eos)
        assert len(completion.ids) == 12 or completion.ids[-1] == eos
        assert len(completion.ids) == len(completion.logprobs) == len(completion.sampled)
        assert (0 in completion.sampled) == (request.forced is not None)


def test_the_same_seed_gives_the_same_output_and_another_seed_does_not(engine):
    requests, sampling = kat_requests(engine.protocol), Sampling(max_new_tokens=12)
    first = engine.generate(requests, sampling, seed=11)
    assert engine.generate(requests, sampling, seed=11) == first
    assert [c.ids for c in engine.generate(requests, sampling, seed=12)] != [c.ids for c in first]


def test_the_trainers_random_stream_is_left_alone(engine):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    engine.generate(kat_requests(engine.protocol), Sampling(max_new_tokens=8), seed=2)
    assert torch.equal(torch.rand(3), expected)


def test_first_tokens_come_as_often_as_the_softmax_says(engine, model):
    count, temperature = 4000, 1.6
    request = Request(engine.protocol.render(PROMPTS[0]))
    completions = engine.generate([request] * count, Sampling(temperature=temperature, max_new_tokens=1), seed=13)
    expected = full_pass(model, request, completions[0], temperature)[0].exp() * count
    observed = torch.bincount(torch.tensor([c.ids[0] for c in completions]), minlength=len(expected)).float()
    big = expected >= 5
    chi_square = ((observed - expected) ** 2 / expected)[big].sum().item()
    freedom = int(big.sum()) - 1
    assert freedom >= 4
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5  # five standard deviations above its mean


def test_an_update_changes_the_sampled_distribution_once_the_weights_are_synchronised(engine, model):
    learner, request = copy.deepcopy(model), Request(LONG)
    sampling = Sampling(max_new_tokens=1)

    def share(token: int) -> float:
        return sum(c.ids[0] == token for c in engine.generate([request] * 200, sampling, seed=7)) / 200

    (before,) = engine.generate([request], Sampling(temperature=0.0, max_new_tokens=1), seed=0)
    wanted = int(full_pass(model, request, before)[0].argmin())
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
    for _ in range(5):
        logp_V = learner(input_ids=torch.tensor([request.prompt_ids])).logits[0, -1].log_softmax(-1)
        optimizer.zero_grad()
        (-logp_V[wanted]).backward()
        optimizer.step()
    assert share(wanted) < 0.05
    assert engine.sync(1, learner.named_parameters)
    assert not engine.sync(1, learner.named_parameters)  # once an update
    assert share(wanted) > 0.8
    (after,) = engine.generate([request], Sampling(temperature=0.0, max_new_tokens=1), seed=0)
    assert after.ids == (wanted,)
    assert after.logprobs[0] == pytest.approx(full_pass(learner, request, after)[0, wanted].item(), abs=1e-4)


def test_a_row_that_could_outgrow_the_engine_is_refused_by_name(engine):
    request = Request((5,) * 250)
    with pytest.raises(
        UserError, match=r"250 tokens and 7 new ones need 257; allowed: rollout\.vllm\.max_model_len, 256"
    ):
        engine.generate([request], Sampling(max_new_tokens=7), seed=0)


def test_no_requests_give_no_completions(engine):
    assert engine.generate([], Sampling(), seed=0) == []
