"""The server engine against a small HTTP server with canned answers: retries, refusals, what is sent."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from factories import make_protocol

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
def serving(answer, port=0):
    """A server whose completions are `answer(body, count)`: (status, JSON); yields its URL and the bodies it got."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(200, MODELS)

        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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


@pytest.mark.skipif("__import__('torch').cuda.is_available()")
def test_pushing_weights_without_cuda_is_refused_in_one_line():
    with serving(lambda body, _: (200, choice(body))) as (url, _):
        engine = ServerEngine(url, PROTOCOL)
        with pytest.raises(ServerError, match="'vllm_server' without a CUDA device, which pushing weights needs"):
            engine.sync(0, lambda: [])
