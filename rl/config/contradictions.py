"""Values that are allowed alone and impossible together. Each raises `ConfigError` in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from rl.config.errors import ConfigError
from rl.config.schema import DEFAULT_ALGORITHM, Config
from rollout.types import MODES

PROMPT = "{prompt}"


def check_together(config: Config) -> None:
    """Everything that one value says about another."""
    checks = (
        _warmups,
        _modes,
        _tags,
        _gears,
        _forced,
        _ahead,
        _checkpoints,
        _micro_tokens,
        _phases,
        _shares,
        _teachers,
        _ranks_and_servers,
        _budgets,
    )
    for check in checks:
        check(config)
    if not config.run_dir.strip():
        raise ConfigError(f"run_dir is {config.run_dir!r}; allowed: a folder, such as runs/mine")
    if not isinstance(config.algorithm.get("name", DEFAULT_ALGORITHM), str):
        raise ConfigError(f"algorithm.name is {config.algorithm['name']!r}; allowed: a name or file.py:function")
    if config.sandbox.tier == 3 and not config.sandbox.allow_weak:
        raise ConfigError("sandbox.tier is 3, which is weak; allowed: with sandbox.allow_weak: true")


def _warmups(config: Config) -> None:
    for place, section in (("trainer", config.trainer), ("cold_start", config.cold_start)):
        if section.warmup_steps and section.schedule == "constant":
            raise ConfigError(
                f"{place}.warmup_steps is {section.warmup_steps} with {place}.schedule 'constant', which has no "
                "warm-up; allowed: constant_with_warmup, linear, cosine, or warmup_steps 0"
            )


def warmup_lines(place: str, warmup_steps: int, steps: int) -> list[str]:
    """What is told before the first step where the rate never comes to its peak."""
    if warmup_steps < steps or not warmup_steps:
        return []
    told = f"{place}.warmup_steps is {warmup_steps} of {steps} steps: the rate rises to the end"
    return [f"{told} and {place}.learning_rate is not reached"]


def _modes(config: Config) -> None:
    if config.protocol.tags and set(config.protocol.tags) != set(MODES):
        raise ConfigError(f"protocol.tags has {', '.join(config.protocol.tags)}; allowed: both of {', '.join(MODES)}")
    tags = [tag.strip() for tag in config.protocol.tags.values()]
    if len(set(tags)) < len(tags) or any(not tag or tag == PROMPT or tag.count(PROMPT) > 1 for tag in tags):
        raise ConfigError(
            f"protocol.tags is {config.protocol.tags}; allowed: two texts that differ, each with {PROMPT} once or "
            "without it, such as {think: /think, no_think: /no_think}"
        )
    caps = config.rollout.max_new_tokens_by_mode
    if not set(caps) <= set(MODES):
        raise ConfigError(f"rollout.max_new_tokens_by_mode is {caps}; allowed: whole numbers for {', '.join(MODES)}")
    gate = config.cold_start.gate
    if not set(gate.min_accuracy) <= set(MODES):
        raise ConfigError(
            f"cold_start.gate.min_accuracy is {gate.min_accuracy}; allowed: 0 to 1 for {', '.join(MODES)}"
        )
    if gate.min_switch_probability > 0.5:
        raise ConfigError(
            f"cold_start.gate.min_switch_probability is {gate.min_switch_probability}; allowed: at most 0.5, what both "
            "modes can have at once"
        )
    if gate.min_switch_probability > gate.max_switch_probability:
        raise ConfigError(
            f"cold_start.gate.min_switch_probability is {gate.min_switch_probability}; allowed: at most "
            f"cold_start.gate.max_switch_probability, {gate.max_switch_probability}"
        )


def _tags(config: Config) -> None:
    shares = {"rollout": config.rollout.tagged_share, "cold_start": config.cold_start.tagged_share}
    for section, share in shares.items():
        if share and not config.protocol.tags:
            raise ConfigError(
                f"{section}.tagged_share is {share} without protocol.tags, the texts that state a mode in the prompt; "
                "allowed: 0, or tags such as {think: /think, no_think: /no_think}"
            )
    cold_start = config.cold_start
    for mode, rows in zip(("think", "no_think"), cold_start.rows_by_mode(), strict=True):
        if cold_start.tagged_share and round(rows * cold_start.tagged_share) in (0, rows):
            raise ConfigError(
                f"cold_start.tagged_share is {cold_start.tagged_share} of the {rows} rows a step in {mode}: they would "
                "all be alike, with or without a tag; allowed: 0, a share that leaves one of each, or a larger "
                "cold_start.batch"
            )
    if shares["rollout"] and not any(entry.get("name") == "judge" for entry in config.rewards):
        raise ConfigError(
            f"rollout.tagged_share is {shares['rollout']} and rewards has no judge, the reward that says whether a tag "
            "is obeyed; allowed: 0, or {name: judge} in rewards"
        )


def _gears(config: Config) -> None:
    if config.cold_start.gears.manual_steps and not config.protocol.tags:
        raise ConfigError(
            "cold_start.gears.manual_steps needs protocol.tags, the texts that state a mode in the prompt, such as "
            "{think: /think, no_think: /no_think}"
        )
    gears, unset = config.cold_start.gears, type(config.cold_start.gears)()
    for name in ("keep", "labels", "manual_share", "automatic_learning_rate"):
        if not gears.automatic_steps and getattr(gears, name) != getattr(unset, name):
            raise ConfigError(
                f"cold_start.gears.{name} is {getattr(gears, name)!r} and is for the second gear, of which "
                f"cold_start.gears.automatic_steps has 0; allowed: steps for it, or {getattr(unset, name)!r}"
            )


def _forced(config: Config) -> None:
    forced, size = config.rollout.forced, config.rollout.group_size
    if 2 * forced.minimum > size:
        raise ConfigError(
            f"rollout.forced.minimum is {forced.minimum}; allowed: at most half of rollout.group_size, {size // 2}"
        )


def _ahead(config: Config) -> None:
    rollout = config.rollout
    if rollout.ahead and rollout.replay:
        raise ConfigError("rollout.ahead is 1 with rollout.replay, which draws nothing; allowed: ahead 0")
    if rollout.ahead and rollout.vllm.sleep:
        raise ConfigError(
            "rollout.ahead is 1 with rollout.vllm.sleep, which gives up the engine's memory while it shall decode; "
            "allowed: sleep false, or ahead 0"
        )


def _checkpoints(config: Config) -> None:
    if config.trainer.steps % config.trainer.iterations:
        raise ConfigError(
            f"trainer.steps is {config.trainer.steps}; allowed: a multiple of trainer.iterations "
            f"({config.trainer.iterations}), so that no generation is drawn for less than its steps"
        )
    if config.trainer.save_every % config.trainer.iterations:
        raise ConfigError(
            f"trainer.save_every is {config.trainer.save_every}; allowed: a multiple of trainer.iterations "
            f"({config.trainer.iterations}), so that a resumed run continues exactly"
        )


def _micro_tokens(config: Config) -> None:
    if config.trainer.micro_tokens and not config.trainer.balance:
        raise ConfigError(
            f"trainer.micro_tokens is {config.trainer.micro_tokens} with trainer.balance false, which cuts by rows; "
            "allowed: trainer.balance true, or trainer.micro_batch"
        )


def _phases(config: Config) -> None:
    iterations, total = config.trainer.iterations, sum(stage.steps for stage in config.stages)
    for index, stage in enumerate(config.stages):
        place = f"stages[{index}]"
        if stage.steps <= 0 or stage.steps % iterations:
            raise ConfigError(
                f"{place}.steps is {stage.steps}; allowed: above 0, a multiple of trainer.iterations ({iterations})"
            )
        if stage.weights and stage.shares:
            raise ConfigError(f"{place} has both weights and shares; allowed: one of them")
    if config.stages and total != config.trainer.steps:
        raise ConfigError(f"stages make up {total} steps; allowed: trainer.steps, {config.trainer.steps}")


def _ranks_and_servers(config: Config) -> None:
    if "@" in urlsplit(config.rollout.vllm.server_url).netloc:
        # Without its value, which would be read wherever errors are kept.
        raise ConfigError("rollout.vllm.server_url holds a name or password; allowed: an address without one")
    if config.trainer.fsdp and config.trainer.deepspeed:
        raise ConfigError("trainer.fsdp is true and trainer.deepspeed is set; allowed: one of them")


def _shares(config: Config) -> None:
    mixes: dict[str, Mapping[str, float]] = {
        "data.shares": config.data.shares,
        "cold_start.shares": config.cold_start.shares,
    }
    for index, stage in enumerate(config.stages):
        mixes |= {f"stages[{index}].weights": stage.weights, f"stages[{index}].shares": stage.shares}
    for place, mix in mixes.items():
        if mix and sum(mix.values()) <= 0:
            raise ConfigError(f"{place} is {dict(mix)}; allowed: numbers of 0 or more, not all 0")


def _budgets(config: Config) -> None:
    cap = config.evaluation.max_new_tokens or config.rollout.max_new_tokens
    for budget in config.evaluation.budget:
        if budget >= cap:
            raise ConfigError(
                f"evaluation.budget has {budget}; allowed: less than the {cap} tokens of a response "
                "(evaluation.max_new_tokens), or no budget"
            )


def _teachers(config: Config) -> None:
    names, distill = [teacher.name for teacher in config.teachers], config.distill
    for index, name in enumerate(names):
        if Counter(names)[name] > 1 or set("#~|") & set(name):
            raise ConfigError(f"teachers[{index}].name is {name!r}; allowed: one name each, without # ~ |")
    named = {"distill.rewriter": [distill.rewriter] if distill.rewriter else []}
    named |= {"distill.writers": distill.writers, "distill.judges": distill.judges}
    for place, chosen in named.items():
        for name in chosen:
            if name not in names or chosen.count(name) > 1:
                raise ConfigError(f"{place} names {name!r}; allowed: each of the teachers once ({', '.join(names)})")
    if len(distill.judges) > 2:
        raise ConfigError(f"distill.judges names {len(distill.judges)}; allowed: one, or two that are compared")
    if distill.budget_money and not any(one.prompt_price or one.completion_price for one in config.teachers):
        raise ConfigError(
            "distill.budget_money is set and no teacher has a price; allowed: with teachers[i].prompt_price"
        )
    bins = distill.choose.bins
    if len(bins) < 2 or bins != sorted(set(bins)):
        raise ConfigError(f"distill.choose.bins is {bins}; allowed: two or more rising numbers")
