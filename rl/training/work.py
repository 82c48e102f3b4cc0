"""What RL makes, and which settings and files that depends on. Light: nothing here imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.finished import FORMAT, Work, holds_something, settings_of
from rl.models.inputs import MACHINE, data_settings, file_digest, input_digests, policy_settings, stage_digests
from rl.models.location import trained_path
from rollout.errors import UserError

OTHERS = ("checkpoints", "rollouts", "metrics.jsonl", "config.json", "wandb_run.json")
KEYS = ("model", "rollout", "rewards", "algorithm", "history", "stages", "guard", "trainer", "control")
# What is written down and how often, when a run gives up, and what moves memory or rounding: taken as it is whenever a
# run goes on.
MAY_CHANGE = ("trainer.save_every", "trainer.keep_checkpoints", "trainer.max_skipped", "rollout.save_every")
PLACE = (
    *MACHINE,
    *("trainer.micro_batch", "trainer.micro_tokens", "trainer.balance", "trainer.rank_timeout", "trainer.fsdp"),
    *("rollout.engine", "rollout.vllm"),
)


def training_work(config: Config) -> Work:
    """The model of RL. `trainer.steps` may change where no schedule and no phase is measured by it."""
    run = Path(config.run_dir)
    free: dict[str, Any] = {}
    without = [*MAY_CHANGE, *PLACE]
    if config.trainer.schedule.startswith("constant") and not config.stages:
        without.append("trainer.steps")
        free = settings_of(config, ["trainer.steps"])
    settings = data_settings(config, "train") | policy_settings(config) | settings_of(config, KEYS, without)
    settings |= input_digests(config, ("train",), trained_path(config))
    settings |= file_digest("rollout.replay", config.rollout.replay) | stage_digests(config)
    return Work(
        "training",
        run / "model",
        settings,
        free,
        tuple(run / name for name in OTHERS),
        (run / "stages" / "train.json", run / "config.json"),
        is_done=lambda: any((run / "model").glob("*.safetensors")) or any((run / "model").glob("*.bin")),
    )


def refuse_foreign(work: Work) -> None:
    """Raises `UserError` where the run would write over, or delete, what no run of ours left there, such as the
    `config.json` of a saved model."""
    if any(_is_record(path) for path in (work.record, *work.earlier)):
        return
    there = [path for path in work.others if holds_something(path)]
    if there:
        raise UserError(
            f"{there[0]} is there and is of no run of ours; allowed: another run_dir, or resume=never, which moves it "
            f"to {work.product.parent / 'old'}/TIME"
        )


def _is_record(path: Path) -> bool:
    """Whether the file says with which settings a run is made; a model's `config.json` does not."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and any(key == FORMAT or key.partition(".")[0] in KEYS for key in found)


def machine_settings(config: Config, ranks: int, device: str) -> dict[str, Any]:
    """What may differ from start to start: it moves rounding or the order of draws, but no setting of the method.
    Reward errors may be treated otherwise, since a run that one ended could not go on else."""
    return settings_of(config, [*PLACE, "reward_errors"]) | {"ranks": ranks, "device": device}
