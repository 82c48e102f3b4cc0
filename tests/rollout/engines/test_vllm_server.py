"""The server engine against a small HTTP server with canned answers: retries, refusals, what is sent."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from factories import make_protocol
from safetensors.torch import load_file

from rollout.engines.base import Request, Sampling
from rollout.engines.server_calls import Call
from rollout.engines.vllm_server import ServerEngine, ServerError, parse_choice, served_model
from rollout.errors import UserError

PROTOCOL = make_protocol("one_token")
THINK, DIRECT = PROTOCOL.switch_ids["think"], PROTOCOL.switch_ids["no_think"]
MODELS = {"data": [{"id": "policy", "max_model_len": 32}]}


def choice(body):
    """One token, the end, with the log-probabilities -0.25 for it and -2 for everything watched."""
    tops = {f"token_id:{token}": -2.0 for token in body["logprob_token_ids"]}
    logprobs = {"token_logprobs": [-0.25], "top_logprobs": [tops]}
    return {"choices": [{"token_ids": [PROTOCOL.eos_id], "logprobs": logprobs}]}


@contextmanager
def serving(answer, port=0, development=lambda path, body: 404, device="cuda"):
    """A server whose completions are `answer(body, count)`: (status, JSON); yields its URL and the bodies it got.
    `development(path, body)` gives the status of whatever else is asked."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            information = {"vllm_config": f"model='policy', device_config={device}, seed=0"}
            self.reply(200, information if self.path == "/server_info" else MODELS)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "null")
            if self.path != "/v1/completions":
                self.reply(development(self.path, body), {})
                return
            bodies.append(body)
            self.reply(*answer(bodies[-1], len(bodies)))

        def reply(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()


def test_rows_come_back_in_order_and_prompts_go_as_ids():
    with serving(lambda body, _: (200, choice(body))) as (url, bodies):
        engine = ServerEngine(url, PROTOCOL)
        rows = engine.generate([Request((1, 2), "think"), Request((3,))], Sampling(max_new_tokens=4, top_k=5), seed=0)
    assert [row.ids for row in rows] == [(THINK, PROTOCOL.eos_id), (PROTOCOL.eos_id,)]
    assert [row.logprobs for row in rows] == [(-2.0, -0.25), (-0.25,)]
    assert rows[0].switch_probs == pytest.approx({"think": 0.135335, "no_think": 0.135335}, abs=1e-6)
    asked = {(tuple(body["prompt"]), body["max_tokens"], body["top_k"], body["model"]) for body in bodies}
    assert asked == {((1, 2), 1, 5, "policy"), ((1, 2, THINK), 3, 5, "policy"), ((3,), 4, 5, "policy")}


@pytest.mark.medium
def test_a_server_error_is_tried_again():
    with serving(lambda body, count: (200, choice(body)) if count > 2 else (503, {})) as (url, bodies):
        (row,) = ServerEngine(url, PROTOCOL).generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)
    assert row.ids == (PROTOCOL.eos_id,)
    assert len(bodies) == 3
    assert bodies[0] == bodies[2]


@pytest.mark.medium
def test_a_server_that_stays_broken_is_one_line():
    with serving(lambda body, _: (503, {})) as (url, bodies):
        engine = ServerEngine(url, PROTOCOL, patience=0.6)
        with pytest.raises(ServerError, match=f"no answer from {url}/v1/completions"):
            engine.generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)
    assert len(bodies) == 2


@pytest.mark.medium
def test_a_server_that_answers_late_is_waited_for_and_one_that_is_too_late_is_asked_again():
    def late(body, count):
        time.sleep(1.0 if count == 1 else 0.1)
        return 200, choice(body)

    with serving(late) as (url, bodies):
        engine = ServerEngine(url, PROTOCOL, timeout=0.5)
        (row,) = engine.generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)
    assert row.ids == (PROTOCOL.eos_id,)
    assert bodies[0] == bodies[1]


def away_for(url_of, seconds):
    """Start a server on the same port after so many seconds; what it was asked."""
    port, seen = int(url_of.rpartition(":")[2]), []

    def come_back():
        time.sleep(seconds)
        with serving(lambda body, _: (200, choice(body)), port) as (_, bodies):
            seen.append(bodies)
            time.sleep(5)

    threading.Thread(target=come_back, daemon=True).start()
    return seen


@pytest.mark.medium
def test_a_server_that_goes_away_and_comes_back_costs_no_row():
    with serving(lambda body, _: (200, choice(body))) as (url, _):
        engine = ServerEngine(url, PROTOCOL, patience=20)
    seen = away_for(url, 1.0)
    (row,) = engine.generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)
    assert row.ids == (PROTOCOL.eos_id,)
    assert len(seen[0]) == 1


def test_a_server_that_was_gone_has_lost_the_weights_that_were_pushed_to_it():
    with serving(lambda body, _: (200, choice(body))) as (url, _):
        engine = ServerEngine(url, PROTOCOL, patience=20)
    engine.version = 3  # as after a push, which needs CUDA
    with pytest.raises(ServerError, match="went away, and with it the weights of this run; what is finished stays"):
        engine.generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)


def test_a_refusal_is_not_tried_again_and_says_why():
    with serving(lambda body, _: (400, {"message": "no such option"})) as (url, bodies):
        engine = ServerEngine(url, PROTOCOL)
        with pytest.raises(ServerError, match=r"answered 400: .*no such option"):
            engine.generate([Request((1,))], Sampling(max_new_tokens=4), seed=0)
    assert len(bodies) == 1


def test_a_row_longer_than_the_served_model_is_refused():
    with serving(lambda body, _: (200, choice(body))) as (url, bodies):
        engine = ServerEngine(url, PROTOCOL)
        with pytest.raises(UserError, match="need 33; allowed: the server's --max-model-len, 32"):
            engine.generate([Request((1,) * 30)], Sampling(max_new_tokens=3), seed=0)
    assert bodies == []


def test_something_else_that_answers_is_not_taken_for_a_vllm_server(monkeypatch):
    monkeypatch.setitem(MODELS, "data", [{"id": "policy"}])
    with (
        serving(lambda body, _: (200, {})) as (url, _),
        pytest.raises(ServerError, match="does not answer like a vLLM"),
    ):
        served_model(url)


def test_logits_in_place_of_log_probabilities_are_noticed():
    call = Call((1,), 1, (THINK, DIRECT))
    tops = [{f"token_id:{THINK}": 3.5, f"token_id:{DIRECT}": -1.0}]
    with pytest.raises(ServerError, match="allowed: --logprobs-mode raw_logprobs"):
        parse_choice({"token_ids": [THINK], "logprobs": {"token_logprobs": [3.5], "top_logprobs": tops}}, call)


WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="weights go over NCCL on a GPU")


def filled(value):
    return [("a", torch.full((2,), value))]


@WITHOUT_CUDA
def test_without_nccl_weights_go_to_a_folder_that_the_server_reads_once_an_update(tmp_path):
    asked = []

    def take(path, body):
        asked.append((path, body, load_file(tmp_path / "weights" / "model.safetensors")["a"].tolist()))
        return 200

    with serving(lambda body, _: (200, choice(body)), development=take) as (url, _):
        engine = ServerEngine(url, PROTOCOL, folder=tmp_path / "weights")
        pushed = [engine.sync(version, partial(filled, version)) for version in (3, 3, 4)]
    assert pushed == [True, False, True]
    reload = {"method": "reload_weights", "kwargs": {"weights_path": str(tmp_path / "weights")}}
    assert asked == [
        ("/collective_rpc", reload, [3, 3]),
        ("/reset_prefix_cache", None, [3, 3]),
        ("/collective_rpc", reload, [4, 4]),
        ("/reset_prefix_cache", None, [4, 4]),
    ]


@WITHOUT_CUDA
def test_a_server_that_takes_no_weights_is_one_line_with_the_way_on(tmp_path):
    with serving(lambda body, _: (200, choice(body))) as (url, _):
        engine = ServerEngine(url, PROTOCOL, folder=tmp_path)
        with pytest.raises(ServerError, match=r"answered 404: .*VLLM_SERVER_DEV_MODE=1"):
            engine.sync(0, lambda: [("a", torch.zeros(1))])


@WITHOUT_CUDA
def test_a_server_on_a_cpu_is_refused_weights_whose_head_it_would_not_take(tmp_path):
    def weights(name):
        return lambda: [("embed", torch.zeros(1)), (name, torch.zeros(1))]

    with serving(lambda body, _: (200, choice(body)), development=lambda *_: 200, device="cpu") as (url, _):
        engine = ServerEngine(url, PROTOCOL, folder=tmp_path)
        with pytest.raises(ServerError, match="runs on a CPU, where it keeps the old head"):
            engine.sync(0, weights("norm"))
        assert engine.sync(0, weights("lm_head.weight"))
