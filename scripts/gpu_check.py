"""One prepared run on one GPU, in less than six minutes: does everything work there, and what does it cost?

    python scripts/gpu_check.py --json runs/gpu_check.json
    python scripts/gpu_check.py --device cpu --small      # every part in small, as the tests run it

    agreement   the same rollouts and updates on the GPU and on the CPU, float32 and bfloat16
    step        a training step against TRL's in bfloat16, random weights of 110M to 1.5B, peak memory
    rollout     decoding against transformers' generate
    demo        cold start, Step-SRPO and evaluation of configs/demo.yaml
    engine      rollout.engine auto: three steps with vLLM where it is installed

Each part has a share of `--seconds`; what one does not use, the next ones may. A part that passes its share is ended
and keeps what it has measured by then; one that cannot run says why and leaves its share to the others. The JSON is
written at every change: ending this run loses nothing. Exit code 1 when a part failed or measured what is not allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL_DEMO = [
    "data.train_size=64",
    "data.test_size=16",
    "cold_start.problems=64",
    "cold_start.steps=2",
    "cold_start.gate.problems=0",
    "cold_start.warmup_steps=1",
    "cold_start.batch=8",
    "cold_start.micro_batch=4",
    "trainer.steps=2",
    "trainer.warmup_steps=1",
    "trainer.prompts_per_step=4",
]
IN_TURN = """
import json, runpy, sys
for sys.argv in json.loads(sys.argv[1]):
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Place:
    """Where a check runs: its scratch folder, `cuda` or `cpu`, and whether every part is small."""

    folder: Path
    device: str
    small: bool

    def demo(self, script: str, name: str, *more: str) -> list[str]:
        """A script on the demo's configuration, with the run folder `name`."""
        settings = [f"run_dir={self.folder / name}", "wandb.mode=disabled", "evaluation.problems=500"]
        settings += SMALL_DEMO if self.small else []
        return [f"{ROOT}/scripts/{script}", f"{ROOT}/configs/demo.yaml", *settings, *more]

    def bench(self, name: str) -> list[str]:
        """A benchmark that writes its rows to `name`.json."""
        command = [sys.executable, f"{ROOT}/benchmarks/bench_{name}.py", "--json", str(self.folder / f"{name}.json")]
        return [*command, "--no-vllm", *(["--smallest"] if self.small else [])]


@dataclass(frozen=True)
class Part:
    """One part: its share of the time in seconds of the default, its commands (none: what they need is not there), what
    their files say so far, and why it cannot run on such a device (or "")."""

    name: str
    share: float
    commands: Callable[[Place], Sequence[Sequence[str]]]
    found: Callable[[Place], dict[str, Any]]
    missing: Callable[[str], str] = lambda device: ""


def bench_part(name: str, share: float) -> Part:
    """A part that is one benchmark."""
    return Part(name, share, lambda place: [place.bench(name)], lambda place: _json(place.folder / f"{name}.json"))


def in_turn(*scripts: list[str]) -> list[str]:
    """Scripts in one process, which loads the libraries once: that takes as long as some of the parts."""
    return [sys.executable, "-c", IN_TURN, json.dumps(scripts)]


def demo_commands(place: Place) -> list[list[str]]:
    """Cold start, training with the transformers engine, evaluation."""
    model, out = place.folder / "demo" / "model", place.folder / "demo" / "eval.json"
    cold_start = place.demo("cold_start.py", "demo")
    train = place.demo("train.py", "demo", "rollout.engine=hf")
    return [in_turn(cold_start, train, place.demo("evaluate.py", "demo", "--model", str(model), "--out", str(out)))]


def engine_commands(place: Place) -> list[list[str]]:
    """Three steps from the demo's cold start."""
    model = place.folder / "demo" / "cold_start" / "model"
    more = ["rollout.engine=auto", "rollout.vllm.eager=true", "trainer.steps=3", "trainer.warmup_steps=0"]
    command = place.demo("train.py", "engine", f"model.path={model}", "trainer.bf16=true", *more)
    return [in_turn(command)] if (model / "config.json").is_file() else []


def engine_missing(device: str) -> str:
    """Why `auto` does not come to vLLM here."""
    if device != "cuda":
        return "there is no GPU, so auto takes hf"
    return "" if importlib.util.find_spec("vllm") else "vllm is not installed, so auto takes hf"


def run_found(place: Place, name: str) -> dict[str, Any]:
    """What a run folder says so far: its first and last step, and its evaluation."""
    folder = place.folder / name
    text = (folder / "metrics.jsonl").read_text() if (folder / "metrics.jsonl").is_file() else ""
    records = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    steps = [record for record in records if "time/step" in record]  # the evaluation before the first step is none
    found: dict[str, Any] = {"cold_start": (folder / "cold_start" / "model" / "config.json").is_file()}
    if steps:
        times = sorted(record["time/step"] for record in steps)
        found |= {"steps": len(steps), "step_s": times[len(times) // 2], "first": steps[0], "last": steps[-1]}
    return found | {"evaluation": _json(folder / "eval.json").get("modes", {})}


PARTS = (
    bench_part("agreement", 45),
    bench_part("step", 90),
    bench_part("rollout", 55),
    Part("demo", 95, demo_commands, lambda place: run_found(place, "demo")),
    Part("engine", 45, engine_commands, lambda place: run_found(place, "engine"), engine_missing),
)


def _json(file: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, json.JSONDecodeError):
        return json.loads(file.read_text(encoding="utf-8"))
    return {}


class Check:
    """Runs parts one after the other and keeps the report on disk."""

    def __init__(self, place: Place, report: Path, seconds: float) -> None:
        self.place, self.file, self.seconds = place, report, seconds
        self.started = time.monotonic()
        self.report: dict[str, Any] = {"device": place.device, "small": place.small, "seconds": 0.0, "parts": {}}

    def run(self, parts: Sequence[Part]) -> bool:
        """Run them; whether all that ran did what is allowed."""
        missing = {part.name: part.missing(self.place.device) for part in parts}
        shares = {part.name: 0 if missing[part.name] else part.share for part in parts}
        begin, end = self._elapsed(), 0.0
        for part in parts:
            end += shares[part.name] / max(sum(shares.values()), 1) * (self.seconds - begin)
            self._part(part, begin + end, missing[part.name])
            print("\n".join(lines(part.name, self.report["parts"][part.name])), flush=True)
        return all(allowed(state) for state in self.report["parts"].values())

    def _part(self, part: Part, end: float, missing: str) -> None:
        began = self._elapsed()
        state: dict[str, Any] = {"status": "running", "seconds": 0.0}
        self.report["parts"][part.name] = state
        try:
            state |= {"status": "not run", "why": missing} if missing else self._commands(part, state, end)
        except BaseException as error:
            state |= {"status": "ended", "why": f"{type(error).__name__} from outside"}
            raise
        finally:
            state |= {"seconds": round(self._elapsed() - began, 1)} | part.found(self.place)
            self._write()

    def _commands(self, part: Part, state: dict[str, Any], end: float) -> dict[str, Any]:
        """The part's commands until one fails or its time is over; its status."""
        commands = part.commands(self.place)
        if not commands:
            return {"status": "not run", "why": "the part that it begins from did not come far enough"}
        with (self.place.folder / f"{part.name}.log").open("w+") as log:
            for command in commands:
                code = self._command(command, log, part, state, end)
                if code is None:
                    return {"status": "cut", "why": f"its share of the time ended at {end:.0f} s"}
                if code:
                    log.seek(0)
                    return {"status": "failed", "why": f"exit code {code}", "log": log.read()[-4000:]}
        return {"status": "done"}

    def _command(self, command: Sequence[str], log: Any, part: Part, state: dict[str, Any], end: float) -> int | None:
        """The exit code, None when the time was over. What the part has found by then is written as it comes."""
        child = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment(), cwd=ROOT, process_group=0)
        try:
            while self._elapsed() < end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return child.wait(min(1.0, max(0.05, end - self._elapsed())))
                found = part.found(self.place)
                if any(state.get(key) != value for key, value in found.items()):
                    state |= found
                    self._write()
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def _environment(self) -> dict[str, str]:
        own = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "TQDM_DISABLE": "1", "BENCH_BF16": "1"}
        seen = "" if self.place.device == "cpu" else os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        return {**os.environ, "PYTHONPATH": str(ROOT), **own, "CUDA_VISIBLE_DEVICES": seen}

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _write(self) -> None:
        self.report["seconds"] = round(self._elapsed(), 1)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")
        part.replace(self.file)


def allowed(state: dict[str, Any]) -> bool:
    """Whether a part neither failed nor measured what is not allowed."""
    return state["status"] != "failed" and all(row.get("ok", True) for row in state.get("rows", []))


def lines(name: str, state: dict[str, Any]) -> list[str]:
    """One part for people: how it ended, then its rows."""
    rows = state.get("rows", [])
    head = [f"{name:<10} {state['status']:<8} {state['seconds']:>6.1f} s", state.get("why", "")]
    head += [f"{len(rows)} rows, {len(state['planned'])} cases planned"] if state.get("planned") else []
    head += [f"{state['steps']} steps of {state['step_s']:.2f} s"] if "steps" in state else []
    shown = ["  ".join(part for part in head if part)]
    for row in rows:
        values = {key: value for key, value in row.items() if key != "case" and value is not None}
        shown.append(f"    {row['case']:<64} " + "  ".join(f"{key} {value}" for key, value in values.items()))
    return shown


NEEDED = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "pydantic", "requests", "yaml", "sympy")
LOOK = """
import json, torch
gpu = torch.cuda.is_available()
free, total = torch.cuda.mem_get_info() if gpu else (0, 0)
name = torch.cuda.get_device_name() if gpu else ""
print(json.dumps({"gpu": name, "free_gib": free / 2**30, "total_gib": total / 2**30, "cuda": torch.version.cuda}))
"""


def look(device: str) -> dict[str, Any]:
    """What torch sees. Ends with one line and code 2 where a package or the GPU is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(_stop(f"{', '.join(missing)} not installed; allowed: all of them (see make gpu-bundle)"))
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(_stop(f"torch does not start: {done.stderr.strip().splitlines()[-1]}"))
    seen = json.loads(done.stdout.splitlines()[-1])
    if device == "cuda" and not seen["gpu"]:
        raise SystemExit(_stop("torch sees no GPU; allowed: a machine with one, or --device cpu --small"))
    return seen


def _stop(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2


def main() -> int:
    """Run the parts that were asked for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("runs/gpu_check.json"), help="where the report goes")
    parser.add_argument("--seconds", type=float, default=330, help="the time for all parts together")
    parser.add_argument("--parts", default="", help="only these, by name, separated by commas")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="every part in small")
    options = parser.parse_args()
    names = [part.name for part in PARTS]
    chosen = options.parts.split(",") if options.parts else names
    if unknown := [name for name in chosen if name not in names]:
        return _stop(f"--parts has {', '.join(unknown)}; allowed: {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="gpu_check") as scratch:
        check = Check(Place(Path(scratch), options.device, options.small), options.json.resolve(), options.seconds)
        check.report["machine"] = look(options.device)
        good = check.run([part for part in PARTS if part.name in chosen])
    print(f"report: {options.json}  ({check.report['seconds']:.0f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
