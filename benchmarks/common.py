"""What the benchmarks of rollouts and updates share: models, forced lengths, alternating timing, the report.

Import it before anything of the project: a script's folder comes first on the path, where `rewards.py` and `rollout.py`
would hide the packages of those names. This module moves it to the end.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
for name, value in {"HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "WANDB_MODE": "disabled"}.items():
    os.environ.setdefault(name, value)

import torch  # noqa: E402
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM, set_seed  # noqa: E402

from rl.worlds.model import build_tokenizer  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# A GPU works in bfloat16; BENCH_BF16=1 takes the same path on a CPU, which scripts/gpu_check.py is tested with.
BF16 = DEVICE == "cuda" or os.environ.get("BENCH_BF16") == "1"
# On a CPU one thread and its processor time: a busy neighbour then costs no ratio.
clock = time.perf_counter if DEVICE == "cuda" else time.process_time
if DEVICE == "cpu":
    torch.set_num_threads(1)

# Layers, width, heads, vocabulary of Qwen3-architecture models by their size.
SIZES = {
    "0.1M": (2, 48, 2, 512),
    "1M": (4, 128, 4, 2048),
    "110M": (12, 768, 12, 32000),
    "600M": (28, 1024, 16, 151936),
    "1.5B": (28, 1536, 12, 151936),
    "152k": (8, 128, 4, 151936),  # the vocabulary of Qwen3 over a small body
}


@dataclass(frozen=True)
class Work:
    """The rows of one step: groups of `group` rows in a row share a prompt. `prompts` has the tokens of each group's
    prompt, `completions` those of each row's completion."""

    name: str
    prompts: tuple[int, ...]
    completions: tuple[int, ...]
    group: int = 8

    def rows(self) -> list[int]:
        """All tokens of each row."""
        return [self.prompts[i // self.group] + n for i, n in enumerate(self.completions)]

    def floor(self) -> float:
        """Real tokens over tokens padded to the longest row: the cost with everything removable removed."""
        return sum(self.rows()) / (max(self.prompts) + max(self.completions)) / len(self.completions)


def mix(name: str, long_share: float, rows: int, prompt: int, short: int, long: int, group: int = 8) -> Work:
    """Long and short rows in random order."""
    long_rows = round(rows * long_share)
    lengths = [long] * long_rows + [short] * (rows - long_rows)
    random.Random(0).shuffle(lengths)
    return Work(f"{name}, {rows} rows of {short} or {long}", (prompt,) * (rows // group), tuple(lengths), group)


def mixes(rows: int, prompt: int, short: int, long: int) -> list[Work]:
    """All short, all long, half and half, 80 % short and 20 % long."""
    shares = {"all short": 0.0, "all long": 1.0, "half and half": 0.5, "80/20": 0.2}
    return [mix(name, share, rows, prompt, short, long) for name, share in shares.items()]


def build_model(size: str, positions: int = 16384) -> PreTrainedModel:
    """A randomly initialised model of one of `SIZES` in float32, on the device."""
    layers, width, heads, vocabulary = SIZES[size]
    tokenizer = build_tokenizer()
    set_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=width // heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.device(DEVICE):  # where a billion random numbers take no time
        return Qwen3ForCausalLM(config)


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class PeakMemory:
    """MiB that a stretch of work needs above what is held when it begins: of the GPU, or resident memory on Linux."""

    def start(self) -> None:
        """Begin; gives freed memory back to the system first, which costs time: not for a timed stretch."""
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.held = torch.cuda.memory_allocated() / 2**20
            return
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        self.held = self._resident("VmRSS")

    def stop(self) -> float:
        """The peak since `start`."""
        peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else self._resident("VmHWM")
        return round(peak - self.held, 1)

    def _resident(self, field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def alternate(sides: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Seconds of each side in each round; the sides take turns, after one round of warming up."""
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, times in zip(sides, seconds, strict=True):
            synchronize()
            start = clock()
            side()
            synchronize()
            if turn:
                times.append(clock() - start)
    return seconds


def compared(case: str, ours: Sequence[float], peer: Sequence[float], **others: Any) -> dict[str, Any]:
    """One row: medians in seconds, and the median of the rounds' ratios."""
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    return {
        "case": case,
        "ours": round(statistics.median(ours), 4),
        "peer": round(statistics.median(peer), 4),
        "ratio": round(statistics.median(ratios), 3),
        "rounds": len(ratios),
        **others,
    }


def parse_arguments(doc: str, **flags: str) -> argparse.Namespace:
    """`--json FILE` and `--quick`, and further flags given as name=help; `--smallest` is for the tests."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows, the machine and the versions here")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, under two minutes")
    parser.add_argument("--only", default="", help="the cases with this in their name; other rows of FILE stay")
    parser.add_argument("--no-vllm", action="store_true", help="leave vLLM out where it is installed")
    parser.add_argument("--smallest", action="store_true", help=argparse.SUPPRESS)
    for flag, text in flags.items():
        parser.add_argument(f"--{flag}", type=Path, help=text)
    options = parser.parse_args()
    print(f"device: {machine()['device']}" + ("" if DEVICE == "cuda" else "; no GPU here, so these are the CPU rows"))
    return options


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table."""
    for row in rows:
        others = "  ".join(f"{k} {v}" for k, v in row.items() if k not in ("case", "ours", "peer", "ratio"))
        cells = [f"{name} {row[name] if row[name] is not None else '-':>9}" for name in ("ours", "peer", "ratio")]
        print(f"{row['case']:<44} {'  '.join(cells)}  {others}", flush=True)


def attempt(case: str, measured: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of one case, or one that says that the memory of the GPU did not do; it is free again afterwards."""
    try:
        return measured()
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[0]
        return [{"case": case, "ours": None, "peer": None, "ratio": None, "error": f"out of memory: {reason}"}]
    finally:
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()


def finish(rows: Sequence[dict[str, Any]], options: argparse.Namespace, planned: Sequence[str] = ()) -> None:
    """Write the report if asked to. Called after every case, it loses none when the process is killed; `planned` are
    the cases that a whole run measures."""
    if options.json:
        if options.only and options.json.is_file():
            before = json.loads(options.json.read_text(encoding="utf-8"))["rows"]
            rows = [*(row for row in before if row["case"] not in {new["case"] for new in rows}), *rows]
        report = {"rows": list(rows), "machine": machine(), "versions": versions()}
        report |= {"planned": list(planned)} if planned else {}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        part = options.json.with_suffix(".part")
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        part.replace(options.json)


def machine() -> dict[str, Any]:
    """Device, number type and threads of the measurement."""
    dtype = "bfloat16" if BF16 else "float32"
    if DEVICE == "cuda":
        memory = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
        name = torch.cuda.get_device_name()
        return {"device": name, "memory_gib": memory, "dtype": dtype, "system": platform.system()}
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return {"device": name, "dtype": dtype, "threads": torch.get_num_threads(), "system": platform.system()}


def versions() -> dict[str, str]:
    """Versions of what was measured."""
    found = {"python": platform.python_version()}
    for package in ("torch", "transformers", "trl", "accelerate", "vllm"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
