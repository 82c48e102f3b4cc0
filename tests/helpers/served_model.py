"""A small run, exported and behind a real `vllm serve`, and what its answers are compared with."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch
from small_runs import ROOT, settings

from rl.evaluation.answer import greedy
from rl.models.open import Policy, open_policy
from rl.serving.export import export
from rl.serving.source import run_config
from rl.worlds.model import build_model
from rollout.engines.base import Request
from rollout.types import Problem

VALUES = {None: "auto", "think": True, "no_think": False}
NEAR = 1e-3  # two logits closer than this may change places from one engine to the other
QUESTIONS = [f"{a} + ({b}) - {c}" for a, b, c in zip(range(10, 60), range(90, 40, -1), range(30, 80), strict=True)]


@dataclass(frozen=True)
class Served:
    url: str
    policy: Policy
    problems: list[Problem]

    def ask(self, text, stream=False, **options):
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": greedy(self.policy.config).max_new_tokens,
            "return_token_ids": True,
            "stream": stream,
            **options,
        }
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=300)
        if stream:
            lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
            return [delta for line in lines for delta in [json.loads(line)["choices"][0]["delta"]]]
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"][0]

    @property
    def name(self):
        return httpx.get(f"{self.url}/v1/models", timeout=60).json()["data"][0]["id"]


def save_run(folder, tokenizer, sharpen, protocol, cap):
    """A run folder whose model is random and decides by its context."""
    model = build_model(tokenizer, 0, hidden=128, layers=1)
    model.config.max_position_embeddings = 256
    sharpen(model, 0).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    raw = settings(folder, folder / "model", protocol=protocol, rollout={"max_new_tokens": cap})
    (folder / "config.json").write_text(json.dumps(raw))
    return folder


@contextlib.contextmanager
def serving(out, further=()):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "scripts/serve.py"), str(out), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", *further]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    with open(out / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 900
            while True:
                assert process.poll() is None, Path(log.name).read_text()[-4000:]
                assert time.monotonic() < deadline, Path(log.name).read_text()[-4000:]
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                        break
                time.sleep(2)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def served(run, out, questions):
    config = run_config(run)
    export(config, run, run / "model", out, [])
    policy = open_policy(config, str(run / "model"))
    problems = [Problem(f"p{k}", text, answer="7") for k, text in enumerate(questions)]
    with serving(out) as url:
        yield Served(url, policy, problems)


def check_equal(served, ids, expected, prompt):
    """The same tokens; a first difference only where the two best logits nearly tie."""
    if tuple(ids) == tuple(expected):
        return
    place = next(k for k in range(max(len(ids), len(expected))) if tuple(ids[k : k + 1]) != tuple(expected[k : k + 1]))
    with torch.no_grad():
        whole = torch.tensor([[*prompt, *expected[:place]]])
        best = served.policy.model(input_ids=whole).logits[0, -1].topk(2).values
    assert best[0] - best[1] < NEAR, f"token {place} of {expected}: {ids}"


def modes_equal(served):
    """Ask every question in every mode."""
    protocol, engine = served.policy.protocol, served.policy.own_engine
    prompts = [protocol.render(problem.prompt) for problem in served.problems]
    for mode, value in VALUES.items():
        rows = engine.generate([Request(prompt, mode) for prompt in prompts], greedy(served.policy.config), 0)
        for problem, prompt, row in zip(served.problems, prompts, rows, strict=True):
            choice = served.ask(problem.prompt, chat_template_kwargs={"enable_thinking": value})
            ids = tuple(choice["token_ids"])
            # What the template has written of a stated mode stands in the prompt.
            begun = () if protocol.spec.judge_close or mode is None else protocol.forcing(mode).write
            check_equal(served, (*begun, *ids)[: len(row.ids)], row.ids, prompt)
