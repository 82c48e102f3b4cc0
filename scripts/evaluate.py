"""Evaluation in three modes (forced think, forced direct, the model's own choice) on the test problems.

python scripts/evaluate.py configs/demo.yaml --model runs/demo/model --out runs/demo/eval.json
python scripts/evaluate.py CONFIG --untouched --out runs/NAME/eval_untouched.json    # model.path as it was published
python scripts/evaluate.py ... --target "accuracy >= think - 0.005"    # picks the dial on one half, saves it in DIR
python scripts/evaluate.py ... evaluation.budget=256,1024              # accuracy against thinking budget
python scripts/evaluate.py CONFIG --server http://127.0.0.1:8000/v1 --out FILE    # modes by template argument or tags
python scripts/evaluate.py CONFIG --records FILE --mode-from REGEX --tokens-from FIELD --out FILE
"""

import json
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl.cli import check_light, parser, run
from rl.config.schema import Config, ConfigError
from rl.data.load import source_files
from rl.evaluation.work import BATCHES, OPTIONS, evaluation_work, is_whole
from rl.files.finished import DIGEST, Work, begin, is_finished, settings_of
from rl.files.outputs import claim_recognised, hold
from rl.models.location import check_model_path
from rl.statistics.dial import check_threshold, parse_target

# What stands for an option that was not given.
DEFAULTS = {"server-model": "default", "switch": "enable_thinking", "tokens-from": "tokens"}


def main(options: Namespace, config: Config) -> None:
    """Evaluate, write the JSON, print the table."""
    source = _only_source(options, config)
    if Path(options.out).name == "dial.json":
        raise ConfigError(
            f"--out is {options.out}, the name of a model's dial; allowed: another file, such as eval.json"
        )
    options = _with_defaults(options, source)
    claim_recognised(Path(options.out), ("modes", "dial"), source_files(config))
    check_light(config, "test")
    model = config.model.path if options.untouched else options.model
    work = evaluation_work(config, model, options.out, _told(options, source))
    work = replace(work, is_done=lambda: is_whole(work.product))
    if is_finished(work, config.resume):
        show(json.loads(work.product.read_text(encoding="utf-8")), options.out)
        print(f"already finished, nothing is measured or written: {options.out}")
        for line in other_dial(options):
            print(line)
        return
    hold(work.product)
    from rewards.registry import build_rewards
    from rl.data.load import load_problems, take
    from rl.files.atomic import write_atomically

    problems = take(load_problems(config, "test"), config.evaluation.problems, config, config.data.test)
    rewards = build_rewards(config.rewards)
    measure = {"model": of_model, "untouched": of_untouched, "server": of_server, "records": of_records}[source]
    result = measure(options, config, problems, rewards)
    for line in begin(work, config.resume, **settings_of(config, BATCHES)):
        print(line)
    write_atomically(work.product, json.dumps(result, indent=2) + "\n")
    show(result, options.out)
    print(f"written: {options.out}")
    if not is_whole(work.product):
        print("not finished: the same command asks for the answers that did not come", file=sys.stderr)
        raise SystemExit(1)
    for rows in (_rows_file(options), *(_rows_file(options, budget) for budget in config.evaluation.budget)):
        for file in (rows, Work("rows", rows, {}).record):
            file.unlink(missing_ok=True)


def _only_source(options: Namespace, config: Config) -> str:
    """Which of the four is measured; what does not go with it is told before anything is read."""
    sources = [name for name in ("model", "untouched", "server", "records") if getattr(options, name)]
    if len(sources) != 1:
        raise ConfigError("allowed: one of --model DIR, --untouched, --server URL and --records FILE")
    if options.model or options.untouched:
        check_model_path(options.model or config.model.path)
    if options.target:
        parse_target(options.target)
    if options.dial not in ("", "off"):
        check_threshold(options.dial)
    if options.target and options.model and not Path(options.model).is_dir():
        raise ConfigError(
            f"--target saves dial.json beside the model, and {options.model} is no folder; allowed: a folder"
        )
    if options.target and options.dial:
        raise ConfigError(f"--target picks a threshold, and --dial {options.dial} gives one; allowed: one of them")
    if (options.target or options.dial) and not options.model:
        raise ConfigError("--dial and --target need P(think), which only --model shows; allowed: without them")
    for name, of in OPTIONS.items():
        value = getattr(options, name.replace("-", "_"))
        if of != sources[0] and value:
            raise ConfigError(f"--{name} is {value!r} and does nothing with --{sources[0]}; allowed: with --{of}")
    if options.records and config.evaluation.samples > 1:
        raise ConfigError(
            f"evaluation.samples is {config.evaluation.samples}, and --records has the answers of its file; allowed: 1"
        )
    if config.evaluation.budget and (options.server or options.records):
        raise ConfigError(f"evaluation.budget closes thoughts, and --{sources[0]} has its own; allowed: without it")
    return sources[0]


def _told(options: Namespace, source: str) -> dict[str, Any]:
    """What the command says besides the configuration."""
    return {f"--{name}": getattr(options, name.replace("-", "_")) for name, of in OPTIONS.items() if of == source}


def _with_defaults(options: Namespace, source: str) -> Namespace:
    """The options of this source that were not given, filled in."""
    own = {name.replace("-", "_"): value for name, value in DEFAULTS.items() if OPTIONS[name] == source}
    return Namespace(**{**vars(options), **{name: getattr(options, name) or value for name, value in own.items()}})


def show(result: dict[str, Any], out: str) -> None:
    """The tables, for people; the untouched model first where its evaluation lies beside."""
    from rl.reports.choice import budget_lines, choice_lines, dial_lines, setting_lines
    from rl.reports.parts import part_lines
    from rl.reports.run_folder import UNTOUCHED, read_json
    from rl.reports.tables import mode_lines

    beside = Path(out).with_name(UNTOUCHED)
    same = not beside.is_file() or beside.resolve() == Path(out).resolve()
    untouched = {} if same else read_json(beside.read_text(encoding="utf-8", errors="replace")) or {}
    lines = [*mode_lines(result, untouched), *part_lines(result), ""] if "modes" in result else []
    lines += [*choice_lines(result), *dial_lines(result["dial"]), *budget_lines(result), *setting_lines(result)]
    print("\n".join(lines))


def other_dial(options: Namespace) -> list[str]:
    """A line where the model's dial is no longer the one that this finished evaluation picked."""
    if not options.target:
        return []
    from rl.evaluation.dial import load_dial

    picked, now = json.loads(Path(options.out).read_text(encoding="utf-8"))["dial"]["picked"], load_dial(options.model)
    if now == picked["tau"]:
        return []
    held = "no dial" if now is None else f"another dial, {now:.4f}"
    return [f"{options.model} has {held}; allowed: resume=never, which picks this one again"]


def _rows_file(options: Namespace, budget: int | None = None) -> Path:
    """Where an evaluation under way keeps what it has measured; gone when it is finished."""
    return Path(f"{options.out}{'' if budget is None else f'.budget-{budget}'}.rows.jsonl")


def of_model(options: Namespace, config: Config, problems: list[Any], rewards: list[Any]) -> dict[str, Any]:
    """A model that this process decodes, with its dial and its tags."""
    from rl.checks.prompt_check import check_caps
    from rl.data.prompts import fit_prompts
    from rl.evaluation.budget import budget_curve
    from rl.evaluation.dial import check_enough, load_dial
    from rl.evaluation.evaluate import evaluate
    from rl.evaluation.tags import obedience
    from rl.files.row_store import RowStore
    from rl.models.open import open_policy

    if not (options.dial or options.target):
        load_dial(options.model)  # one that cannot be read is told before anything is measured
    if options.target:
        check_enough(len(problems))
    policy = open_policy(config, options.model)
    check_caps(config, policy.protocol)
    problems = fit_prompts(config, problems, policy.protocol).problems

    def store(budget: int | None = None) -> RowStore:
        # A threshold changes no answer.
        settings = evaluation_work(config, options.model, options.out, {}).settings
        settings = {key: value for key, value in settings.items() if key != f"{DIGEST}dial"}
        return RowStore(_rows_file(options, budget), settings, fresh=config.resume != "auto")

    result = evaluate(config, problems, policy.engine, policy.protocol, rewards, store=store())
    if config.evaluation.budget:
        result["budget"] = budget_curve(config, problems, policy.engine, policy.protocol, rewards, store)
    set_dial(options, result)
    return {**result, "obedience": obedience(config, problems, policy.engine, policy.protocol)}


def of_untouched(options: Namespace, config: Config, problems: list[Any], rewards: list[Any]) -> dict[str, Any]:
    """The configured model before this project touched it: asked plainly where its decision tokens are yet to come."""
    from rl.data.prompts import fit_prompts
    from rl.evaluation.untouched import evaluate_plainly, needs_tokens
    from rl.models.open import open_protocol

    if not needs_tokens(config):
        return of_model(
            Namespace(**{**vars(options), "model": config.model.path, "dial": "off"}), config, problems, rewards
        )
    return evaluate_plainly(config, fit_prompts(config, problems, open_protocol(config)).problems, rewards)


def of_server(options: Namespace, config: Config, problems: list[Any], rewards: list[Any]) -> dict[str, Any]:
    """A model behind a chat endpoint."""
    from rl.evaluation.served import evaluate_server
    from rl.files.row_store import RowStore
    from rl.models.chat_api import Endpoint, check_endpoint, check_listening

    settings = config.rollout.vllm
    endpoint = Endpoint(
        options.server, options.server_model, timeout=settings.timeout, concurrency=settings.concurrency
    )
    check_endpoint(endpoint)
    check_listening(endpoint)
    made = evaluation_work(config, "", options.out, _told(options, "server")).settings
    store = RowStore(_rows_file(options), made, fresh=config.resume != "auto")
    return evaluate_server(config, problems, endpoint, options.switch, rewards, store)


def of_records(options: Namespace, config: Config, problems: list[Any], rewards: list[Any]) -> dict[str, Any]:
    """Responses that another framework wrote down."""
    from rl.evaluation.others import evaluate_records, read_records

    rows = read_records(Path(options.records))
    return evaluate_records(
        config, problems, rows, rewards, mode_from=options.mode_from, tokens_from=options.tokens_from
    )


def set_dial(options: Namespace, result: dict[str, Any]) -> None:
    """With --target a threshold is picked and saved beside the model; else that of --dial or of the model's dial.json
    is measured. Either way it joins the result."""
    from rl.evaluation.dial import FILE, load_dial, pick_threshold
    from rl.files.atomic import write_atomically
    from rl.files.finished import move_to_old
    from rl.statistics.dial import point, with_intervals

    rows, dial = result["problems"], result["dial"]
    if options.target:
        dial["picked"] = pick_threshold(rows, options.target)
        text, file = json.dumps(dial["picked"], indent=2) + "\n", Path(options.model) / FILE
        if file.is_file() and file.read_text(encoding="utf-8", errors="replace") != text:
            print(f"the dial of before is in {move_to_old(file.parent.parent, [file])}; {file} is the one of --target")
        write_atomically(file, text)
        return
    tau = check_threshold(options.dial) if options.dial not in ("", "off") else None
    if not options.dial:
        tau = load_dial(options.model)
    if tau is not None:
        dial["at"] = with_intervals(rows, [point(rows, tau)])[0]


if __name__ == "__main__":
    arguments = parser(__doc__ or "")
    arguments.add_argument("--model", default="", metavar="DIR", help="a model folder or hub id, trained here or not")
    arguments.add_argument(
        "--untouched", action="store_true", help="model.path as it was published: the first row of every table"
    )
    arguments.add_argument(
        "--server", default="", metavar="URL", help="a chat endpoint, such as http://127.0.0.1:8000/v1"
    )
    arguments.add_argument("--server-model", default="", metavar="NAME", help="the model's name there (default)")
    arguments.add_argument(
        "--switch", default="", metavar="NAME", help="its template's argument for the mode (enable_thinking)"
    )
    arguments.add_argument("--records", default="", metavar="FILE", help="responses on record, a JSON object a line")
    arguments.add_argument("--mode-from", default="", metavar="REGEX", help="how a record's response shows its mode")
    arguments.add_argument("--tokens-from", default="", metavar="FIELD", help="where a record has its tokens (tokens)")
    arguments.add_argument("--dial", default="", metavar="TAU", help="think iff P(think) is at least TAU; off: never")
    arguments.add_argument("--target", default="", metavar="TEXT", help="such as 'accuracy >= think - 0.005'")
    arguments.add_argument("--out", required=True, metavar="FILE", help="where the JSON goes")
    run(main, arguments)
