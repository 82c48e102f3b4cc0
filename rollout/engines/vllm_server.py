"""An engine over a running `vllm serve` and its completions API; `server_calls.py` turns the rows of a plan into calls.

    vllm serve MODEL --max-model-len 4096

Prompts go as token ids and come back as token ids with log-probabilities. The server reports them at temperature 1
(`raw_logprobs`, its default), so only the temperatures 1 and 0 are allowed. A lost connection or a server error is
tried again, with a pause that doubles, for as long as `patience` says; seeds make a repeated call give the same answer.
A server that was gone after weights had been pushed to it has lost them: that is an error, and a run goes on from its
last checkpoint, whose weights are pushed anew.

Weights are pushed over NCCL by TRL's client, which needs a CUDA device on both sides, and on the server
`VLLM_SERVER_DEV_MODE=1` and `--weight-transfer-config '{"backend": "nccl"}'`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from requests import RequestException, Session
from requests.adapters import HTTPAdapter

from rollout.engines.base import Completion, Finished, Request, Sampling
from rollout.engines.server_calls import BAN, Call, Piece, Rows, check_length
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol

HINT = "start one with: vllm serve MODEL"
FLOOR = -9999.0  # what the server writes for a log-probability of minus infinity


LONGEST_PAUSE_S = 10.0


class ServerError(UserError):
    """The server cannot be reached or refuses what it is asked."""


class _AwayError(ServerError):
    """No answer, or one of 500 and above: it may pass. `gone`: nothing listens there."""

    def __init__(self, text: str, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


def check_temperature(temperature: float) -> None:
    """Raises `ServerError` for a temperature at which the server's log-probabilities are not the sampling policy's."""
    if temperature not in (0.0, 1.0):
        raise ServerError(
            f"rollout.temperature is {temperature}; allowed with rollout.engine 'vllm_server': 1 or 0, because the "
            "server reports log-probabilities at temperature 1"
        )


def served_model(url: str, timeout: float = 10.0) -> tuple[str, int]:
    """(name, longest row in tokens) of the served model. Raises `ServerError` when nothing answers."""
    answer = _send(Session(), "GET", f"{url.rstrip('/')}/v1/models", timeout)
    try:
        model = answer["data"][0]
        return str(model["id"]), int(model["max_model_len"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise ServerError(f"rollout.vllm.server_url {url!r} does not answer like a vLLM server; {HINT}") from None


class ServerEngine:
    """Decodes with a vLLM server; see the module docstring."""

    def __init__(
        self,
        url: str,
        protocol: DecisionProtocol,
        *,
        timeout: float = 1800.0,
        concurrency: int = 128,
        patience: float = 300.0,
        pushes: bool = True,
    ) -> None:
        """`timeout`: seconds that one call may take. `patience`: seconds that the server may be away or answer with
        errors. `pushes`: whether this rank sends weights. Raises `ServerError` when no server answers."""
        self.url, self.protocol, self.timeout = url.rstrip("/"), protocol, timeout
        self.concurrency, self.patience, self.pushes = concurrency, patience, pushes
        self.model, self.max_model_len = served_model(url)
        self.version: int | None = None
        self._client: Any = None
        self._session = Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=concurrency))

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, finished: Finished | None = None
    ) -> list[Completion]:
        """Completions in the order of `requests`. Raises `ServerError` when the server stays away."""
        if not requests:
            return []
        check_temperature(sampling.temperature)
        check_length(requests, sampling.max_new_tokens, self.max_model_len, "the server's --max-model-len")
        rows = Rows(requests, self.protocol, sampling, seed, finished)
        running: dict[Future[Piece], Call] = {}
        with ThreadPoolExecutor(self.concurrency) as pool:
            try:
                fresh = rows.open()
                while fresh or running:
                    running |= {pool.submit(self._ask, call, sampling): call for call in fresh}
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    fresh = [new for future in done for new in rows.close(running.pop(future), future.result())]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return rows.results()

    def sync(self, version: int, weights: Callable[[], Iterable[tuple[str, Any]]]) -> bool:
        """Push `weights()` unless they are already those of `version`; returns whether it did. CUDA only. Raises
        `ServerError` elsewhere."""
        if version == self.version:
            return False
        if not self.pushes:
            for _ in weights():  # reading them is a collective of all ranks
                pass
        else:
            self._push(weights)
        self.version = version
        return True

    def rest(self) -> None:
        """The server has its own GPU: nothing to give back."""

    def _push(self, weights: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        import torch

        if not torch.cuda.is_available():
            raise ServerError(
                "rollout.engine is 'vllm_server' without a CUDA device, which pushing weights needs; allowed: hf, vllm"
            )
        if self._client is None:
            from trl.generation.vllm_client import VLLMClient

            self._client = VLLMClient(base_url=self.url, connection_timeout=60.0)
            self._client.init_communicator(device=torch.cuda.current_device())
        # The server must know every tensor before the first one arrives, so they are read once for their shapes.
        shapes = [(name, str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in weights()]
        self._client.update_named_params(shapes, iter(weights()))
        self._client.reset_prefix_cache()

    def _ask(self, call: Call, sampling: Sampling) -> Piece:
        url, body = f"{self.url}/v1/completions", self._payload(call, sampling)
        began, pause = time.monotonic(), 0.5
        while True:
            try:
                return parse_choice(_send(self._session, "POST", url, self.timeout, body)["choices"][0], call)
            except _AwayError as away:
                if away.gone and self.version is not None:
                    raise ServerError(
                        f"rollout.vllm.server_url: the server at {self.url} went away, and with it the weights of this "
                        "run; what is finished stays; start the server again, and the same command goes on"
                    ) from away
                if time.monotonic() - began + pause > self.patience:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _payload(self, call: Call, sampling: Sampling) -> dict[str, Any]:
        return {
            "model": self.model,
            "prompt": list(call.prompt_ids),
            "max_tokens": call.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": call.seed,
            "ignore_eos": True,  # only the protocol's own end token ends a row
            "stop_token_ids": list(call.stop_ids),
            "logit_bias": {str(token): BAN for token in call.banned_ids} or None,
            "logprobs": 0,
            "logprob_token_ids": list(call.watch_ids),
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }


def parse_choice(choice: dict[str, Any], call: Call) -> Piece:
    """The answer to `call` from one choice of the completions API."""
    ids, table = tuple(choice["token_ids"]), choice["logprobs"]
    logprobs, watched = tuple(table["token_logprobs"]), table["top_logprobs"]
    if len(ids) != len(logprobs) or any(value is None or value > 1e-3 for value in logprobs):
        raise ServerError("the server's log-probabilities are not raw_logprobs; allowed: --logprobs-mode raw_logprobs")
    names = [f"token_id:{token}" for token in call.watch_ids]
    return Piece(ids, logprobs, tuple(tuple(float(tops.get(name, FLOOR)) for name in names) for tops in watched))


def _send(session: Session, method: str, url: str, timeout: float, body: Any = None) -> Any:
    try:
        answer = session.request(method, url, json=body, timeout=(10.0, timeout))
    except RequestException as error:
        text = f"rollout.vllm.server_url: no answer from {url} ({type(error).__name__}); {HINT}"
        raise _AwayError(text, gone="Connection refused" in str(error)) from error
    if answer.status_code >= 500:
        raise _AwayError(f"rollout.vllm.server_url: no answer from {url} but {answer.status_code}, again and again")
    if answer.status_code != 200:
        text = " ".join(answer.text.split())[:300]
        raise ServerError(f"rollout.vllm.server_url: {url} answered {answer.status_code}: {text}")
    return answer.json()
