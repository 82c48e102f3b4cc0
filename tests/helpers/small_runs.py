"""Small real runs for tests: a two-layer policy in a folder, recorded rollouts, and configurations that use them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
    with started(name, *arguments, folder=folder) as runs:
        return runs.ended(timeout)[0]


class Started:
    """One of our scripts on one rank or several, under way; each rank is a process, a group of its own."""

    def __init__(self, name: str, arguments: Sequence[str], ranks: int, folder: Path, extra: dict[str, str]) -> None:
        self.name, self.arguments, self._place = name, arguments, tempfile.TemporaryDirectory()
        self.files = [[Path(self._place.name) / f"{stream}{r}" for stream in ("out", "err")] for r in range(ranks)]
        self.processes = []
        port = str(free_port()) if ranks > 1 else ""
        for rank, streams in enumerate(self.files):
            own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
            own = {k: str(v) for k, v in own.items()} | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            job = (ROOT / "scripts" / name, arguments, streams, folder, (own if ranks > 1 else {}) | extra)
            self.processes.append(LOADED.Process(target=_as_main, args=job))
            self.processes[-1].start()

    def send(self, number: int, ranks: Sequence[int] | None = None) -> None:
        """Send a signal to the groups of these ranks, or of all."""
        for rank in range(len(self.processes)) if ranks is None else ranks:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[rank].pid or 0, number)

    def alive(self) -> bool:
        """Whether any rank still runs."""
        return any(process.is_alive() for process in self.processes)

    def wait_until(self, reached: Callable[[], bool], seconds: float = 120) -> bool:
        """Look again and again; whether it came to that while a rank ran."""
        deadline = time.monotonic() + seconds
        while not reached() and self.alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        return reached()

    def ended(self, timeout: float = 240) -> list[subprocess.CompletedProcess[str]]:
        """What each rank came to."""
        deadline = time.monotonic() + timeout
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0.01))
        if self.alive():
            self.send(signal.SIGKILL)
            raise subprocess.TimeoutExpired(self.name, timeout)
        return [
            subprocess.CompletedProcess(
                [self.name, *self.arguments],
                process.exitcode or 0,
                *(file.read_text() if file.exists() else "" for file in streams),
            )
            for process, streams in zip(self.processes, self.files, strict=True)
        ]

    def close(self) -> None:
        """Nothing is left."""
        if self.alive():
            self.send(signal.SIGKILL)
        for process in self.processes:
            process.join()
        self._place.cleanup()


@contextlib.contextmanager
def started(
    name: str, *arguments: str, ranks: int = 1, folder: Path = ROOT, extra: dict[str, str] | None = None
) -> Iterator[Started]:
    """One of our scripts, run as `script` does, `extra` in its environment; killed when the block is left."""
    run = Started(name, arguments, ranks, folder, extra or {})
    try:
        yield run
    finally:
        run.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _as_main(
    path: Path, arguments: Sequence[str], streams: Sequence[Path], folder: Path, extra: dict[str, str]
) -> None:
    """The script as `python path arguments` runs it, what it prints in files."""
    import torch

    os.setsid()
    for descriptor, file in enumerate(streams, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.update(environment(**extra))
    torch.set_num_threads(1)
    sys.argv, sys.path[0] = [str(path), *arguments], str(path.parent)
    runpy.run_path(str(path), run_name="__main__")


LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(["rl.training.run", "rl.cold_start.gears", "rl.evaluation.evaluate"])


def metrics(run_dir: Path) -> list[dict[str, float]]:
    """The metrics of a run without its timings."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines]
