"""The starting model, which the KL holds the policy to: exactly the policy of step 0, whatever it was made of.

Fully fine-tuned: a frozen copy, made before the first update. With adapters: the policy with its adapters off. Decision
tokens added before RL have their starting rows in both. A resumed run makes it again from the same start, and a hash of
its weights in each checkpoint says whether it is the same.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from trl.models import prepare_deepspeed, prepare_fsdp
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import add_fused_lm_head

from rollout.errors import UserError


class Reference:
    """Made of the plain model before a trainer wraps it; `attach` once the trainer's accelerator is there."""

    def __init__(self, model: Any, adapters: bool) -> None:
        self.hash = weights_hash(model)
        self.model = None if adapters else copy.deepcopy(model).eval().requires_grad_(False)

    def attach(self, trainer: Any) -> None:
        """Give the copy the policy's head and place."""
        if self.model is None:
            return
        add_fused_lm_head(self.model, temperature=trainer.temperature)
        if trainer.is_deepspeed_enabled:
            self.model = prepare_deepspeed(self.model, trainer.accelerator)
        elif trainer.is_fsdp_enabled:
            self.model = prepare_fsdp(self.model, trainer.accelerator)
        else:
            self.model = trainer.accelerator.prepare_model(self.model, evaluation_mode=True)

    @contextlib.contextmanager
    def open(self, trainer: Any) -> Iterator[Any]:
        """The reference to score with, without gradients."""
        with torch.no_grad(), disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs):
            if self.model is not None:
                yield self.model
                return
            with trainer.accelerator.unwrap_model(trainer.model).disable_adapter():
                yield trainer.model

    def check(self, recorded: str) -> None:
        """Raises `UserError` when a checkpoint was written with another reference."""
        if recorded != self.hash:
            raise UserError(
                f"trainer.kl holds the policy to the model that RL starts from; that model has hash {self.hash[:12]}, "
                f"the checkpoint was written with {recorded[:12]}; allowed: the model of that run, another run_dir, or "
                "resume=never"
            )


def weights_hash(model: torch.nn.Module) -> str:
    """SHA-256 over names, types and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(memoryview(values.numpy()))
    return digest.hexdigest()
