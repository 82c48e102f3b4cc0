"""`scripts/cold_start.py --dry-run`: everything a cold start needs, checked in seconds, nothing trained or written."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from rl.checks.model_check import check_cold_start
from rl.checks.prompt_check import check_responses
from rl.cold_start.examples import IGNORE
from rl.cold_start.gears import first_pairs, first_rows
from rl.cold_start.sft import sft_config
from rl.config.schema import Config
from rl.models.open import open_policy


def dry_run(config: Config, show: Callable[[str], None] = print) -> None:
    """Load model, tokenizer and template, build the first batch of rows and show one of each mode. Raises `UserError`
    on what cannot work."""
    settings, gears = config.cold_start, config.cold_start.gears
    sft_config(config, Path(config.run_dir), settings.steps)
    policy = open_policy(config)
    protocol = policy.protocol
    added = f", added tokens {', '.join(policy.added) or 'none'}" if config.protocol.add_tokens else ""
    show(f"model: {config.model.path}{added}")
    for line in protocol.notes:
        show(line)
    check_cold_start(config, policy.model, policy.tokenizer, show)
    check_responses(protocol, show)
    if gears.automatic_steps and not gears.manual_steps:
        show("no manual gear: the second gear samples from the model as it is")
    else:
        batch = list(itertools.islice(first_rows(config, protocol, first_pairs(config, protocol)), settings.batch))
        longest = max(len(row["input_ids"]) for row in batch)
        show(f"rows of the first batch: {len(batch)}, the longest {longest} tokens (cap {settings.max_length})")
        for mode, row in (("think", batch[0]), ("no_think", batch[-1])):
            prompt = len([label for label in row["labels"] if label == IGNORE])
            show(f"{mode} prompt: {_line(protocol.decode(row['input_ids'][:prompt]))}")
            show(f"{mode} response: {_line(protocol.decode(row['input_ids'][prompt:]))}")
    steps = [f"{gears.manual_steps} manual", f"{gears.automatic_steps} automatic"]
    show(f"steps: {' + '.join(steps) if gears.manual_steps or gears.automatic_steps else settings.steps}")
    show("dry run: everything a cold start needs is in place")


def _line(text: str, width: int = 200) -> str:
    text = text.replace("\n", "\\n")
    return text if len(text) <= width else f"{text[: width // 2]} … {text[-width // 2 :]}"
