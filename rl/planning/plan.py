"""A plan: does a run fit into its GPUs, what would make it fit, how long is a step. Nothing is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from rl.config.schema import Config, longest_response
from rl.planning.architecture import read_architecture
from rl.planning.changes import changes, together
from rl.planning.memory import Model, Part, measure_model, most, parts, peak, planned_engine, tokens_at_once
from rl.planning.rates import StepTime

GIB = 2**30
# PyTorch's allocator keeps blocks that fit no request; what a plan leaves to it.
SPARE = 0.05


@dataclass(frozen=True)
class Plan:
    """One training GPU's memory. `notes` say what the numbers stand on; `advice` what to change, one line each."""

    source: str
    gpus: int
    gpu_bytes: int
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    engine_fits: bool = True
    advice: tuple[str, ...] = ()
    time: StepTime | None = None

    @property
    def peak(self) -> tuple[int, Any]:
        """(bytes, when)."""
        return peak(list(self.parts))

    @property
    def fits(self) -> bool:
        """Whether the peak leaves a twentieth of the memory free, and vLLM's share holds its copy of the weights."""
        return self.engine_fits and self.peak[0] <= self.gpu_bytes * (1 - SPARE)

    def lines(self) -> list[str]:
        """All but the table, for people."""
        peak, when = self.peak
        verdict = f"{'fits' if self.fits else 'DOES NOT FIT'}: {peak / GIB:.1f} of {self.gpu_bytes / GIB:.3g} GiB"
        lines = [f"model: {self.source}, on torch's meta device", *self.notes]
        lines.append(f"{verdict}, a twentieth left free; the most is in the {when}")
        lines += [f"change: {line}" for line in self.advice]
        if self.time is not None:
            took = self.time
            lines.append(
                f"a step: {took.whole:.1f} s (rollout {took.rollout:.1f}, rewards {took.reward:.1f}, update "
                f"{took.update:.1f}); the run: {took.hours:.1f} hours"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain data; bytes are bytes of one GPU."""
        shown = {"parts": [dataclasses.asdict(part) for part in self.parts], "notes": self.notes, "advice": self.advice}
        sizes = {"gpus": self.gpus, "gpu_bytes": self.gpu_bytes, "peak_bytes": self.peak[0], "peak_when": self.peak[1]}
        time = None if self.time is None else {**dataclasses.asdict(self.time), "whole": self.time.whole}
        return {"model": self.source, "fits": self.fits, **sizes, **shown, "time": time}


def make_plan(config: Config, gpus: int, gpu_bytes: int, device: str = "cuda") -> Plan:
    """The plan of a run on `gpus` training GPUs. Raises `ConfigError` where it cannot be had."""
    architecture, source = read_architecture(config)
    known: dict[Any, Model] = {}

    def planned(other: Config, count: int) -> list[Part]:
        key = (other.model.lora.rank, other.model.dtype, other.trainer.bf16, bool(other.trainer.deepspeed))
        if key not in known:
            known[key] = measure_model(other, architecture)
        return parts(other, known[key], count, gpu_bytes, device)

    found = planned(config, gpus)
    model = next(iter(known.values()))
    notes, engine_fits = _notes(config, model, gpus, gpu_bytes, device)
    plan = Plan(source, gpus, gpu_bytes, tuple(found), notes, engine_fits)
    if plan.fits:
        return plan
    return dataclasses.replace(plan, advice=tuple(_advice(config, gpus, gpu_bytes, device, planned)))


def _notes(config: Config, model: Model, gpus: int, gpu_bytes: int, device: str) -> tuple[tuple[str, ...], bool]:
    """What the numbers stand on, and whether vLLM's share holds the weights."""
    longest = config.rollout.max_prompt_tokens + longest_response(config)
    trained = f", {model.trained / 1e6:,.1f} M trained" if model.trained < model.numbers else ""
    lines = [
        f"{model.numbers / 1e9:.2f} B weights{trained}; at most {tokens_at_once(config, gpus):,} tokens at once, with "
        f"every response at its cap (rows of {longest:,})",
    ]
    if config.model.attention == "eager":
        lines.append("attention is counted as sdpa; eager keeps rows · heads · length² numbers a layer more")
    if planned_engine(config, device) != "vllm":
        return tuple(lines), True
    if config.rollout.engine == "auto":
        lines.append("rollout.engine auto is planned as vllm, which it is where the package is installed")
    copy = 2 * (model.numbers - (model.trained if config.model.lora.rank else 0))
    left = config.rollout.vllm.gpu_memory_utilization * gpu_bytes - copy
    cache = model.activations.cache * model.layers
    if left <= 0:
        lines.append(
            f"vLLM's share does not hold its copy of the weights, {copy / GIB:.1f} GiB in bfloat16; allowed: a larger "
            "rollout.vllm.gpu_memory_utilization, or rollout.engine: vllm_server with tensor parallelism"
        )
    else:
        lines.append(
            f"vLLM's share leaves {left / GIB:.1f} GiB for keys and values: {int(left / cache):,} tokens, "
            f"{int(left / cache / longest)} rows at their cap at once"
        )
    return tuple(lines), left > 0


def _advice(config: Config, gpus: int, gpu_bytes: int, device: str, planned: Any) -> list[str]:
    """One line a change, with what it comes to; then the first of them that together fit."""
    limit = gpu_bytes * (1 - SPARE)
    before = peak(planned(config, gpus))[0]
    lines = []
    for change in changes(config, gpus, device):
        after = peak(planned(change.config, change.gpus))[0]
        if after < before:
            verdict = "fits" if after <= limit else "not enough alone"
            lines.append(f"{change.setting}: {after / GIB:.1f} GiB instead of {before / GIB:.1f} ({verdict})")

    joined = together(config, gpus, lambda setting, count: peak(planned(setting, count))[0] <= limit, device)
    if len(joined) > 1:
        lines.append(f"together: {' '.join(joined)} fits")
    return lines or ["nothing that this plan knows makes it smaller: a smaller model, shorter responses, more GPUs"]


def rendered(plan: Plan) -> Group:
    """The plan for a terminal."""
    table = Table(
        title=f"one of {plan.gpus} training GPU{'s' if plan.gpus > 1 else ''} of {plan.gpu_bytes / GIB:.3g} GiB"
    )
    for name in ("", "GiB", "update", "rollout", "known"):
        table.add_column(name, justify="left" if name in ("", "known") else "right")
    marks: Mapping[str, tuple[str, str]] = {"always": ("x", "x"), "update": ("x", ""), "rollout": ("", "x")}
    for part in plan.parts:
        table.add_row(part.name, f"{part.bytes / GIB:.2f}", *marks[part.when], part.known)
    table.add_section()
    at_once = [most(list(plan.parts), when) / GIB for when in ("update", "rollout")]
    table.add_row("together", f"{plan.peak[0] / GIB:.2f}", *(f"{value:.2f}" for value in at_once), "")
    return Group(table, *(Text(line) for line in plan.lines()))
