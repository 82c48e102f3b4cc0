"""Small real runs for tests: a two-layer policy in a folder, recorded rollouts, and configurations that use them."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl.config.read import parse_config
from rl.config.schema import Config
from rl.worlds.model import build_model, build_tokenizer
from rollout.collect import make_rollout
from rollout.engines.base import Completion
from rollout.protocol import DecisionProtocol, layout
from rollout.types import Problem, Rollout, rollout_to_json

ROOT = Path(__file__).resolve().parents[2]


def save_policy(folder: Path, seed: int = 0, hidden: int = 32) -> Path:
    """A random Qwen3 of one layer and width `hidden` with the embedded tokenizer, as a model folder."""
    tokenizer = build_tokenizer()
    build_model(tokenizer, seed, hidden=hidden, layers=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def settings(run_dir: Path, policy: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """The raw configuration of a run of seconds; `sections` are merged over it."""
    base: dict[str, Any] = {
        "run_dir": str(run_dir),
        "data": {"shares": {"1": 0.5, "3": 0.5}, "train_size": 40, "test_size": 10},
        "model": {"path": str(policy)},
        "protocol": {"name": "kat", "judge_patience": 3},
        "rollout": {
            "group_size": 4,
            "max_new_tokens": 16,
            "max_prompt_tokens": 20,
            "forced": {"start": 1.0, "floor": 0.5, "decay_steps": 4, "minimum": 1},
            "save_every": 1,
        },
        "rewards": [{"name": "judge"}, {"name": "math"}, {"name": "format", "weight": 0.2}],
        "trainer": {"steps": 3, "prompts_per_step": 4, "learning_rate": 1e-3, "save_every": 2},
        "cold_start": {"gate": {"problems": 0}},
        "wandb": {"mode": "disabled"},
    }
    for name, values in sections.items():
        base[name] = {**base[name], **values} if isinstance(base.get(name), dict) else values
    return base


def small_config(run_dir: Path, policy: Path, **sections: Any) -> Config:
    """The parsed configuration of `settings`."""
    return parse_config(settings(run_dir, policy, **sections))


def tiny_protocol() -> DecisionProtocol:
    """KAT's layout over the embedded tokenizer."""
    return DecisionProtocol(build_tokenizer(), layout("kat"))


def recorded_rollout(
    problem: Problem, mode: Any, answer: str, *, forced: bool = False, thinking: str = "1+1"
) -> Rollout:
    """A well-formed rollout as an engine would have returned it; a forced one has its switch not sampled."""
    protocol = tiny_protocol()
    ids = protocol.response(mode, answer, thinking, "hm")
    sampled = tuple(0 if forced and token == protocol.switch_ids[mode] else 1 for token in ids)
    completion = Completion(ids, (-1.0,) * len(ids), sampled, {"think": 0.5, "no_think": 0.5})
    return make_rollout(problem, protocol.render(problem.prompt), completion, mode if forced else None, protocol)


def recorded_groups(count: int = 4) -> list[list[Rollout]]:
    """Groups of four with unequal lengths, all right in both modes but one wrong thought each: direct is right."""
    groups = []
    for index in range(count):
        problem = Problem(f"p{index}", f"1{index} + 22", "math", answer=f"3{index}", difficulty="1")
        right, wrong = f"3{index}", f"9{index}"
        groups.append(
            [
                recorded_rollout(problem, "think", right, forced=True, thinking="1+1" * (index + 1)),
                recorded_rollout(problem, "think", wrong, thinking="2" * (index + 1)),
                recorded_rollout(problem, "no_think", right, forced=True),
                recorded_rollout(problem, "no_think", right),
            ]
        )
    return groups


def write_rollouts(path: Path, groups: Sequence[Sequence[Rollout]]) -> Path:
    """A replay file."""
    path.write_text("".join(json.dumps(rollout_to_json(r)) + "\n" for group in groups for r in group))
    return path


def write_config(path: Path, raw: dict[str, Any]) -> Path:
    """A configuration file (JSON is YAML)."""
    path.write_text(json.dumps(raw))
    return path


def environment(**extra: str) -> dict[str, str]:
    """The environment of a script in a test: two processes share two cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", **extra}


def script(name: str, *arguments: str, timeout: float = 240, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one of our scripts in `folder`, in a process of its own that is forked from one with the libraries loaded:
    loading them takes longer than most runs here."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / stream for stream in ("stdout", "stderr")]
        process = LOADED.Process(target=_as_main, args=(ROOT / "scripts" / name, arguments, files, folder))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(name, timeout)
        return subprocess.CompletedProcess([name, *arguments], process.exitcode or 0, *(f.read_text() for f in files))


def _as_main(path: Path, arguments: Sequence[str], streams: Sequence[Path], folder: Path) -> None:
    """The script as `python path arguments` runs it, what it prints in files."""
    import torch

    for descriptor, file in enumerate(streams, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment())
    torch.set_num_threads(1)
    sys.argv, sys.path[0] = [str(path), *arguments], str(path.parent)
    runpy.run_path(str(path), run_name="__main__")


LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(["rl.training.run", "rl.cold_start.gears", "rl.evaluation.evaluate"])


def metrics(run_dir: Path) -> list[dict[str, float]]:
    """The metrics of a run without its timings."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines]
