"""TensorBoard's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def open_board(run_dir: Path, start_step: int) -> Any:
    """A writer below the run folder; what an interrupted run wrote after the checkpoint is hidden."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run_dir / "tensorboard"), purge_step=start_step + 1)
