"""An exported run behind a real `vllm serve`: an evaluation's tokens in all three modes, thoughts apart, the dial."""

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
import pytest
import torch
from real_templates import real_tokenizer
from small_runs import ROOT, settings

from rl.evaluation.answer import greedy
from rl.evaluation.dial import dialled, p_think
from rl.models.open import Policy, open_policy
from rl.serving.export import export
from rl.serving.source import run_config
from rl.statistics.dial import logit_bias
from rl.worlds.model import build_model, build_tokenizer
from rollout.engines.base import Request
from rollout.types import MODES, Problem

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


@pytest.fixture(scope="module")
def kat(sharpened, tmp_path_factory):
    run = save_run(
        tmp_path_factory.mktemp("kat"), build_tokenizer(), sharpened, {"name": "kat", "judge_patience": 3}, 24
    )
    yield from served(run, tmp_path_factory.mktemp("out") / "kat", QUESTIONS)


@pytest.fixture(scope="module")
def qwen(sharpened, tmp_path_factory):
    run = save_run(tmp_path_factory.mktemp("qwen"), real_tokenizer("qwen3"), sharpened, {"name": "qwen3"}, 24)
    yield from served(run, tmp_path_factory.mktemp("out") / "qwen", QUESTIONS)


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


def test_a_served_judge_gives_the_tokens_of_an_evaluation_in_all_three_modes(kat):
    assert len(kat.problems) == 50
    modes_equal(kat)


def test_so_does_a_served_qwen3(qwen):
    modes_equal(qwen)


def test_thoughts_come_apart_from_answers_whole_and_streamed(kat):
    protocol, seen = kat.policy.protocol, set()
    for problem in kat.problems[:12]:
        for value in ("auto", True, False):
            asked = {"chat_template_kwargs": {"enable_thinking": value}}
            choice = kat.ask(problem.prompt, **asked)
            parsed, message = protocol.parse(tuple(choice["token_ids"])), choice["message"]
            seen.add(parsed.mode)
            thought = message.get("reasoning") or message.get("reasoning_content") or ""
            if parsed.status == "ok":
                assert (message["content"] or "").strip() == parsed.answer_text
                assert thought.endswith(parsed.think_text)
            deltas = kat.ask(problem.prompt, stream=True, **asked)
            streamed = "".join(d.get("reasoning") or d.get("reasoning_content") or "" for d in deltas)
            assert streamed.strip() == thought.strip()
            assert "".join(d.get("content") or "" for d in deltas).strip() == (message["content"] or "").strip()
    assert seen >= {"think", "no_think"}


@pytest.mark.parametrize("tau", [0.0, 0.2, 0.5, 0.8, 1.1])
def test_the_dial_of_a_request_gives_the_dialled_run_of_an_evaluation(kat, tau):
    config, protocol = kat.policy.config, kat.policy.protocol
    problems = kat.problems[:20]
    expected = dialled(config, problems, tau, kat.policy.own_engine, protocol)
    chances = p_think(config, problems, kat.policy.own_engine, protocol)
    for problem in problems:
        choice = kat.ask(problem.prompt, vllm_xargs={"dial": tau})
        rollout = expected[problem.id]
        if abs(chances[problem.id] - tau) > NEAR:
            check_equal(kat, choice["token_ids"], rollout.completion_ids, rollout.prompt_ids)


def test_a_dial_that_is_none_is_refused_by_the_server(kat):
    body = {"model": kat.name, "messages": [{"role": "user", "content": "7 + 1"}], "vllm_xargs": {"dial": 3}}
    answer = httpx.post(f"{kat.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert "dial" in answer.text


def test_a_logit_bias_is_the_dial_of_the_decision(kat):
    """At the decision of a free row the bias moves the choice where p_T / (p_T + p_N) passes the threshold."""
    protocol, engine = kat.policy.protocol, kat.policy.own_engine
    token, moved = str(protocol.switch_ids["no_think"]), 0
    for problem in kat.problems:
        prompt = protocol.render(problem.prompt)
        (free,) = engine.generate([Request(prompt)], greedy(kat.policy.config), 0)
        found = protocol.find_switch(free.ids)
        if found is None:
            continue
        think = free.switch_probs["think"] / sum(free.switch_probs.values())
        for tau in (think - 0.02, think + 0.02):
            if not 0 < tau < 1:
                continue
            choice = kat.ask(problem.prompt, logit_bias={token: logit_bias(tau)})
            mine = protocol.find_switch(choice["token_ids"])
            if mine is not None and mine[0] == found[0]:
                assert mine[1] == ("think" if think >= tau else "no_think")
                moved += mine[1] != found[1]
    assert moved


def test_the_server_s_own_budget_closes_a_thought(qwen):
    protocol = qwen.policy.protocol
    close = protocol.marks.think_close
    closed = 0
    for problem in qwen.problems[:10]:
        asked = {"chat_template_kwargs": {"enable_thinking": True}}
        free = qwen.ask(problem.prompt, **asked)["token_ids"]
        cut = qwen.ask(problem.prompt, thinking_token_budget=5, **asked)["token_ids"]
        if close not in free[:4]:
            # The line break behind <think> is the first token of the thought, and stands in the prompt.
            assert cut[:4] == free[:4]
            assert cut[4] == close
            closed += 1
    assert closed
    assert set(MODES) == {"think", "no_think"}
