"""What the fine-tuning rows are: a problem answered in one mode, rendered by the protocol.

Both modes of a problem share everything before the switch, so fine-tuning on pairs teaches how to answer in each mode
and leaves the choice between them at one half. Rows come in the order they are trained in: of each batch the longest
first, so that short ones share a micro-batch and are padded to short ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rl.checks.known_answers import gold_answer
from rl.config.schema import Config, ConfigError
from rl.data import is_tiny, load_problems
from rl.data.arithmetic import cold_start_problems, is_arithmetic
from rl.data.draw import drawn
from rl.data.load import take
from rl.data.records import Record, shown
from rl.data.schema import problem_of_row
from rl.files.row_store import read_rows
from rl.models.ranks import is_main
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Mode, Problem

COLD_START_SEED = 2000
IGNORE = -100
EXAMPLE_FIELDS = {"judge": str, "thinking": str, "answer": str, "tokens": int}
Row = dict[str, list[int]]


@dataclass(frozen=True)
class Example:
    """One response to learn; `judge_words` are texts to draw its judge step from."""

    problem: Problem
    mode: Mode
    answer: str
    thinking: str = ""
    judge_words: Sequence[str] = ("",)


Pair = tuple[Example, Example]


def worked_pairs(config: Config) -> list[Pair]:
    """(think, direct) examples of the first fine-tuning. The embedded world excludes its test prompts, `arithmetic`
    those of RL too; a labelled file gives the model's own answers; data sets give their train problems that come with a
    solution (`metadata["solution"]`). Raises `ConfigError` when there are none."""
    count = config.cold_start.problems
    if config.cold_start.labels:
        rows = labelled_rows(config.cold_start.labels)
        pairs = [pair for row in rows if (pair := labelled_pair(row))]
        if not pairs:
            raise ConfigError(
                f"cold_start.labels {config.cold_start.labels!r}: no problem was solved in both modes; allowed: "
                "labels with some that were (more label.samples, easier problems)"
            )
        if len(pairs) < len(rows) and is_main():
            print(f"cold start: {len(rows) - len(pairs)} of {len(rows)} labelled problems left out, in one mode alone")
        # A problem may have several rows.
        named = {f"{number} {pair[0].problem.id}": pair for number, pair in enumerate(pairs)}
        kept = drawn([replace(pair[0].problem, id=name) for name, pair in named.items()], count, config)
        return [named[problem.id] for problem in kept]
    if is_tiny(config.data.train):
        return _embedded_pairs(config, count)
    if is_arithmetic(config.data.train):
        return [_pair(p, str(p.answer), p.metadata["solution"]) for p in cold_start_problems(config, count)]
    problems = [p for p in load_problems(config, "train") if p.metadata.get("solution") and gold_answer(p) is not None]
    if not problems:
        raise ConfigError(
            f"data.train {config.data.train!r} (format {config.data.format}) has no worked solutions to start from; "
            "allowed: problems with metadata.solution beside an answer or tests, such as the formats gsm8k and apps, "
            "or cold_start.labels"
        )
    chosen = take(problems, count, config, config.data.train)
    return [_pair(p, str(gold_answer(p)), str(p.metadata["solution"]).strip()) for p in chosen]


def _embedded_pairs(config: Config, count: int) -> list[Pair]:
    from rl.worlds.model import JUDGE_WORDS
    from rl.worlds.worlds import find_world

    world = find_world(str(config.data.train))
    held_out = frozenset(p.prompt for p in load_problems(config, "test"))
    shares = config.cold_start.shares or config.data.shares or world.shares
    made = world.draw(count, COLD_START_SEED + config.seed, shares, held_out)
    return [_pair(w.problem, w.problem.answer or "", w.thinking, JUDGE_WORDS) for w in made]


def _pair(problem: Problem, answer: str, thinking: str, judge_words: Sequence[str] = ("",)) -> Pair:
    think = Example(problem, "think", answer, thinking, judge_words)
    return think, Example(problem, "no_think", answer, "", judge_words)


def labelled_rows(path: str, examples: bool = True) -> list[dict[str, Any]]:
    """The rows of scripts/label_necessity.py, looked at for `examples` to learn from. Raises `ConfigError` where there
    are none, `DataError` for a row that is something else."""
    rows = read_rows(Path(path))
    if not rows:
        raise ConfigError(f"no labelled problems in {path!r} (looked in {Path.cwd()}); run scripts/label_necessity.py")
    for number, row in enumerate(rows if examples else [], 1):
        _check_label(Record(f"{path}:{number}", row["id"], row))
    return rows


def _check_label(record: Record) -> None:
    """Raises `DataError` for a row that holds no example, or null, of each mode."""
    label = record.fields.get("label")
    if not isinstance(label, Mapping):
        raise record.error("no object 'label'; allowed: rows as scripts/label_necessity.py writes them")
    for mode in MODES:
        measured = label.get(mode)
        best = measured.get("shortest", "") if isinstance(measured, Mapping) else ""
        known = best if isinstance(best, Mapping) else {}
        if best is not None and not all(type(known.get(name)) is kind for name, kind in EXAMPLE_FIELDS.items()):
            raise record.error(
                f"its label.{mode}.shortest is {shown(best)}; allowed: null, or an object with "
                f"{', '.join(EXAMPLE_FIELDS)}, as scripts/label_necessity.py writes it"
            )


def labelled_pair(row: Mapping[str, Any]) -> Pair | None:
    """The shortest correct answers of a labelled row, or None when one mode never solved it."""
    think, direct = (labelled_example(row, mode) for mode in ("think", "no_think"))
    return (think, direct) if think and direct else None


def labelled_example(row: Mapping[str, Any], mode: Mode) -> Example | None:
    """The shortest correct answer of one mode."""
    best = row["label"][mode]["shortest"]
    if best is None:
        return None
    problem = problem_of_row(Record(f"label of {row['id']!r}", row["id"], row))
    return Example(problem, mode, best["answer"], best["thinking"], (best["judge"],))


def paired_rows(
    pairs: Sequence[Pair], config: Config, protocol: DecisionProtocol, steps: int, *, manual: bool = False
) -> Iterator[Row]:
    """`steps × batch` rows, `think_share` of each batch in think mode, one row at least of each mode; `tagged_share` of
    the rows of each mode state it in the prompt, `manual` states it in all and takes its share from `gears`."""
    settings = config.cold_start
    counts = settings.rows_by_mode(manual)
    tagged = tuple(round(count * settings.tagged_share) for count in counts)
    plain = tuple(count - of_them for count, of_them in zip(counts, tagged, strict=True))
    rng = random.Random(f"cold-start-{config.seed}")
    too_long: dict[int, int] = {}
    stream = usable_pairs(pairs, rng, protocol, settings.max_length, manual=manual, too_long=too_long)
    stating = usable_pairs(
        pairs, random.Random(f"cold-start-tags-{config.seed}"), protocol, settings.max_length, manual=True
    )
    for _ in range(steps):
        yield from longest_first([*_drawn(stating, tagged), *_drawn(stream, plain)])
    say_too_long(too_long, len(pairs), "pairs", settings.max_length)


def _drawn(pairs: Iterator[list[Row]], counts: Sequence[int]) -> Iterator[Row]:
    """So many rows of each mode, of the same problems as far as both modes have some left."""
    for k in range(max(counts)):
        yield from (row for row, count in zip(next(pairs), counts, strict=True) if k < count)


def say_too_long(too_long: Mapping[int, int], total: int, what: str, max_length: int) -> None:
    """Say on the main rank how many were left out for their length; `too_long` has the tokens of each."""
    if too_long and is_main():
        print(
            f"cold start: {len(too_long)} of {total} {what} left out, above cold_start.max_length {max_length} tokens "
            f"(the longest {max(too_long.values())})"
        )


def longest_first(rows: Iterable[Row]) -> list[Row]:
    """The rows of one optimizer step; their order changes no gradient but for rounding."""
    return sorted(rows, key=lambda row: -len(row["input_ids"]))


def usable_pairs(
    pairs: Sequence[Pair],
    rng: random.Random,
    protocol: DecisionProtocol,
    max_length: int,
    *,
    manual: bool = False,
    too_long: dict[int, int] | None = None,
) -> Iterator[list[Row]]:
    """Endless passes over the pairs as [think row, direct row]; `too_long` gets the tokens of those left out, by the
    pair. Raises `ConfigError` when none is short enough."""
    known: dict[tuple[int, str], Row] = {}

    def row(one: Example) -> Row:
        # Every pass meets the same examples: most of a small run's time would go into their tokens.
        key = (id(one), rng.choice(one.judge_words))
        if key not in known:
            known[key] = example_row(one, key[1], protocol, manual=manual)
        return known[key]

    while True:
        found = False
        for pair in rng.sample(pairs, len(pairs)):
            rows = [row(one) for one in pair]
            longest = max(len(one["input_ids"]) for one in rows)
            if longest <= max_length:
                found = True
                yield rows
            elif too_long is not None:
                too_long[id(pair)] = longest
        if not found:
            raise ConfigError(f"cold_start.max_length is {max_length}: no worked problem fits")


def example_row(example: Example, judge: str, protocol: DecisionProtocol, *, manual: bool = False) -> Row:
    """One training row: prompt and response, the loss on the response alone; `manual` states the mode in the prompt."""
    problem = example.problem
    prompt = protocol.render(problem.prompt, problem.messages, example.mode if manual else None)
    response = protocol.response(example.mode, example.answer, example.thinking, judge)
    return {"input_ids": [*prompt, *response], "labels": [IGNORE] * len(prompt) + list(response)}


def is_read_back(example: Example, protocol: DecisionProtocol) -> bool:
    """Whether the response is read as one well-formed answer of its mode. A solution that holds a tag, or begins with
    a line break where the line break is the switch, is not."""
    if example.mode == "think" and not example.thinking:
        return False
    parsed = protocol.parse(protocol.response(example.mode, example.answer, example.thinking, example.judge_words[0]))
    return (parsed.mode, parsed.status) == (example.mode, "ok")
