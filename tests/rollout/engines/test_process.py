"""The engine in a process of its own: what it decodes, whose weights it has, and how it ends."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from factories import make_protocol
from small_runs import ROOT, environment

from rl.worlds.model import build_model
from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine
from rollout.engines.process import EngineDied, ProcessEngine, SharedWeights
from rollout.engines.process_main import ModelCopy
from rollout.errors import UserError
from rollout.types import MODES

PROTOCOL = make_protocol(judge_patience=3)
REQUESTS = [Request(PROTOCOL.encode(text), mode) for text in ("7 + 1", "99 - 3") for mode in (None, *MODES)]
SAMPLING = Sampling(max_new_tokens=12)


def small_model(seed: int = 0):
    return build_model(PROTOCOL.tokenizer, seed, hidden=32, layers=1)


def in_a_process(model) -> ProcessEngine:
    build = functools.partial(ModelCopy, kind=type(model), config=model.config, protocol=PROTOCOL, pad_id=0)
    return ProcessEngine(build)


@pytest.fixture(scope="module")
def engine():
    model = small_model()
    made = in_a_process(model)
    made.sync(0, model.named_parameters)
    yield made
    made.close()


def assert_decodes_as(engine, model) -> None:
    rows: list[int] = []
    found = engine.generate(REQUESTS, SAMPLING, 3, lambda number, completion: rows.append(number))
    expected = HFEngine(model, PROTOCOL, 0).generate(REQUESTS, SAMPLING, 3)
    assert sorted(rows) == list(range(6))
    assert [c.ids for c in found] == [c.ids for c in expected]
    assert [c.sampled for c in found] == [c.sampled for c in expected]
    for mine, other in zip(found, expected, strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-5)
        assert mine.switch_probs == pytest.approx(other.switch_probs, abs=1e-5)


@pytest.mark.medium
def test_it_decodes_what_the_policy_itself_would_and_an_update_reaches_it_with_its_version_alone(engine):
    assert_decodes_as(engine, small_model())
    updated = small_model(seed=1)
    assert not engine.sync(0, updated.named_parameters)
    assert_decodes_as(engine, small_model())
    assert engine.sync(1, updated.named_parameters)
    assert_decodes_as(engine, updated)


@pytest.mark.medium
def test_signals_are_left_to_the_process_that_asks_and_its_death_is_one_line(engine):
    engine.sync(2, small_model().named_parameters)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(engine.process.pid, number)
    assert_decodes_as(engine, small_model())
    os.kill(engine.process.pid, signal.SIGKILL)
    with pytest.raises(EngineDied, match=rf"process {engine.process.pid} ended by SIGKILL"):
        engine.generate(REQUESTS, SAMPLING, 3)


def test_shared_weights_are_one_piece_of_memory_that_two_openers_see():
    named = {"a": torch.arange(5, dtype=torch.bfloat16), "b": torch.ones(2, 3), "empty": torch.zeros(0)}
    mine = SharedWeights.like(named.items())
    other = SharedWeights(os.dup(mine.descriptor), mine.index)
    for name, tensor in named.items():
        mine.tensors[name].copy_(tensor)
    assert [other.tensors[name].tolist() for name in named] == [[0, 1, 2, 3, 4], [[1, 1, 1], [1, 1, 1]], []]
    assert other.tensors["a"].dtype == torch.bfloat16
    assert all(tensor.data_ptr() % 64 == 0 for tensor in other.tensors.values() if tensor.numel())


def test_a_copy_computes_with_the_shared_memory_itself_and_a_weight_that_does_not_come_is_named():
    model = small_model()
    shared = SharedWeights.like(model.named_parameters())
    copied = ModelCopy(shared, kind=type(model), config=model.config, protocol=PROTOCOL, pad_id=0)
    places = {tensor.data_ptr() for tensor in shared.tensors.values()}
    assert {p.data_ptr() for p in copied.model.parameters()} == places
    assert copied.model.lm_head.weight.data_ptr() == shared.tensors["model.embed_tokens.weight"].data_ptr()
    partial = SharedWeights.like((n, p) for n, p in model.named_parameters() if n != "model.norm.weight")
    with pytest.raises(UserError, match=r"the weight model\.norm\.weight .* allowed: rollout\.engine: hf"):
        ModelCopy(partial, kind=type(model), config=model.config, protocol=PROTOCOL, pad_id=0)


def test_bfloat16_computes_in_it_over_the_weights_own_type():
    model = small_model()
    shared = SharedWeights.like(model.named_parameters())
    for name, parameter in model.named_parameters():
        shared.tensors[name].copy_(parameter.detach())
    copied = ModelCopy(shared, kind=type(model), config=model.config, protocol=PROTOCOL, pad_id=0, bfloat16=True)
    assert copied.model(input_ids=torch.tensor([[1, 5, 9]])).logits.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in copied.model.parameters()} == {torch.float32}
    (row,) = copied.generate(REQUESTS[:1], Sampling(temperature=0.0, max_new_tokens=4), 0)
    (exact,) = HFEngine(model, PROTOCOL, 0).generate(REQUESTS[:1], Sampling(temperature=0.0, max_new_tokens=4), 0)
    assert row.logprobs == pytest.approx(exact.logprobs, abs=0.1)
    assert row.logprobs != exact.logprobs


PARENT = """
    import sys
    import test_process as t
    if __name__ == "__main__":
        model = t.small_model()
        engine = t.in_a_process(model)
        engine.sync(0, model.named_parameters)
        print(engine.process.pid, flush=True)
        engine.generate(t.REQUESTS * 2000, t.Sampling(max_new_tokens=100), 0)
"""


@pytest.mark.slow
def test_a_parent_killed_while_it_decodes_leaves_no_process(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    paths = [ROOT, ROOT / "tests/helpers", Path(__file__).parent]
    env = environment(PYTHONPATH=os.pathsep.join(map(str, paths)))
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=env, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether the process is there and is no zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
