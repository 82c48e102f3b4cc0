"""Two processes on a gloo mesh whose model torch's `fully_shard` has sharded, beside the same model whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from trainer_setups import generation_batch, gradients, replay_setup

from rl.models.weights import kept_weights
from rl.training.checkpoints import COMPLETE
from rl.training.final import save_final
from rollout.engines.base import Request, Sampling
from rollout.engines.hf import HFEngine


def _shard(model, rank: int, port: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def sharded(rank: int, port: int, folder: Path, policy: Path) -> None:
    """Compare everything and write down what was found, or die."""
    torch.set_num_threads(1)
    (folder / str(rank)).mkdir()
    setup = replay_setup(folder / str(rank), policy)
    trainer, batch = generation_batch(setup)
    model, engine = trainer.model, HFEngine(trainer.model, setup.protocol, setup.tokenizer.pad_token_id)
    asked = [Request(tuple(setup.protocol.render(p.prompt)), "think") for p in setup.problems[:2]]
    greedy = Sampling(temperature=0.0, max_new_tokens=8)
    whole = gradients(trainer, batch)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    rows = [row.ids for row in engine.generate(asked, greedy, 0)]

    _shard(model, rank, port)
    trainer.model.zero_grad()
    trainer._compute_loss(model, batch).backward()
    found = {
        "sharded": all(isinstance(p, DTensor) and isinstance(p.grad, DTensor) for p in model.parameters()),
        "smaller": sum(p.to_local().numel() for p in model.parameters()) < sum(p.numel() for p in model.parameters()),
        "gradient": max((p.grad.full_tensor() - whole[n]).abs().max().item() for n, p in model.named_parameters()),
        "largest": max(value.abs().max().item() for value in whole.values()),
        "rows": [row.ids for row in engine.generate(asked, greedy, 0)] == rows,
    }
    state = SimpleNamespace(deepspeed_plugin=None, fsdp_plugin=SimpleNamespace(fsdp_version=2))
    reader = SimpleNamespace(state=state, device=torch.device("cpu"), unwrap_model=lambda sharded: sharded)
    read = dict(kept_weights(model, reader))
    found["read"] = all(torch.equal(read[name], weights[name]) for name in dict(model.named_parameters()))
    full = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if rank == 0:
        checkpoint = folder / "checkpoint-1"
        model.save_pretrained(checkpoint, state_dict=full)
        setup.tokenizer.save_pretrained(checkpoint)
        (checkpoint / COMPLETE).write_text("{}")
        save_final(setup.config, checkpoint, folder / "model")
    dist.barrier()
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(found))
