"""From a pretrained model to one that answers in both modes: one fine-tuning, or two gears (openPangu 7B v1.1).

Without gears: pairs of worked answers to plain prompts, the choice between the modes left at one half.
Gear 1, manual: the same pairs, the mode stated in the prompt (`protocol.tags`), so that a tag decides.
Gear 2, automatic: that model answers plain prompts many times in each mode; its shortest correct answers, well formed
and with no reasoning in a direct one, are what it is tuned on. A share of the rows are gear 1's, so that a tag goes on
deciding, on problems too that were never solved in one of the modes.

    run_dir/cold_start/manual/model        after gear 1
    run_dir/cold_start/automatic-*.jsonl   the answers that gear 2 sampled, by rank
    run_dir/cold_start/model               what RL starts from
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState

from rewards.registry import build_rewards
from rl.cold_start.examples import (
    Example,
    Pair,
    Row,
    example_row,
    is_read_back,
    labelled_example,
    labelled_rows,
    longest_first,
    paired_rows,
    say_too_long,
    worked_pairs,
)
from rl.cold_start.label import label_problems
from rl.cold_start.sft import fine_tune
from rl.cold_start.work import automatic_work, first_work, sample_settings
from rl.config.schema import Config, ConfigError
from rl.data.embedded import is_tiny
from rl.data.prompts import draw_usable
from rl.files.finished import Work, is_finished, move_aside
from rl.files.row_store import RowStore, read_rows
from rl.models.loading import rank_arguments
from rl.models.location import cold_start_folder
from rl.models.open import open_policy, open_protocol
from rl.models.ranks import is_main, rank, world_size
from rollout.protocol import DecisionProtocol
from rollout.types import MODES

NO_ANSWERS = (
    "the second gear has no correct answer to learn from; allowed: more cold_start.gears.manual_steps, easier "
    "problems, or more label.samples"
)


def cold_start(config: Config, *, manual_only: bool = False) -> Path:
    """Run what is configured and return the folder of the model; finished work is not done twice. `manual_only` stops
    after the first gear."""
    gears, first = config.cold_start.gears, first_work(config)
    if not gears.manual_steps and not gears.automatic_steps:
        return _first_tuning(config, first, config.cold_start.steps, "cold start")
    source = ""
    if gears.manual_steps:
        source = str(_first_tuning(config, first, gears.manual_steps, "cold start, manual gear"))
        if not gears.automatic_steps or manual_only:
            return first.product
    if is_finished(work := automatic_work(config), config.resume):
        if is_main():
            print(f"cold start, automatic gear: already finished ({work.product})")
        return work.product
    answers = gear_answers(config, source)
    rate = gears.automatic_learning_rate or config.cold_start.learning_rate
    return fine_tune(
        replace(config, cold_start=replace(config.cold_start, learning_rate=rate)),
        work,
        lambda protocol: automatic_rows(
            answers, config, protocol, first_pairs(config, protocol) if gears.manual_steps else ()
        ),
        gears.automatic_steps,
        source=source,
        title="cold start, automatic gear",
    )


def _first_tuning(config: Config, work: Work, steps: int, title: str) -> Path:
    """What it learns from is read before a model is loaded: what is wrong with it is told then."""
    done = is_finished(work, config.resume)
    pairs = [] if done else first_pairs(config, open_protocol(config))
    return fine_tune(config, work, lambda protocol: first_rows(config, protocol, pairs), steps, title=title)


def first_rows(config: Config, protocol: DecisionProtocol, pairs: Sequence[Pair]) -> Iterator[Row]:
    """The rows of the first fine-tuning: with the manual gear every prompt states its mode."""
    gears = config.cold_start.gears
    steps = gears.manual_steps or config.cold_start.steps
    return paired_rows(pairs, config, protocol, steps, manual=gears.manual_steps > 0)


def first_pairs(config: Config, protocol: DecisionProtocol) -> list[Pair]:
    """The worked pairs that are read back as what they are. Raises `ConfigError` when none is."""
    pairs = worked_pairs(config)
    if is_tiny(config.data.train) and not config.cold_start.labels:
        return pairs
    good = [pair for pair in pairs if all(is_read_back(one, protocol) for one in pair)]
    if len(good) < len(pairs) and is_main():
        print(f"cold start: {len(pairs) - len(good)} of {len(pairs)} solutions left out, a tag or switch is in them")
    if not good:
        raise ConfigError(f"no worked solution can be written in protocol.name {config.protocol.name!r}")
    return good


def gear_answers(config: Config, source: str) -> list[dict[str, Any]]:
    """Labelled rows for the second gear: those of `gears.labels`, else sampled here from the model at `source`, each
    rank its share of the problems."""
    if config.cold_start.gears.labels:
        return labelled_rows(config.cold_start.gears.labels)
    state, folder = PartialState(**rank_arguments()), cold_start_folder(config)
    if config.resume != "auto" and is_main():
        for file in sorted(folder.glob("automatic-*.jsonl")):
            print("\n".join(move_aside(Work("sampled answers", file, {}))))
    state.wait_for_everyone()
    store = RowStore(folder / f"automatic-{rank()}.jsonl", sample_settings(config, source or config.model.path))
    problems = draw_usable(config, "train", open_protocol(config, source), config.cold_start.problems)
    done = {row["id"] for row in _sampled(folder)}
    mine = [problem for problem in problems if problem.id not in done][rank() :: world_size()]
    # Nobody writes before everybody has seen what is done.
    state.wait_for_everyone()
    if mine:
        policy = open_policy(config, source)
        label_problems(config, mine, policy.engine, policy.protocol, build_rewards(config.rewards), store)
    state.wait_for_everyone()
    rows = {row["id"]: row for row in _sampled(folder)}
    return [rows[problem.id] for problem in problems if problem.id in rows]


def _sampled(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("automatic-*.jsonl")) for row in read_rows(file)]


def chosen_examples(rows: Sequence[dict[str, Any]], keep: str) -> list[Example]:
    """What the second gear learns on plain prompts: of each problem the shortest correct answer (`best`; the direct one
    on a tie), or the shortest of each mode (`each_mode`)."""
    chosen = []
    for row in rows:
        found = [(row["label"][mode]["shortest"]["tokens"], mode) for mode in MODES if row["label"][mode]["shortest"]]
        if keep == "best" and found:
            found = [min(found)]
        chosen += [example for _, mode in found if (example := labelled_example(row, mode))]
    return chosen


def automatic_rows(
    answers: Sequence[dict[str, Any]], config: Config, protocol: DecisionProtocol, pairs: Sequence[Pair] = ()
) -> Iterator[Row]:
    """`automatic_steps × batch` rows, of each batch the longest first; a `manual_share` of them states the mode: the
    first gear's `pairs`, without any the answers of both modes. Raises `ConfigError` when there is nothing to learn
    from."""
    settings, gears = config.cold_start, config.cold_start.gears
    tagged = round(settings.batch * gears.manual_share) if protocol.tags else 0
    rng = random.Random(f"automatic-{config.seed}")
    plain_stream = _stream(chosen_examples(answers, gears.keep), rng, protocol, settings.max_length, manual=False)
    stated = [example for pair in pairs for example in pair] or chosen_examples(answers, "each_mode")
    tag_stream = _stream(stated, rng, protocol, settings.max_length, manual=True)
    for _ in range(gears.automatic_steps):
        drawn = [next(plain_stream) for _ in range(settings.batch - tagged)] + [next(tag_stream) for _ in range(tagged)]
        yield from longest_first(row for _, row in drawn)


def _stream(
    examples: Sequence[Example], rng: random.Random, protocol: DecisionProtocol, max_length: int, *, manual: bool
) -> Iterator[tuple[Example, Row]]:
    made = [
        (e, example_row(e, e.judge_words[0], protocol, manual=manual)) for e in examples if is_read_back(e, protocol)
    ]
    if len(made) < len(examples) and is_main():
        print(
            f"cold start: {len(examples) - len(made)} of {len(examples)} answers left out, a tag or switch is in them"
        )
    lengths = {place: len(row["input_ids"]) for place, (_, row) in enumerate(made)}
    too_long = {place: length for place, length in lengths.items() if length > max_length}
    say_too_long(too_long, len(made), "answers", max_length)
    usable = [pair for place, pair in enumerate(made) if place not in too_long]
    if not usable:
        raise ConfigError(NO_ANSWERS)
    while True:
        yield from rng.sample(usable, len(usable))
