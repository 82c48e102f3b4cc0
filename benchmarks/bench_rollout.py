"""Tokens a second of our engine against `model.generate` on the same forced lengths, and of vLLM where it is installed.

    python benchmarks/bench_rollout.py --json FILE [--quick]

Method: groups of eight rows share a prompt, as in training; both sides sample at temperature 1 without truncation and
take turns in one process. Ours gets its lengths by forcing modes and capping their tokens (judge text and switch are
part of the length), `generate` by a stopping criterion for each row; no end token is heeded. `ours` and `peer` are
tokens a second, `ratio` is our time over theirs, `floor` real tokens over those decoded until the longest row ends, and
`gone` the share of the removable cost that is gone. vLLM's rows have `generate` as their peer too.
"""

from __future__ import annotations

import importlib.util
import os
import random
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import (
    BF16,
    DEVICE,
    Work,
    alternate,
    attempt,
    build_model,
    build_tokenizer,
    finish,
    mixes,
    parse_arguments,
    show,
)
from transformers import PreTrainedModel, StoppingCriteria

from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine
from rollout.protocol import DecisionProtocol, layout


class ByRow(StoppingCriteria):
    """Each row ends at its own length."""

    def __init__(self, prompt: int, completions: torch.Tensor) -> None:
        self.ends = prompt + completions

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return input_ids.shape[1] >= self.ends


def prompts_of(work: Work) -> list[tuple[int, ...]]:
    """One random prompt a row, the same for the rows of a group."""
    rng = random.Random(2)
    prompts = [tuple(rng.choices(range(16, 30), k=n)) for n in work.prompts]
    return [prompts[i // work.group] for i in range(len(work.completions))]


def our_side(model: PreTrainedModel, work: Work) -> Any:
    """A call that decodes `work` with our engine."""
    protocol = DecisionProtocol(build_tokenizer(), layout("kat"), judge_patience=0)
    engine = HFEngine(model, protocol, protocol.tokenizer.pad_token_id)
    engine.eos_ids = set()
    written = 1 + len(protocol.forcing("think").write)
    longest, shortest = max(work.completions), min(work.completions)
    sampling = Sampling(max_new_tokens=longest, max_new_tokens_by_mode={"no_think": max(1, shortest - written)})
    requests = [
        Request(prompt, "think" if n == longest else "no_think")
        for prompt, n in zip(prompts_of(work), work.completions, strict=True)
    ]

    def decode() -> None:
        lengths = tuple(len(completion.ids) for completion in engine.generate(requests, sampling, 0))
        if lengths != work.completions:
            raise RuntimeError(f"completions have {lengths} tokens, not {work.completions}")

    return decode


def generate_side(model: PreTrainedModel, work: Work) -> Any:
    """A call that decodes `work` with transformers' `generate`."""
    prompts = torch.tensor(prompts_of(work), device=model.device)
    ends = ByRow(prompts.shape[1], torch.tensor(work.completions, device=model.device))
    model.generation_config.eos_token_id = None

    def decode() -> None:
        model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0,
                       max_new_tokens=max(work.completions), stopping_criteria=[ends])  # fmt: skip

    return decode


def vllm_side(model: PreTrainedModel, work: Work, folder: Path) -> Any:
    """A call that decodes `work` with vLLM, in this process so that its time is counted."""
    os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1")
    if DEVICE == "cpu":
        os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind")
    from vllm import LLM, SamplingParams

    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    length = max(work.prompts) + max(work.completions)
    engine = LLM(str(folder), max_model_len=length, dtype="bfloat16" if DEVICE == "cuda" else "float32")
    prompts = [{"prompt_token_ids": list(prompt)} for prompt in prompts_of(work)]
    sampling = [SamplingParams(max_tokens=n, ignore_eos=True, logprobs=0) for n in work.completions]
    return lambda: engine.generate(prompts, sampling, use_tqdm=False)


def measure(size: str, work: Work, rounds: int, vllm: bool) -> list[dict[str, Any]]:
    """The rows of one work on one model, with `vllm` also of that."""
    dtype = torch.bfloat16 if BF16 else torch.float32
    model = build_model(size).to(DEVICE, dtype).eval()
    sides = {"": our_side(model, work), "peer": generate_side(model, work)}
    with tempfile.TemporaryDirectory() as scratch:
        if vllm:
            sides["vLLM, "] = vllm_side(model, work, Path(scratch))
        seconds = dict(zip(sides, alternate(list(sides.values()), rounds), strict=True))
    peer = seconds.pop("peer")
    tokens = sum(work.completions)
    # Prefill and the decoding of the longest row for all.
    floor = tokens / (max(work.completions) * len(work.completions))
    rows = []
    for name, ours in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
        rows.append(
            {
                "case": f"tokens/s, {name}{size}, {work.name}",
                "ours": round(tokens / statistics.median(ours), 1),
                "peer": round(tokens / statistics.median(peer), 1),
                "ratio": round(ratio, 3),
                "rounds": rounds,
                "floor": round(floor, 3),
                **({"gone": round((1 - ratio) / (1 - floor), 3)} if floor < 1 else {}),
            }
        )
    return rows


def cases(options: Any) -> list[tuple[str, list[Work], int]]:
    """(model, mixes, timed rounds); short:long is 1:50 or near it."""
    if options.smallest:
        return [("0.1M", mixes(16, 2, 4, 38)[2:3], 1)]
    if DEVICE == "cuda":
        small = ("110M", mixes(64, 32, 8, 400)[3:], 2)
        large = [(size, mixes(64, 32, 4, 200)[3:], 1) for size in ("600M", "1.5B")]
        return [small] if options.quick else [small, *large]
    if options.quick:
        return [("1M", mixes(32, 8, 4, 100), 3), ("110M", mixes(32, 4, 4, 40)[2:3], 1)]
    return [("1M", mixes(32, 8, 8, 400), 5), ("110M", mixes(32, 4, 3, 100), 3)]


def main() -> None:
    """Measure all cases of this device."""
    options = parse_arguments(__doc__ or "")
    rows: list[dict[str, Any]] = []
    vllm = not options.no_vllm and importlib.util.find_spec("vllm") is not None
    todo = [
        (f"{size}, {work.name}", size, work, rounds)
        for size, works, rounds in cases(options)
        for work in works
        if options.only in f"{size}, {work.name}"
    ]
    planned = [name for name, *_ in todo]
    for name, *case in todo:
        found = attempt(f"tokens/s, {name}", partial(measure, *case, vllm))
        rows += found
        show(found)
        finish(rows, options, planned)


if __name__ == "__main__":
    main()
