"""The transformers engine against the model itself: same tokens, same log-probabilities, same distribution."""

import pytest
import torch
from small_engine import make_engine

from rollout.engines.base import Request, Sampling
from rollout.protocol import LAYOUTS
from rollout.types import MODES

PROMPTS = ("7 + 1", "12 + ( 34 ) r2 - 00", "99", "5 - 5 - 5", "40 + 02", "3 + 3 r3")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def engine():
    return make_engine(judge_patience=3)


def greedy(length):
    return Sampling(temperature=0.0, max_new_tokens=length)


def requests_of(engine, forced=(None,)):
    return [Request(engine.protocol.render(prompt), mode) for prompt in PROMPTS for mode in forced]


def full_pass(engine, request, completion, temperature=1.0):
    """Log-probabilities (T, V) of one completion by a single forward pass without cache."""
    ids = torch.tensor([[*request.prompt_ids, *completion.ids]])
    with torch.no_grad():
        logits = engine.model(input_ids=ids).logits[0]
    return torch.log_softmax(logits[len(request.prompt_ids) - 1 : -1].float() / temperature, dim=-1)


@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_decoding_equals_generate_token_by_token(seed):
    engine = make_engine(seed=seed)
    requests = requests_of(engine)
    completions = engine.generate(requests, greedy(24), seed=0)
    lengths = [len(completion.ids) for completion in completions]
    assert min(lengths) < max(lengths) == 24  # some rows leave the batch early, some stay
    for request, completion in zip(requests, completions, strict=True):
        prompt = torch.tensor([request.prompt_ids])
        output = engine.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=24, use_cache=True
        )
        assert list(completion.ids) == output[0, prompt.shape[1] :].tolist()


def test_a_completion_ends_with_the_end_token_or_at_the_limit(engine):
    completions = engine.generate(requests_of(engine) * 20, Sampling(max_new_tokens=12), seed=1)
    ends = {engine.protocol.eos_id in c.ids for c in completions}
    assert ends == {True, False}
    for completion in completions:
        eos = engine.protocol.eos_id
        assert completion.ids.count(eos) == (completion.ids[-1] == eos)
        assert len(completion.ids) == 12 or completion.ids[-1] == eos


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.8])
def test_logprobs_are_those_of_one_full_forward_pass(engine, temperature):
    requests = requests_of(engine, (None, "think", "no_think"))
    completions = engine.generate(requests, Sampling(temperature=temperature, max_new_tokens=16), seed=3)
    for request, completion in zip(requests, completions, strict=True):
        logp_TV = full_pass(engine, request, completion, temperature)
        taken = logp_TV.gather(1, torch.tensor(completion.ids).unsqueeze(1)).squeeze(1)
        assert torch.allclose(taken, torch.tensor(completion.logprobs), atol=1e-4)


def test_switch_probabilities_are_the_softmax_at_the_decision(engine):
    requests = requests_of(engine, (None, "think", "no_think")) * 8
    completions = engine.generate(requests, Sampling(max_new_tokens=16), seed=4)
    decided = 0
    for request, completion in zip(requests, completions, strict=True):
        found = engine.protocol.find_switch(completion.ids)
        if found is None:
            assert completion.switch_probs == {}
            continue
        probs = full_pass(engine, request, completion)[found[0]].exp()
        expected = {mode: probs[engine.protocol.switch_ids[mode]].item() for mode in MODES}
        assert completion.switch_probs == pytest.approx(expected, abs=1e-5)
        decided += request.forced is None
    assert decided > 0  # free rows are among them


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_kat_row_writes_its_judge_text_freely_then_the_switch(engine, mode):
    requests = [Request(engine.protocol.render(PROMPTS[i % 6]), mode) for i in range(240)]
    completions = engine.generate(requests, Sampling(max_new_tokens=10), seed=5)
    close = engine.protocol.forcing(mode).after
    closed_freely = 0
    for completion in completions:
        parsed = engine.protocol.parse(completion.ids)
        switch = parsed.switch_index
        assert parsed.mode == mode
        assert completion.ids[switch - 1] == close
        assert set(completion.ids[: switch - 1]).isdisjoint({close, engine.protocol.eos_id, *engine.switch_ids})
        assert completion.sampled[switch] == 0
        assert 1 <= switch <= 4  # at most three tokens of patience, then </judge> and the switch
        closed_freely += completion.sampled[switch - 1]
        assert completion.sampled[switch - 1] == (0 if switch == 4 else 1)
        assert set(completion.sampled[: switch - 1]) <= {1}
        assert set(completion.sampled[switch + 1 :]) <= {1}
    assert 0 < closed_freely < 240


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "think", "direct"), [("qwen3", 2, 4), ("one_token", 1, 1)])
def test_forced_rows_of_the_other_layouts_begin_with_their_switch(name, think, direct, mode):
    engine = make_engine(name)
    request = Request(engine.protocol.encode("a b 7"), mode)
    (completion,) = engine.generate([request], Sampling(max_new_tokens=8), seed=6)
    count = think if mode == "think" else direct
    assert completion.ids[:count] == engine.protocol.forcing(mode).write
    assert completion.sampled == (0,) * count + (1,) * (len(completion.ids) - count)
    assert engine.protocol.parse(completion.ids).mode == mode


def test_a_free_row_has_every_token_sampled(engine):
    completions = engine.generate(requests_of(engine), Sampling(max_new_tokens=12), seed=7)
    assert all(set(c.sampled) == {1} for c in completions)


def test_every_list_of_a_completion_has_one_entry_a_token(engine):
    requests = requests_of(engine, (None, "think", "no_think"))
    for completion in engine.generate(requests, Sampling(max_new_tokens=12), seed=8):
        assert len(completion.ids) == len(completion.logprobs) == len(completion.sampled) <= 12


def test_the_same_seed_gives_the_same_output_and_another_seed_does_not(engine):
    requests = requests_of(engine, (None, "think"))
    sampling = Sampling(max_new_tokens=12)
    first = engine.generate(requests, sampling, seed=11)
    assert engine.generate(requests, sampling, seed=11) == first
    assert [c.ids for c in engine.generate(requests, sampling, seed=12)] != [c.ids for c in first]


@pytest.mark.medium
@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_of_a_mixed_batch_equal_the_same_rows_alone(name):
    engine = make_engine(name)
    texts = PROMPTS if name == "kat" else ("a", "a b c 7", "42 42 b", "c c c c c a")
    requests = [Request(engine.protocol.encode(t), mode) for t in texts for mode in (None, "think", "no_think")]
    together = engine.generate(requests, greedy(16), seed=0)
    for request, row in zip(requests, together, strict=True):
        (alone,) = engine.generate([request], greedy(16), seed=0)
        assert row.ids == alone.ids
        assert row.sampled == alone.sampled
        assert row.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        assert row.switch_probs == pytest.approx(alone.switch_probs, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_first_tokens_come_as_often_as_the_softmax_says(engine, temperature):
    count = 8000
    request = Request(engine.protocol.render(PROMPTS[0]))
    sampling = Sampling(temperature=temperature, max_new_tokens=1)
    completions = engine.generate([request] * count, sampling, seed=13)
    expected = full_pass(engine, request, completions[0], temperature)[0].exp() * count
    observed = torch.bincount(torch.tensor([c.ids[0] for c in completions]), minlength=len(expected)).float()
    big = expected >= 5
    assert big.sum() >= 4
    cells = [*zip(observed[big], expected[big], strict=True), (observed[~big].sum(), expected[~big].sum())]
    chi_square = sum(float((o - e) ** 2 / e) for o, e in cells if e > 1)
    freedom = len(cells) - 1
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5  # five standard deviations above its mean


@pytest.mark.medium
def test_top_k_and_top_p_keep_only_the_likeliest_tokens(engine):
    request = Request(engine.protocol.render(PROMPTS[1]))
    (probe,) = engine.generate([request], Sampling(max_new_tokens=1), seed=0)
    probs = full_pass(engine, request, probe)[0].exp()
    order = probs.argsort(descending=True).tolist()
    draws = engine.generate([request] * 2000, Sampling(top_k=3, max_new_tokens=1), seed=1)
    assert {c.ids[0] for c in draws} == set(order[:3])
    total, nucleus = 0.0, set()
    for token in order:
        if total >= 0.6:
            break
        nucleus.add(token)
        total += probs[token].item()
    draws = engine.generate([request] * 2000, Sampling(top_p=0.6, max_new_tokens=1), seed=1)
    assert {c.ids[0] for c in draws} == nucleus


def shapes_of(engine, requests, sampling, finished=None):
    """Completions, and the (rows, columns) of every forward pass."""
    seen = []
    hook = engine.model.register_forward_pre_hook(
        lambda *a: seen.append(tuple(a[2]["input_ids"].shape)), with_kwargs=True
    )
    try:
        return engine.generate(requests, sampling, 3, finished(seen) if finished else None), seen
    finally:
        hook.remove()


def test_each_distinct_prompt_is_prefilled_once_and_rows_that_have_ended_leave_the_batch(engine):
    requests = requests_of(engine, (None, "think", "no_think")) * 2
    completions, seen = shapes_of(engine, requests, Sampling(max_new_tokens=16))
    lengths = [len(c.ids) for c in completions]
    assert seen[0] == (6, max(len(r.prompt_ids) for r in requests))  # of 36 rows
    assert seen[1:] == [(sum(n > k for n in lengths), 1) for k in range(1, max(lengths))]
    assert len(set(seen[1:])) > 4


def test_a_row_is_handed_out_as_soon_as_it_has_ended(engine):
    passes = {}

    def record(seen):
        return lambda number, completion: passes.update({number: (len(seen), completion)})

    completions, _ = shapes_of(engine, requests_of(engine) * 4, Sampling(max_new_tokens=16), record)
    assert {number: len(c.ids) for number, c in enumerate(completions)} == {k: n for k, (n, _) in passes.items()}
    assert [passes[number][1] for number in range(len(completions))] == completions
    assert len({n for n, _ in passes.values()}) > 4


def test_a_row_is_cut_by_the_cap_of_the_mode_it_decided_for_or_was_forced_into(engine):
    requests = requests_of(engine, (None, "think", "no_think")) * 20
    caps = {"no_think": 2, "think": 6}
    completions = engine.generate(requests, Sampling(max_new_tokens=16, max_new_tokens_by_mode=caps), seed=5)
    at_cap = set()
    for request, completion in zip(requests, completions, strict=True):
        found = engine.protocol.find_switch(completion.ids)
        most = min(16, found[0] + 1 + caps[found[1]]) if found else 16
        assert len(completion.ids) == most or completion.ids[-1] == engine.protocol.eos_id
        assert len(completion.ids) <= most
        if found and len(completion.ids) == most:
            at_cap.add((found[1], request.forced))
    assert at_cap == {("think", None), ("no_think", None), ("think", "think"), ("no_think", "no_think")}


def test_a_model_in_training_mode_comes_back_in_training_mode(engine):
    engine.model.train()
    try:
        engine.generate(requests_of(engine)[:1], greedy(2), seed=0)
        assert engine.model.training
    finally:
        engine.model.eval()


def test_no_requests_give_no_completions(engine):
    assert engine.generate([], greedy(4), seed=0) == []


def test_each_token_is_handed_out_as_it_is_chosen(engine):
    requests, seen = requests_of(engine, (None, "think")), {}
    done = engine.generate(requests, greedy(12), 0, None, lambda row, token: seen.setdefault(row, []).append(token))
    assert [tuple(seen[k]) for k in range(len(requests))] == [c.ids for c in done]
