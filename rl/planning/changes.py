"""What to change where a run does not fit: each change planned anew, with what it comes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from rl.config.schema import Config, ConfigError, longest_response
from rl.planning.memory import planned_engine, sharded, zero_stage

ZERO = "configs/deepspeed/zero{}.json"


@dataclasses.dataclass(frozen=True)
class Change:
    """One change: the setting as a user writes it, the configuration with it, the number of GPUs."""

    setting: str
    config: Config
    gpus: int


def changes(config: Config, gpus: int, device: str = "cuda") -> list[Change]:
    """Those that this run has not made yet, the ones that cost least first."""
    return [
        Change(name, change(config), count) for wanted, name, change, count in _known(config, gpus, device) if wanted
    ]


def _known(config: Config, gpus: int, device: str) -> list[tuple[bool, str, Callable[[Config], Config], int]]:
    """(whether it is there to be made, how it is written, what it does, GPUs after it) of every change."""
    longest = config.rollout.max_prompt_tokens + longest_response(config)
    engine = planned_engine(config, device)
    vllm = dataclasses.replace(config.rollout.vllm, sleep=True)
    fewer = config.trainer.balance and not 0 < config.trainer.micro_tokens <= longest
    made: list[tuple[bool, str, Callable[[Config], Config], int]] = [
        (
            not config.model.gradient_checkpointing,
            "model.gradient_checkpointing=true",
            _setting("model", gradient_checkpointing=True),
            gpus,
        ),
        (fewer, f"trainer.micro_tokens={longest}", _setting("trainer", micro_tokens=longest), gpus),
        (not config.trainer.bf16, "trainer.bf16=true", _setting("trainer", bf16=True), gpus),
        (
            engine == "vllm" and not config.rollout.vllm.sleep and not config.rollout.ahead,
            "rollout.vllm.sleep=true",
            _setting("rollout", vllm=vllm),
            gpus,
        ),
        (engine == "hf" and device == "cuda", "rollout.engine=vllm", _setting("rollout", engine="vllm"), gpus),
    ]
    plain = not sharded(config) and not config.model.lora.rank
    for stage in (2, 3):
        file = ZERO.format(stage)
        wanted = gpus > 1 and plain and zero_stage(config) < stage
        made.append((wanted, f"trainer.deepspeed={file}", _setting("trainer", deepspeed=file), gpus))
    made.append((not config.model.lora.rank, "model.lora.rank=16 model.dtype=bfloat16", _adapters, gpus))
    made.append((_deals(config, 2 * gpus), f"--gpus {2 * gpus}", lambda c: c, 2 * gpus))
    return made


def together(config: Config, gpus: int, fits: Callable[[Config, int], bool], device: str = "cuda") -> list[str]:
    """The first settings in that order which together fit; none where not even all of them do."""
    taken: list[str] = []
    while left := [change for change in changes(config, gpus, device) if not change.setting.startswith("--")]:
        config, gpus = left[0].config, left[0].gpus
        taken.append(left[0].setting)
        if fits(config, gpus):
            return taken
    return []


def _deals(config: Config, gpus: int) -> bool:
    return config.trainer.prompts_per_step % gpus == 0


def _adapters(config: Config) -> Config:
    lora = dataclasses.replace(config.model.lora, rank=16)
    without = _with(config, "trainer", deepspeed="") if config.trainer.deepspeed else config
    return _with(without, "model", lora=lora, dtype="bfloat16")


def _setting(section: str, **values: Any) -> Callable[[Config], Config]:
    return lambda config: _with(config, section, **values)


def _with(config: Config, section: str, **values: Any) -> Config:
    try:
        return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **values)})
    except ValueError as error:
        raise ConfigError(str(error)) from error
