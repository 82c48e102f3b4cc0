"""Progressive fine-tuning (openPangu-Embedded, arXiv 2505.22375): measure, select, tune, merge, and again.

    iterations/0/model              Θ_0, the configured model as it is opened
    iterations/t/labels.jsonl       how often Θ_{t−1} solves each problem with chains; C = 1 − mean correctness (eq. 1)
    iterations/t/data.jsonl         the problems drawn by C (eq. 2), with the chains chosen for Θ_{t−1}
    iterations/t/tuning/            the fine-tuning and its checkpoints Θ_{t,i}
    iterations/t/model              Θ_t = Θ_{t−1} + λ · mean_i(Θ_{t,i} − Θ_{t−1})
    iterations/t/eval/NAME.json     the merged model and every checkpoint on the test problems
    iterations/table.json           what came of it

Every step has a record of what it was made with (rl/files/finished.py): a finished one is never done again, a killed
one goes on.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rewards.registry import build_rewards
from rl.cold_start.gears import automatic_rows
from rl.cold_start.label import label_problems, summary_lines
from rl.cold_start.selection import plot_selection, select
from rl.cold_start.sft import fine_tune
from rl.cold_start.work import APART, sample_settings
from rl.config.schema import Config, ConfigError
from rl.data.load import take
from rl.data.prompts import draw_usable
from rl.distillation.chains import Chain
from rl.distillation.examples import choose, labelled_rows_of, labels_by_problem
from rl.distillation.formats import read_chains
from rl.distillation.merge import merge
from rl.distillation.plots import choice_lines, plot_choice
from rl.distillation.score import problems_of
from rl.distillation.stages import SCORED, distill_folder
from rl.evaluation.evaluate import evaluate
from rl.evaluation.work import evaluation_work
from rl.files.atomic import clear_part, complete_folder, write_atomically
from rl.files.finished import Work, begin, is_finished, settings_of
from rl.files.json_file import read_object
from rl.files.outputs import rows_text
from rl.files.row_store import RowStore, read_rows
from rl.models.inputs import digest_of, file_digest, files_of_model, input_digests, policy_settings
from rl.models.open import open_policy, open_protocol
from rollout.types import Problem

# What a checkpoint holds besides the model: only going on needs it.
STATE = ("optimizer.pt", "scheduler.pt", "rng_state*.pth", "trainer_state.json", "training_args.bin", "complete.json")
Show = Callable[[str], None]


def folder_of(config: Config, number: int) -> Path:
    """Where an iteration keeps its files."""
    return Path(config.run_dir) / "iterations" / str(number)


def chains_file(config: Config) -> Path:
    """The scored chains that all iterations choose from."""
    return Path(config.iterate.chains) if config.iterate.chains else distill_folder(config) / SCORED


def check_iterations(config: Config) -> None:
    """What can be known before the first step. Raises `ConfigError`."""
    steps, kept = config.cold_start.steps, config.iterate.checkpoints
    if steps % kept:
        raise ConfigError(f"cold_start.steps is {steps}; allowed: a multiple of iterate.checkpoints, {kept}")
    if config.model.lora.rank:
        raise ConfigError(f"model.lora.rank is {config.model.lora.rank}; allowed: 0, whole models are merged")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"iterate.py was started on {os.environ['WORLD_SIZE']} ranks; allowed: one process")
    if config.distill.choose.labels:
        raise ConfigError("distill.choose.labels is set; allowed: not here, each iteration measures its own")
    if not chains_file(config).is_file():
        raise ConfigError(
            f"no chains in {chains_file(config)}; allowed: distill.py --stage score first, or iterate.chains"
        )


def check_chains(config: Config, chains: Sequence[Chain]) -> None:
    """That the configured method has something to choose from. Raises `UserError`."""
    settings = config.distill.choose
    choose(chains, dataclasses.replace(settings, method="correct") if settings.method == "student" else settings, {})


def iterate(config: Config, show: Show = print) -> list[dict[str, Any]]:
    """Run what is not finished and return the rows of the table."""
    chains = read_chains(chains_file(config))
    check_chains(config, chains)
    model = start_model(config)
    rows = [measured(config, 0, "start", model)]
    for number in range(1, config.iterate.iterations + 1):
        show(f"== iteration {number}/{config.iterate.iterations}")
        labels = measure_difficulty(config, number, model, chains, show)
        answers = choose_data(config, number, labels, chains, show)
        checkpoints = tune(config, number, model, answers)
        merged = merge_checkpoints(config, number, model, checkpoints)
        rows += [measured(config, number, path.name, path) for path in checkpoints]
        rows.append(measured(config, number, "merged", merged))
        model = merged
    write_atomically(Path(config.run_dir) / "iterations" / "table.json", json.dumps({"rows": rows}, indent=2) + "\n")
    return rows


def start_model(config: Config) -> Path:
    """Θ_0 as a folder: with the tokens that the protocol adds."""
    model = folder_of(config, 0) / "model"
    settings = policy_settings(config) | input_digests(config, (), config.model.path, plug_ins=False)
    work = Work("start model", model, settings)
    if not is_finished(work):
        begin(work)
        policy = open_policy(config, to_train=True)
        part = clear_part(model)
        policy.model.save_pretrained(part)
        policy.tokenizer.save_pretrained(part)
        complete_folder(model)
    return model


def measure_difficulty(
    config: Config, number: int, model: Path, chains: Sequence[Chain], show: Show
) -> list[dict[str, Any]]:
    """Label the training problems that have chains by the present model. Raises `ConfigError` where there are none."""
    path = folder_of(config, number) / "labels.jsonl"
    settings = sample_settings(config, str(model)) | file_digest("iterate.chains", chains_file(config))
    store = RowStore(path, settings, free=settings_of(config, ["label.problems"]))
    problems = with_chains(draw_usable(config, "train", open_protocol(config, str(model)), None), chains)
    if not problems:
        raise ConfigError(f"no training problem has a chain in {chains_file(config)}; allowed: chains of data.train")
    problems = take(problems, config.label.problems, config, config.data.train)
    if any(problem.id not in store for problem in problems):
        policy = open_policy(config, str(model))
        label_problems(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards), store)
    rows = [store.rows[problem.id] for problem in problems if problem.id in store]
    for line in summary_lines(rows):
        show(line)
    return rows


def with_chains(problems: Sequence[Problem], chains: Sequence[Chain]) -> list[Problem]:
    """The problems that some chain answers, by the text of the question."""
    asked = {chain.question for chain in chains}
    return [problem for problem in problems if problem.prompt in asked]


def choose_data(
    config: Config, number: int, labels: Sequence[dict[str, Any]], chains: Sequence[Chain], show: Show
) -> list[dict[str, Any]]:
    """The labelled rows to learn from: problems drawn by difficulty, chains chosen for them."""
    path = folder_of(config, number) / "data.jsonl"
    settings = settings_of(config, ["seed", "select", "distill.choose", "iterate.by_difficulty"])
    settings |= file_digest("iterate.chains", chains_file(config)) | file_digest(
        "labels", path.with_name("labels.jsonl")
    )
    work = Work("data", path, settings)
    if is_finished(work):
        return read_rows(path)
    begin(work)
    kept = select(labels, config.select, config.seed + number) if config.iterate.by_difficulty else list(labels)
    by_problem = labels_by_problem(kept, chains)
    of_kept = [chain for chain in chains if chain.problem in by_problem]
    chosen = choose(of_kept, config.distill.choose, by_problem)
    taken = [chain for chain, _ in chosen]
    plot_selection(path.with_name("selection.png"), labels, kept, config.select)
    plot_choice(path.with_name("chains.png"), of_kept, taken)
    direct = sum(not thinks for _, thinks in chosen)
    show(f"kept {len(kept)} of {len(labels)} problems; {len(chosen) - direct} chains to think, {direct} direct answers")
    for line in choice_lines(of_kept, taken):
        show(line)
    write_atomically(path, rows_text(labelled_rows_of(chosen, problems_of(config, taken), by_problem)))
    return read_rows(path)


def tune(config: Config, number: int, model: Path, answers: list[dict[str, Any]]) -> list[Path]:
    """Fine-tune the present model on these rows; its checkpoints, the last one last."""
    folder, steps = folder_of(config, number) / "tuning", config.cold_start.steps
    settings = settings_of(config, ["cold_start", "iterate.checkpoints", "trainer.bf16"], [*APART, "cold_start.gears"])
    settings |= {"manual_share": config.cold_start.gears.manual_share}
    settings |= policy_settings(config) | file_digest("data", folder.with_name("data.jsonl"))
    settings |= input_digests(config, (), str(model), plug_ins=False)
    checkpoints = folder / "checkpoints"
    work = Work("fine-tuning", folder / "model", settings, others=(checkpoints,))
    gears = dataclasses.replace(config.cold_start.gears, manual_steps=0, automatic_steps=steps, keep="each_mode")
    own = dataclasses.replace(
        config, seed=config.seed + number, cold_start=dataclasses.replace(config.cold_start, gears=gears)
    )
    fine_tune(
        own,
        work,
        lambda protocol: automatic_rows(answers, own, protocol),
        steps,
        source=str(model),
        title=f"iteration {number}",
        kept=config.iterate.checkpoints,
    )
    each = steps // config.iterate.checkpoints
    # A run that was told to end has saved one between them.
    found = [checkpoints / f"checkpoint-{step}" for step in range(each, steps + 1, each)]
    for path in (file for one in found for name in STATE for file in one.glob(name)):
        path.unlink()
    return found


def merge_checkpoints(config: Config, number: int, model: Path, checkpoints: Sequence[Path]) -> Path:
    """The mean delta of the checkpoints from the model that they were tuned from."""
    out = folder_of(config, number) / "model"
    digests = {f"sha256 {path.name}": digest_of(files_of_model(path)) for path in (model, *checkpoints)}
    work = Work("merged model", out, settings_of(config, ["iterate.scale"]) | digests)
    if not is_finished(work):
        begin(work)
        merge(checkpoints, out, base=model, scale=config.iterate.scale)
    return out


def measured(config: Config, number: int, name: str, model: Path) -> dict[str, Any]:
    """A row of the table: accuracy and tokens of each mode on the test problems."""
    out = folder_of(config, number) / "eval" / f"{name}.json"
    work = evaluation_work(config, model, out)
    if not is_finished(work):
        begin(work)
        policy = open_policy(config, str(model))
        problems = draw_usable(config, "test", policy.protocol, config.evaluation.problems)
        result = evaluate(config, problems, policy.engine, policy.protocol, build_rewards(config.rewards))
        write_atomically(out, json.dumps(result, indent=2) + "\n")
    modes = read_object(out, ("modes",), "that file moved away, to evaluate anew")["modes"]
    told = {mode: {key: modes[mode][key] for key in ("accuracy", "mean_tokens")} for mode in modes}
    return {"iteration": number, "model": name, "path": str(model), **told}


def table_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table as Markdown: of each iteration the merged model, the last checkpoint and the best single one by forced
    thinking on the test problems, which flatters it."""
    head = "| iteration | model | forced think | tokens | forced direct | tokens | auto | tokens |"
    lines = [head, "| --- " * 8 + "|"]
    for number in sorted({row["iteration"] for row in rows}):
        own = [row for row in rows if row["iteration"] == number]
        single = [row for row in own if row["model"].startswith("checkpoint-")]
        named = [(row["model"], row) for row in own if not row["model"].startswith("checkpoint-")]
        if single:
            best = max(single, key=lambda row: row["think"]["accuracy"])
            named += [(f"last ({single[-1]['model']})", single[-1]), (f"best single ({best['model']})", best)]
        for name, row in named:
            cells = [
                f"{row[mode]['accuracy']:.3f} | {row[mode]['mean_tokens']:.1f}"
                for mode in ("think", "no_think", "auto")
            ]
            lines.append(f"| {number} | {name} | {' | '.join(cells)} |")
    return lines
