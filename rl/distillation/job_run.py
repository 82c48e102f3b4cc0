"""Running a job file of EasyDistill with this project's client, judge texts and mixer: rows in, rows out, in its keys.

What has been answered stands in OUTPUT.rows.jsonl, so a killed job goes on and pays nothing twice; the output itself is
written when all of it is there. `instruction` holds the whole prompt where EasyDistill writes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.errors import ConfigError
from rl.config.read import parse_config
from rl.config.schema import Config
from rl.distillation.chains import split_response
from rl.distillation.formats import SCORES, read_objects
from rl.distillation.job_pipeline import run_pipeline
from rl.distillation.jobs import ENGINE, FIRST, Job, expanded, key_variable, read_job
from rl.distillation.plain_models import Template, answers, arguments_of, train_student
from rl.distillation.prompts import judging
from rl.distillation.row_jobs import Answers, ask_rows, questions_digest, write_output
from rl.distillation.score import judged_score
from rl.distillation.teachers import Ask
from rl.files.outputs import claim
from rl.files.row_store import RowStore

Show = Callable[[str], None]
WORDS = {"long2short": ("Simplify", "Simplified"), "short2long": ("Extend", "Extended")}
IGNORED = sorted({"stream", *ENGINE})


def run_job(path: Path, show: Show = print) -> None:
    """Run a job file. Raises `UserError`, before the first call for what can be known by then."""
    job = read_job(path)
    if job.kind not in FIRST:
        run_pipeline(job, show)
        return
    _tell_ignored(job, show)
    if job.kind.startswith("cot_eval"):
        _evaluate(job, show)
    elif job.kind.startswith("cot_"):
        _write(job, show)
    else:
        _black_box(job, show)


def _tell_ignored(job: Job, show: Show) -> None:
    inference = job.section("inference")
    found = [key for key in IGNORED if key in inference]
    if found:
        show(f"not needed here: inference.{', inference.'.join(found)}")
    if inference.get("api_key") and not str(inference["api_key"]).startswith("${"):
        show(f"inference.api_key is not read from a file; the key is that of {key_variable('', 'OPENAI_API_KEY')}")


def endpoint_config(job: Job, run_dir: Path) -> Config:
    """The teacher of a 1.0 job as a configuration. Raises `UserError`."""
    inference = job.section("inference")
    teacher = {
        "name": "teacher",
        "base_url": expanded(job.text("inference", "base_url")),
        "key_variable": key_variable(inference.get("api_key"), "OPENAI_API_KEY"),
        "max_tokens": inference.get("max_new_tokens", 4096),
        "temperature": inference.get("temperature", 1.0),
    }
    return parse_config({"run_dir": str(run_dir), "teachers": [teacher]})


def _write(job: Job, show: Show) -> None:
    """Generation and rewriting, by an endpoint or a model of this machine."""
    source, out = Path(job.text("dataset", "input_path")), Path(job.text("dataset", "output_path"))
    prompt = str(job.section("inference").get("prompt") or "")
    rows = _rows(source, show)
    if "generation" in job.kind:
        prompts = [f"{prompt}\n{row['instruction']}" for row in rows]
    else:
        prompts = [_rewriting(job.kind, prompt, row) for row in rows]
    found = _answered(job, prompts, out, source)
    made = [{"instruction": text, "output": found[str(i)]["text"]} for i, text in enumerate(prompts) if str(i) in found]
    write_output(out, made, lines=job.kind != "cot_generation_api", wanted=len(prompts), show=show)


def _rewriting(kind: str, prompt: str, row: Mapping[str, Any]) -> str:
    """EasyDistill's own wording around the job's prompt."""
    verb, adjective = WORDS["long2short" if "long2short" in kind else "short2long"]
    text = f"Problem:\n{row['instruction']}\n\nAnswer:\n{row['output']}\n\n{adjective} Reasoning Process:"
    return f"{prompt} {verb} the reasoning process for the problem below.\n\n{text}"


def _answered(job: Job, prompts: Sequence[str], out: Path, source: Path, system: str = "") -> Answers:
    if job.kind.endswith("_api"):
        config = endpoint_config(job, out.parent)
        turns = [{"role": "system", "content": system}] if system else []
        asks = [Ask(str(i), [*turns, {"role": "user", "content": text}]) for i, text in enumerate(prompts)]
        return ask_rows(config, config.teachers[0], asks, out, source)
    claim(out, "distill.py", [source])
    template = Template(Path(job.text("dataset", "template")))
    model, most = job.text("models", "teacher"), job.whole("inference", "max_new_tokens", 512)
    rendered = [template.render(text) for text in prompts]
    made = {"model": model, "max_new_tokens": most} | questions_digest(rendered)
    store = RowStore(Path(f"{out}.rows.jsonl"), made)
    texts = {str(i): text for i, text in enumerate(rendered) if str(i) not in store}
    names = list(texts)
    for place, text, tokens in answers(model, list(texts.values()), most):
        store.append([{"id": names[place], "text": text, "usage": {"completion_tokens": tokens, "model": model}}])
    return store.rows


def _evaluate(job: Job, show: Show) -> None:
    """Three scores a row, one call each."""
    source, out = Path(job.text("dataset", "input_path")), Path(job.text("dataset", "output_path"))
    rows = _rows(source, show, ("instruction", "output"))
    config = endpoint_config(job, out.parent)
    asks = [
        Ask(f"{i}|{aspect}", judging(aspect, row["instruction"], *split_response(row["output"])), False, True)
        for i, row in enumerate(rows)
        for aspect in SCORES
    ]
    found = ask_rows(config, config.teachers[0], asks, out, source)
    made = [
        {**row, **{key: judged_score(found[f"{i}|{aspect}"]["text"], aspect) for aspect, key in SCORES.items()}}
        for i, row in enumerate(rows)
        if all(f"{i}|{aspect}" in found for aspect in SCORES)
    ]
    unknown = sum(row[key] == -1 for row in made for key in SCORES.values())
    show(f"scores: {3 * len(made) - unknown} read, {unknown} unknown (-1)")
    write_output(out, made, lines=False, wanted=len(rows), show=show)


def _black_box(job: Job, show: Show) -> None:
    """The teacher's answers, then the student on them."""
    labeled, template = Path(job.text("dataset", "labeled_path")), Template(Path(job.text("dataset", "template")))
    student, training = job.text("models", "student"), job.section("training")
    arguments_of(training)
    if job.kind != "kd_black_box_train_only":
        source = Path(job.text("dataset", "instruction_path"))
        questions = [row["instruction"] for row in _rows(source, show)]
        found = _answered(job, questions, labeled, source, str(job.section("inference").get("system_prompt") or ""))
        made = [{"instruction": q, "output": found[str(i)]["text"]} for i, q in enumerate(questions) if str(i) in found]
        write_output(labeled, made, lines=False, wanted=len(questions), show=show)
    rows = _rows(labeled, show, ("instruction", "output"))
    model = train_student(student, rows, template, training, job.whole("dataset", "seed", 42))
    show(f"student: {model}")


def _rows(path: Path, show: Show, keys: Sequence[str] = ("instruction",)) -> list[dict[str, Any]]:
    """The rows that have these texts; the others are counted. Raises `ConfigError` where none has."""
    rows = read_objects(path)
    good = [row for row in rows if all(isinstance(row.get(key), str) and row[key].strip() for key in keys)]
    if not good:
        raise ConfigError(f"{path} has no row with {' and '.join(keys)}; allowed: rows with text in both")
    if len(good) < len(rows):
        show(f"{path}: {len(rows) - len(good)} of {len(rows)} rows left out, without {' or '.join(keys)}")
    return good
