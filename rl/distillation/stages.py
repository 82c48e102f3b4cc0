"""The stages of scripts/distill.py over one run folder, each of which goes on where it was.

generate   run_dir/distill/chains.jsonl
score      judgements.jsonl, scored.jsonl, scores.json
select     selected.jsonl (labelled, for the cold start), selected.FORMAT.jsonl, selected.png
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rl.config.schema import Config
from rl.distillation.chains import UNKNOWN, Chain
from rl.distillation.examples import choose, labelled_rows_of, labels_by_problem
from rl.distillation.formats import read_chains, write_rows
from rl.distillation.generate import generate, open_store
from rl.distillation.ledger import Ledger
from rl.distillation.plots import choice_lines, plot_choice
from rl.distillation.score import (
    by_rewards,
    judge_chains,
    judgement_store,
    problems_of,
    summary,
    summary_lines,
    with_scores,
)
from rl.files.outputs import check_writable, claim, hold, rows_text, write_claimed
from rl.files.row_store import read_rows
from rollout.errors import UserError

NAME = "distill.py"
CHAINS, JUDGEMENTS, SCORED, SELECTED = "chains.jsonl", "judgements.jsonl", "scored.jsonl", "selected.jsonl"
Show = Callable[[str], None]


def distill_folder(config: Config) -> Path:
    """Where the stages keep their files."""
    return Path(config.run_dir) / "distill"


def generate_stage(config: Config, show: Show = print) -> bool:
    """Write chains; whether none is missing."""
    folder = distill_folder(config)
    store = open_store(config, folder / CHAINS)
    ledger = Ledger(config, folder)
    generate(config, store, ledger, show)
    show(f"written: {folder / CHAINS}")
    return ledger.tell(show)


def score_stage(config: Config, source: Path | None = None, show: Show = print) -> bool:
    """Score the chains of the stage before, or those of a file; whether nothing is missing."""
    folder = distill_folder(config)
    out = folder / SCORED
    if source is None:
        hold(folder / CHAINS)  # which may still be written
    chains = _chains(source or folder / CHAINS, "--stage generate")
    claim(out, NAME, [source] if source else [])
    problems = problems_of(config, chains)
    correct = by_rewards(config, chains, problems)
    store, ledger = judgement_store(config, folder / JUDGEMENTS), Ledger(config, folder)
    if config.distill.judges:
        store.hold()
        judge_chains(config, chains, store, ledger, lambda one: one.correctness == UNKNOWN and one.name not in correct)
    scored = with_scores(config, chains, correct, store.rows)
    rows = [{"id": chain.name, **dataclasses.asdict(chain)} for chain in scored]
    write_claimed(out, rows_text(rows), NAME)
    found = summary(config, scored, store.rows)
    claim(folder / "scores.json", NAME)
    write_claimed(folder / "scores.json", json.dumps(found, indent=2) + "\n", NAME)
    if not config.distill.judges and any(chain.verbosity == UNKNOWN for chain in scored):
        show("no judge: verbosity and difficulty stay unknown (distill.judges)")
    for line in [*summary_lines(found), f"written: {out}, {folder / 'scores.json'}"]:
        show(line)
    return ledger.tell(show)


def select_stage(config: Config, source: Path | None = None, show: Show = print) -> None:
    """Choose chains and write them for the cold start and for other programs."""
    folder, settings = distill_folder(config), config.distill.choose
    out = folder / SELECTED
    other, plot = out.with_suffix(f".{settings.format}.jsonl"), out.with_suffix(".png")
    chains = _chains(source or folder / SCORED, "--stage score")
    for path in (out, other):
        claim(path, NAME, [one for one in (source, Path(settings.labels)) if one])
    check_writable(plot)
    rows = read_rows(Path(settings.labels)) if settings.labels else []
    if settings.labels and not rows:
        raise UserError(
            f"distill.choose.labels {settings.labels!r} holds no rows; allowed: a file of label_necessity.py"
        )
    labels = labels_by_problem(rows, chains)
    chosen = choose(chains, settings, labels)
    kept = [chain for chain, _ in chosen]
    write_claimed(out, rows_text(labelled_rows_of(chosen, problems_of(config, kept), labels)), NAME)
    write_claimed(other, rows_text(write_rows(kept, settings.format)), NAME)
    plot_choice(plot, chains, kept)
    direct = sum(not thinks for _, thinks in chosen)
    for line in [
        *choice_lines(chains, kept),
        f"chosen by {settings.method}: {len(chosen) - direct} to think, {direct} to answer directly",
        f"written: {out}, {other}, {plot}",
    ]:
        show(line)


def _chains(path: Path, stage: str) -> Sequence[Chain]:
    if not path.is_file():
        raise UserError(f"no chains in {path}; allowed: {NAME} {stage} first, or --from FILE")
    chains = read_chains(path)
    if not chains:
        raise UserError(f"{path} holds no chains; allowed: {NAME} {stage} first, or --from FILE")
    return chains
