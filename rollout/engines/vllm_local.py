"""An engine over vLLM in this process, with weights pushed in between; `server_calls.py` turns rows into calls.

Log-probabilities are asked as `raw_logprobs`: the model's own, before bans, temperature, top-k and top-p. The sampling
temperature is therefore put in front of them, as a scale of the logits inside the model, and the sampler runs at 1 (or
greedily). They are then what `rollout/engines/hf.py` returns and what the trainer recomputes.

The engine starts with random weights; `sync` must have been called once before `generate`. It loads weights in the
checkpoint's names and forgets cached prefixes. With `sleep` (CUDA), `rest` gives the GPU memory back until the next
`sync`. One engine a rank: a model that needs several GPUs to decode belongs to `rollout/engines/vllm_server.py`.

The only file that imports vllm, and only when an engine is made.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rollout.engines.base import Completion, Finished, Request, Sampling
from rollout.engines.server_calls import BAN, Call, Piece, Rows, check_length
from rollout.protocol import DecisionProtocol

Weights = Iterable[tuple[str, torch.Tensor]]


class VLLMEngine:
    """Decodes with vLLM; see the module docstring."""

    def __init__(
        self,
        folder: Path,
        protocol: DecisionProtocol,
        *,
        max_model_len: int,
        dtype: str = "auto",
        gpu_memory_utilization: float = 0.3,
        sleep: bool = False,
        eager: bool = False,
    ) -> None:
        """`folder` holds the model's `config.json`; weights and tokenizer are not read."""
        # The engine core must live in this process: weights are handed over by reference.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import LLM

        self.protocol, self.max_model_len, self.sleeps = protocol, max_model_len, sleep
        self.version: int | None = None
        self._asleep, self._scale = False, 1.0
        with _untouched_random_state():
            self.llm = LLM(
                str(folder),
                load_format="dummy",
                skip_tokenizer_init=True,
                dtype=dtype,
                max_model_len=max_model_len,
                gpu_memory_utilization=gpu_memory_utilization,
                enable_sleep_mode=sleep,
                enforce_eager=eager,
                logprobs_mode="raw_logprobs",
                **_launch(),
            )

    def sync(self, version: int, weights: Callable[[], Weights]) -> bool:
        """Load `weights()` unless they are already those of `version`; returns whether it did."""
        if version == self.version:
            return False
        if self._asleep:
            self.llm.wake_up(tags=["weights"])
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights())})
        self.llm.apply_model(_repack_head)
        self.llm.reset_prefix_cache()
        if self._asleep:
            self.llm.wake_up(tags=["kv_cache"])
        self.version, self._asleep = version, False
        return True

    def rest(self) -> None:
        """Until the next `sync` nothing is decoded: give GPU memory back, if `sleep` was asked for."""
        if self.sleeps and not self._asleep:
            self.llm.sleep(level=2)
            self.version, self._asleep = None, True  # level 2 discards the weights

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, finished: Finished | None = None
    ) -> list[Completion]:
        """Completions in the order of `requests`. Raises `UserError` for rows longer than the engine's model length."""
        if not requests:
            return []
        if self.version is None:
            raise RuntimeError("VLLMEngine.generate without sync: the engine has no weights")
        check_length(requests, sampling.max_new_tokens, self.max_model_len, "rollout.vllm.max_model_len")
        self._set_temperature(sampling.temperature)
        with _untouched_random_state():
            return self._decode(Rows(requests, self.protocol, sampling, seed, finished), sampling)

    def _decode(self, rows: Rows, sampling: Sampling) -> list[Completion]:
        names = itertools.count()
        running: dict[str, Call] = {}
        fresh = rows.open()
        while fresh or running:
            for call in fresh:
                name = str(next(names))
                running[name] = call
                prompt: Any = {"prompt_token_ids": list(call.prompt_ids)}
                self.llm.llm_engine.add_request(name, prompt, sampling_params(call, sampling))
            fresh = []
            for output in self.llm.llm_engine.step():
                if output.finished:
                    call = running.pop(output.request_id)
                    fresh += rows.close(call, _piece(output.outputs[0], call))
        return rows.results()

    def _set_temperature(self, temperature: float) -> None:
        scale = 1.0 / (temperature or 1.0)
        if scale != self._scale:
            self.llm.apply_model(lambda model: _scale_logits(model, scale / self._scale))
            self._scale = scale


def sampling_params(call: Call, sampling: Sampling) -> Any:
    """vLLM's parameters of one call; the temperature itself is in the logits."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=1.0 if sampling.temperature else 0.0,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=call.seed,
        max_tokens=call.max_tokens,
        ignore_eos=True,  # only the protocol's own end token ends a row
        stop_token_ids=list(call.stop_ids),
        logit_bias=dict.fromkeys(call.banned_ids, BAN) or None,
        logprob_token_ids=list(call.watch_ids),
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _piece(output: Any, call: Call) -> Piece:
    tables = output.logprobs
    return Piece(
        tuple(output.token_ids),
        tuple(table[token].logprob for token, table in zip(output.token_ids, tables, strict=True)),
        tuple(tuple(table[token].logprob for token in call.watch_ids) for table in tables),
    )


def _launch() -> dict[str, Any]:
    """Under torchrun each rank runs its own engine inside the existing process group. On a CPU prompts are prefilled
    whole: vLLM rewinds the generator of a seeded row whose prompt was cut, which CPU generators cannot do."""
    options: dict[str, Any] = {} if torch.cuda.is_available() else {"enable_chunked_prefill": False}
    if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        options["distributed_executor_backend"] = "external_launcher"
    return options


@contextlib.contextmanager
def _untouched_random_state() -> Iterator[None]:
    """vLLM seeds the global generators when it starts and draws from them; the trainer's streams must not notice."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def _scale_logits(model: torch.nn.Module, factor: float) -> None:
    from vllm.model_executor.layers.logits_processor import LogitsProcessor

    for module in model.modules():
        if isinstance(module, LogitsProcessor):
            module.scale *= factor


def _repack_head(model: torch.nn.Module) -> None:
    """vLLM's CPU backend multiplies by a packed copy of the output matrix. A head tied to the embeddings is no tensor
    of its own in the checkpoint, so loading leaves that copy behind."""
    head = getattr(model, "lm_head", None)
    if head is not None and hasattr(head, "quant_method") and head.weight.device.type == "cpu":
        head.quant_method.process_weights_after_loading(head)
