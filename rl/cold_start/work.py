"""What each stage before RL makes, and which settings and files that depends on. Light: nothing here imports torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.finished import DIGEST, Work, has_mark, settings_of
from rl.models.inputs import data_settings, file_digest, input_digests, policy_settings
from rl.models.location import GATE, cold_start_folder, manual_model

# Checked afterwards, or how the machine goes about it.
APART = ("cold_start.gate", "cold_start.save_every", "cold_start.micro_batch")
GEARS = ("cold_start.gears.manual_steps", "cold_start.gears.automatic_steps")
SAMPLES = ("samples", "temperature", "max_new_tokens")
FIRST_GEAR = ("cold_start.gears.manual_steps", "cold_start.gears.think_share")


def first_work(config: Config) -> Work:
    """The fine-tuning on worked solutions: the only one, or the manual gear."""
    gears = config.cold_start.gears
    without = [*APART, "cold_start.gears"] + ["cold_start.steps"] * bool(gears.manual_steps)
    settings = settings_of(config, ["cold_start", "trainer.bf16"], without)
    settings |= settings_of(config, FIRST_GEAR) if gears.manual_steps else {}
    settings |= file_digest("cold_start.labels", config.cold_start.labels)
    last = not gears.automatic_steps
    # What both gears end with lies in the same place.
    settings |= settings_of(config, GEARS) if last else {}
    settings |= {"an automatic gear follows": not last}
    folder = cold_start_folder(config) if last else cold_start_folder(config) / "manual"
    return _tuning(config, folder, settings, config.model.path, "cold_start" if last else "manual")


def automatic_work(config: Config) -> Work:
    """The second gear, from the manual gear's model or the configured one."""
    gears = config.cold_start.gears
    source = manual_model(config) if gears.manual_steps else config.model.path
    settings = settings_of(config, ["cold_start", "trainer.bf16"], [*APART, "cold_start.steps"])
    if gears.labels:
        settings |= file_digest("cold_start.gears.labels", gears.labels)
    else:
        settings |= {k: v for k, v in sample_settings(config, source).items() if "." in k or k in SAMPLES}
    return _tuning(config, cold_start_folder(config), settings, source, "cold_start")


def cold_start_work(config: Config) -> Work:
    """What RL starts from."""
    return automatic_work(config) if config.cold_start.gears.automatic_steps else first_work(config)


def _tuning(config: Config, folder: Path, settings: dict[str, Any], source: str, stage: str) -> Work:
    own = data_settings(config, "train") | policy_settings(config) | settings_of(config, ["model.lora"])
    digests = input_digests(config, ("train",), source, plug_ins=False)
    run = Path(config.run_dir)
    others: tuple[Path, ...] = (
        folder / "checkpoints",
        folder / GATE,
        folder / f"{GATE}.settings.json",
        folder / "done.json",
    )
    earlier: tuple[Path, ...] = (run / "stages" / f"{stage}.json",)
    if not (config.cold_start.gears.manual_steps and config.cold_start.gears.automatic_steps):
        # A manual gear that lies there is a cold start begun with other settings, and its record says which.
        manual = cold_start_folder(config) / "manual"
        others, earlier = (*others, manual), (*earlier, manual / "model.settings.json")
    return Work(
        "cold start" if stage == "cold_start" else "manual gear",
        folder / "model",
        own | settings | digests,
        others=others,
        earlier=earlier,
    )


def gate_work(config: Config) -> Work:
    """The gate's measurement; its limits are applied to it whenever it is read."""
    folder = cold_start_folder(config)
    keys = ["cold_start.gate.problems", "rollout.max_new_tokens", "rewards", "reward_errors"]
    return Work(
        "gate",
        folder / GATE,
        data_settings(config, "train")
        | policy_settings(config)
        | settings_of(config, keys)
        | {"longest_response": config.evaluation.max_new_tokens or config.rollout.max_new_tokens}
        | input_digests(config, ("train",), str(folder / "model")),
    )


def sample_settings(config: Config, model: str) -> dict[str, Any]:
    """What labelled rows depend on."""
    rollout, label = config.rollout, config.label
    named = {
        "model": model,
        "seed": config.seed,
        "samples": label.samples,
        "temperature": rollout.temperature,
        "max_new_tokens": label.max_new_tokens or rollout.max_new_tokens,
        "delta": label.delta,
        "random_share": label.random_share,
    }
    keys = ["rollout.top_p", "rollout.top_k", "label.direct_tokens", "rewards", "protocol", "model"]
    digests = input_digests(config, ("train",), model)
    contents = digests.pop(f"{DIGEST}model.path", None)
    digests |= {f"{DIGEST}model": contents} if contents else {}
    policy = settings_of(config, keys, ["model.path", "model.lora", "model.gradient_checkpointing"])
    return named | policy | data_settings(config, "train") | digests


def label_work(config: Config, out: str | Path) -> Work:
    """Necessity labels; `label.problems` may grow."""
    settings = sample_settings(config, config.label.model or manual_model(config))
    free, earlier = settings_of(config, ["label.problems"]), (Path(config.run_dir) / "stages" / "labels.json",)
    work = Work("labels", Path(out), settings, free, earlier=earlier)
    return replace(work, is_done=lambda: work.exists() and has_mark(work))


def selection_work(config: Config, labels: str | Path, out: str | Path) -> Work:
    """The labelled problems that are kept."""
    settings = settings_of(config, ["seed", "select"]) | file_digest("labels", labels)
    work = Work(
        "selection",
        Path(out),
        settings,
        others=(Path(out).with_suffix(".png"),),
        earlier=(Path(config.run_dir) / "stages" / "select.json",),
    )
    return replace(work, is_done=lambda: work.product.exists() and has_mark(work))
