"""Backward passes whose gradients stay on their rank until the last one of a micro-batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from accelerate.utils import DistributedType
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def unshared(accelerator: Any, model: Any) -> Iterator[dict[str, Any]]:
    """While this holds, forward and backward passes add to the gradients and end no step; gives the arguments that
    `accelerator.backward` needs. DDP exchanges nothing, ZeRO makes no step; FSDP shares every pass, which is what keeps
    its gradients in pieces."""
    before, accelerator.sync_gradients = accelerator.sync_gradients, False
    deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
    try:
        with model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext():
            yield {"scale_wrt_gas": False} if deepspeed else {}
    finally:
        accelerator.sync_gradients = before
