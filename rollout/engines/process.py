"""An engine in a process of its own: it decodes while this one goes on.

Weights go through memory that both processes map: `sync` writes each tensor once, into the place that the other side
reads, which on a CPU is the weights of its model. The pipe carries token ids, numbers and the protocol. The memory has
no name, so nothing of it is left behind however either process ends; the other process ends with this one, within half
a second where this one was killed. Signals of a terminal or a scheduler are left to this one.

    engine = ProcessEngine(functools.partial(ModelCopy, ...))      # rollout/engines/process_main.py
    engine.sync(version, weights); engine.generate(...)            # as any engine that is a copy
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import torch

from rollout.engines.base import Completion, Finished, Request, Sampling
from rollout.errors import UserError

Weights = Iterable[tuple[str, torch.Tensor]]
Build = Callable[["SharedWeights"], Any]
ALIGNED = 64  # bytes, as PyTorch's own allocator
BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from rollout.engines.process_main import serve; serve(*map(int, sys.argv[2:]))"
)
OF_A_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class EngineDied(UserError):  # noqa: N818
    """The engine's process has ended by itself."""


class SharedWeights:
    """Tensors by name in one piece of memory without a name; `descriptor` and `index` open it in another process."""

    def __init__(self, descriptor: int, index: Sequence[tuple[str, torch.dtype, tuple[int, ...], int]]) -> None:
        self.descriptor, self.index = descriptor, tuple(index)
        flat = torch.frombuffer(mmap.mmap(descriptor, os.fstat(descriptor).st_size), dtype=torch.uint8)
        self.tensors = {
            name: flat[start : start + math.prod(shape) * dtype.itemsize].view(dtype).view(shape)
            for name, dtype, shape, start in self.index
        }

    @classmethod
    def like(cls, weights: Weights) -> SharedWeights:
        """Room for tensors of these names, types and shapes, without their values."""
        index, end = [], 0
        for name, tensor in weights:
            index.append((name, tensor.dtype, tuple(tensor.shape), end))
            end += -(-tensor.numel() * tensor.element_size() // ALIGNED) * ALIGNED
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("weights")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, max(end, 1))
        return cls(descriptor, index)


class ProcessEngine:
    """Decodes in another process with what `build` makes there: an engine with `generate` and `sync`. It starts with
    the first `sync`. `device`: the number of the GPU that it sees, None where there is none."""

    def __init__(self, build: Build, device: int | None = None) -> None:
        self.build, self.device = build, device
        self.version: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._shared: SharedWeights | None = None
        self._pipe: Connection[Any, Any] | None = None

    def sync(self, version: int, weights: Callable[[], Weights]) -> bool:
        """Write `weights()` unless they are already those of `version`; returns whether it did. Nothing may be
        decoding."""
        if version == self.version:
            return False
        if self._shared is None:
            self._shared = SharedWeights.like(weights())
        for name, tensor in weights():
            self._shared.tensors[name].copy_(tensor)
        if self.process is None:
            self._start(self._shared)
        list(self._ask("sync", version))
        self.version = version
        return True

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, seed: int, finished: Finished | None = None
    ) -> list[Completion]:
        """Completions in the order of `requests`. Raises `EngineDied` where the process has ended."""
        if self.version is None:
            raise RuntimeError("ProcessEngine.generate without sync: the engine has no weights")
        completions: dict[int, Completion] = {}
        for number, completion in self._ask("generate", tuple(requests), sampling, seed):
            completions[number] = completion
            if finished:
                finished(number, completion)
        return [completions[number] for number in range(len(requests))]

    def rest(self) -> None:
        """The process keeps what it has."""

    def close(self) -> None:
        """End the process; a later `sync` starts another."""
        if self._pipe is not None and self.process is not None:
            _end(self.process, self._pipe)
        self.version = self.process = self._pipe = None

    def _start(self, shared: SharedWeights) -> None:
        """From the main thread: some systems end a child with the thread that started it."""
        ours, theirs = Pipe()
        root = str(Path(__file__).resolve().parents[2])
        paths = [path for path in sys.path if path and os.path.isabs(path)] + [root]
        descriptors = (theirs.fileno(), shared.descriptor)
        numbers = [str(number) for number in (os.getpid(), *descriptors)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOOT, json.dumps(paths), *numbers],
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env=_environment(self.device),
            start_new_session=True,
        )
        theirs.close()
        self._pipe = ours
        weakref.finalize(self, _end, self.process, ours)
        list(self._ask("build", torch.get_num_threads(), shared.index, self.build))

    def _ask(self, *question: Any) -> Iterator[Any]:
        """What the process answers, up to the end of its answer."""
        assert self._pipe is not None
        try:
            self._pipe.send(question)
            while True:
                kind, content = self._pipe.recv()
                if kind == "refused":
                    raise UserError(content)
                if kind == "failed":
                    raise RuntimeError(f"in the engine's process: {content}")
                if kind == "done":
                    return
                yield content
        except (EOFError, OSError) as error:
            raise EngineDied(self._death()) from error

    def _death(self) -> str:
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        code = self.process.returncode
        how = "without a word" if code is None else f"with exit code {code}"
        if code is not None and code < 0:
            how = f"by {signal.Signals(-code).name}{', as where memory runs out' if code == -signal.SIGKILL else ''}"
        return (
            f"the engine's process {self.process.pid} ended {how}; what is finished stays, and the same command goes "
            "on from the last checkpoint"
        )


def _environment(device: int | None) -> dict[str, str]:
    """This process's, without its place in a launch, and with one GPU."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_A_LAUNCHER}
    if device is not None:
        seen = [number for number in kept.get("CUDA_VISIBLE_DEVICES", "").split(",") if number]
        kept["CUDA_VISIBLE_DEVICES"] = seen[device] if seen else str(device)
    return kept


def _end(process: subprocess.Popen[bytes], pipe: Connection[Any, Any]) -> None:
    pipe.close()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
