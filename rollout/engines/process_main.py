"""The other side of `rollout/engines/process.py`: the loop of the engine's process, and the engines that it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from accelerate import init_empty_weights

from rollout.engines.hf import HFEngine
from rollout.engines.process import SharedWeights
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol

PARENT_CHECK_S = 0.25


class ModelCopy(HFEngine):
    """Decodes with a transformers model whose weights are the shared ones; off the CPU, with a copy of them. `kind` is
    the model's class and `config` its configuration; `bfloat16` computes in it over the weights' own type. Raises
    `UserError` where the shared weights are not all of the model's."""

    def __init__(
        self,
        shared: SharedWeights,
        *,
        kind: type,
        config: Any,
        protocol: DecisionProtocol,
        pad_id: int,
        device: str = "cpu",
        bfloat16: bool = False,
    ) -> None:
        with init_empty_weights(include_buffers=False):
            model = kind(config)
        model.load_state_dict(shared.tensors, strict=False, assign=True)
        model.tie_weights()
        places = {tensor.data_ptr() for tensor in shared.tensors.values()}
        missing = [name for name, p in model.named_parameters() if p.is_meta or p.data_ptr() not in places]
        if missing:
            raise UserError(
                f"the weight {missing[0]} of this model does not come with its checkpoint names, so that a copy cannot "
                "have it; allowed: rollout.engine: hf"
            )
        self.shared = shared
        model = model.eval().requires_grad_(False).to(device)
        if bfloat16:
            model.forward = torch.autocast(torch.device(device).type, dtype=torch.bfloat16)(model.forward)
        super().__init__(model, protocol, pad_id)

    def sync(self, version: int, weights: Any) -> None:
        """Take the weights that are in shared memory now."""
        if self.model.device.type != "cpu":
            held = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
            with torch.no_grad():
                for name, tensor in weights():
                    held[name].copy_(tensor)


def loading(make: Callable[[], Any], shared: SharedWeights) -> Any:
    """An engine that loads weights into memory of its own at each `sync`, and needs none to be made."""
    return make()


class Served:
    """What can be asked of the engine's process; the weights are in the memory of this descriptor."""

    engine: Any
    shared: SharedWeights

    def __init__(self, memory: int, send: Callable[[Any], None]) -> None:
        self.memory, self.send = memory, send

    def build(self, threads: int, index: Any, build: Callable[[SharedWeights], Any]) -> None:
        """Make the engine; the first question."""
        torch.set_num_threads(threads)
        self.shared = SharedWeights(self.memory, index)
        self.engine = build(self.shared)

    def sync(self, version: int) -> None:
        """New weights are there."""
        self.engine.sync(version, self.shared.tensors.items)

    def generate(self, requests: Any, sampling: Any, seed: int) -> None:
        """Send each row as it ends."""
        self.engine.generate(requests, sampling, seed, lambda *row: self.send(("row", row)))


def serve(parent: int, pipe: int, memory: int) -> None:
    """The main function of the engine's process; `parent` is the process that asks, `pipe` and `memory` are
    descriptors."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    connection: Connection[Any, Any] = Connection(pipe)
    served = Served(memory, connection.send)
    with contextlib.suppress(EOFError, OSError):  # nobody asks any more
        while True:
            name, *arguments = connection.recv()
            try:
                getattr(served, name)(*arguments)
                connection.send(("done", None))
            except UserError as error:
                connection.send(("refused", str(error)))
            except Exception:
                connection.send(("failed", traceback.format_exc()))


def _end_with(parent: int) -> None:
    """End this process when the one that asks is gone, whatever this one is at."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
