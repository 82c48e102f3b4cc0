"""An engine over a running `vllm serve` and its completions API; `server_calls.py` turns the rows of a plan into calls.

    vllm serve MODEL --max-model-len 4096

Prompts go as token ids and come back as token ids with log-probabilities. The server reports them at temperature 1
(`raw_logprobs`, its default), so only the temperatures 1 and 0 are allowed. A lost connection or a server error is
tried again, with a pause that doubles, for as long as `patience` says; seeds make a repeated call give the same answer.
A server that was gone after weights had been pushed to it has lost them: that is an error, and a run goes on from its
last checkpoint, whose weights are pushed anew.

Weights are pushed over NCCL by TRL's client where this side has a CUDA device; the server then needs one too, and
`--weight-transfer-config '{"backend": "nccl"}'`. Elsewhere they are written to a folder, which the server reads again.
Both need `VLLM_SERVER_DEV_MODE=1` on the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from requests import RequestException, Response, Session
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
        folder: Path | None = None,
    ) -> None:
        """`timeout`: seconds that one call may take. `patience`: seconds that the server may be away or answer with
        errors. `pushes`: whether this rank sends weights. `folder`: where they are written for the server without NCCL;
        it must find the folder under this name. Raises `ServerError` when no server answers."""
        self.url, self.protocol, self.timeout, self.folder = url.rstrip("/"), protocol, timeout, folder
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
        """Push `weights()` unless they are already those of `version`; returns whether it did. Raises `ServerError`
        where the server does not take them."""
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

        if not (torch.cuda.is_available() and torch.distributed.is_nccl_available()):
            self._push_by_folder(weights)
            return
        if self._client is None:
            from trl.generation.vllm_client import VLLMClient

            self._client = VLLMClient(base_url=self.url, connection_timeout=60.0)
            self._client.init_communicator(device=torch.cuda.current_device())
        # The server must know every tensor before the first one arrives, so they are read once for their shapes.
        shapes = [(name, str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in weights()]
        self._client.update_named_params(shapes, iter(weights()))
        self._client.reset_prefix_cache()

    def _push_by_folder(self, weights: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        from safetensors.torch import save_file

        if self.folder is None:
            raise ServerError(
                "weights cannot be pushed without NCCL or a folder; allowed: rollout.engine: hf, hf_process"
            )
        tensors = {name: tensor.contiguous() for name, tensor in weights()}
        if self.version is None and "lm_head.weight" not in tensors:
            self._check_tied_head()
        self.folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, self.folder / "model.safetensors")
        reload = {"method": "reload_weights", "kwargs": {"weights_path": str(self.folder.absolute())}}
        self._develop("POST", "collective_rpc", reload)
        self._develop("POST", "reset_prefix_cache")

    def _check_tied_head(self) -> None:
        """Raises `ServerError` for a server on a CPU: that multiplies by a packed copy of the output matrix, which it
        does not pack anew where that matrix is the embeddings."""
        if "device_config=cpu" in self._develop("GET", "server_info").json()["vllm_config"]:
            raise ServerError(
                f"rollout.vllm.server_url: the server at {self.url} runs on a CPU, where it keeps the old head of a "
                "model whose head is its embeddings; allowed: a server on a GPU, rollout.engine: hf or hf_process"
            )

    def _develop(self, method: str, name: str, body: Any = None) -> Response:
        """Ask for what a server does in its mode for development alone."""
        hints = {
            404: "it takes no weights; allowed: the server started with VLLM_SERVER_DEV_MODE=1",
            500: f"it cannot load the weights in {self.folder}; allowed: a folder that it sees under this very name",
        }
        return _answer(self._session, method, f"{self.url}/{name}", self.timeout, body, hints)

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
    return _answer(session, method, url, timeout, body).json()


def _answer(
    session: Session, method: str, url: str, timeout: float, body: Any = None, hints: Mapping[int, str] | None = None
) -> Response:
    """A good answer. Raises `ServerError` for all others, with the hint for its status."""
    try:
        answer = session.request(method, url, json=body, timeout=(10.0, timeout))
    except RequestException as error:
        text = f"rollout.vllm.server_url: no answer from {url} ({type(error).__name__}); {HINT}"
        raise _AwayError(text, gone="Connection refused" in str(error)) from error
    if answer.status_code >= 500 and answer.status_code not in (hints or {}):
        raise _AwayError(f"rollout.vllm.server_url: no answer from {url} but {answer.status_code}, again and again")
    if answer.status_code != 200:
        text = (hints or {}).get(answer.status_code) or " ".join(answer.text.split())[:300]
        raise ServerError(f"rollout.vllm.server_url: {url} answered {answer.status_code}: {text}")
    return answer
