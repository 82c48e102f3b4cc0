"""EasyDistill 2.0: jobs of one stage and pipelines of stages, each from rows to rows.

    cot_distill                       problem | instruction  ->  instruction, response, thought, solution
    cot_long2short, cot_short2long    the same with a shorter or longer thought
    cot_rvcd_score, cot_eval          + reasoning_verbosity, cognitive_difficulty, logical_correctness
    cot_mix_by_rv_cd                  the rows chosen, + cd_bin, rv_target
    build_sft                         messages, metadata

What could not be read in a judge's reply is -1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.config.errors import ConfigError
from rl.config.read import parse_config, read_yaml
from rl.config.schema import Config
from rl.distillation.chains import Chain, known_correctness, known_score, split_response, tagged
from rl.distillation.formats import SCORES, read_objects
from rl.distillation.generate import rewritten_thought
from rl.distillation.jobs import Job, expanded, key_variable, whole
from rl.distillation.prompts import generation, judging, rewriting
from rl.distillation.row_jobs import ask_rows, write_output
from rl.distillation.score import judged_score
from rl.distillation.selection import BINS, mixed
from rl.distillation.teachers import Ask
from rl.files.outputs import claim

Rows = list[dict[str, Any]]
Show = Callable[[str], None]
# backend.type -> its address and key where the file names none.
BACKENDS = {
    "openai": ("OPENAI_BASE_URL", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "pai_token": ("PAI_TOKEN_BASE_URL", "", "PAI_TOKEN_API_KEY"),
    "pai_eas": ("EAS_ENDPOINT_URL", "", "EAS_TOKEN"),
}
FIELD = re.compile(r"\{\{|\}\}|\{(\w+)\}")
KINDS = {"cot_long2short": "long_to_short", "cot_short2long": "short_to_long"}


def run_pipeline(job: Job, show: Show) -> None:
    """Run the stages in order; each leaves its rows in its own file, the last in dataset.output_path."""
    source, out = Path(job.text("dataset", "input_path")), Path(job.text("dataset", "output_path"))
    rows = read_objects(source)
    last = len(job.stages) - 1
    for name, settings, _ in job.stages:
        # What is wrong with a later stage is told before an earlier one is paid.
        if name == "cot_mix_by_rv_cd":
            _mix(job, settings, [])
        elif name != "build_sft":
            backend(job, settings)
    for number, (name, settings, path) in enumerate(job.stages):
        place = out if number == last else Path(path or f"{out}.{number + 1}-{name}.jsonl")
        show(f"== {number + 1}/{last + 1} {name}: {len(rows)} rows")
        made = _stage(job, name, settings, rows, place, source)
        if not made:
            raise ConfigError(f"{job.path}: stage {name} keeps none of {len(rows)} rows; allowed: a wider choice")
        claim(place, "distill.py", [source])
        write_output(place, made, lines=True, wanted=0, show=show)
        rows, source = made, place


def _stage(job: Job, name: str, settings: Mapping[str, Any], rows: Rows, out: Path, source: Path) -> Rows:
    if name == "cot_mix_by_rv_cd":
        return _mix(job, settings, rows)
    if name == "build_sft":
        return _sft(job, rows)
    if name in ("cot_rvcd_score", "cot_eval"):
        return _score(job, {**job.section("eval"), **settings}, rows, out, source, name)
    return _write(job, name, settings, rows, out, source)


def backend(job: Job, settings: Mapping[str, Any]) -> Config:
    """The teacher of a stage as a configuration. Raises `UserError`."""
    section = job.section("backend")
    kind = str(section.get("type") or "openai")
    if kind not in BACKENDS:
        raise ConfigError(f"{job.path}: backend.type is {kind!r}; allowed: {', '.join(BACKENDS)}")
    variable, default, key = BACKENDS[kind]
    url = expanded(section.get("base_url") or section.get("endpoint_url") or (default or f"${{{variable}}}")).rstrip(
        "/"
    )
    common = job.section("generation")
    teacher = {
        "name": "teacher",
        "base_url": f"{url}/v1" if kind == "pai_eas" and not url.endswith("/v1") else url,
        "model": expanded(section.get("model_id")),
        "key_variable": key_variable(section.get("api_key") or section.get("token"), key),
        "temperature": settings.get("temperature", common.get("temperature", 0.7)),
        "max_tokens": settings.get("max_tokens", common.get("max_tokens", 2048)),
        "concurrency": settings.get("max_workers", 10),
        "timeout": section.get("timeout", 120.0),
        "retries": section.get("max_retries", 6),
    }
    return parse_config({"run_dir": str(job.path.parent), "teachers": [teacher]})


def _write(job: Job, name: str, settings: Mapping[str, Any], rows: Rows, out: Path, source: Path) -> Rows:
    """Generation and rewriting."""
    config = backend(job, settings)
    problem_key, answer_key = (str(job.section("dataset").get(key) or "") for key in ("problem_key", "answer_key"))
    found = [_texts(row, problem_key, answer_key) for row in rows]
    asked = {
        str(i): (problem, answer)
        for i, (problem, answer) in enumerate(found)
        if problem and (answer or name not in KINDS)
    }
    if not asked:
        raise ConfigError(f"{job.path}: no row of {source} has a problem{' and an answer' if name in KINDS else ''}")
    system = str(job.section("generation").get("system_prompt") or "") if name not in KINDS else ""
    asks = [
        Ask(place, _question(name, _template(job, settings), system, problem, answer))
        for place, (problem, answer) in asked.items()
    ]
    answers = ask_rows(config, config.teachers[0], asks, out, source)
    _check_all(answers, asks)
    made = []
    for place, (problem, answer) in asked.items():
        text, usage = answers[place]["text"], answers[place]["usage"]
        if name in KINDS:
            text = tagged(rewritten_thought(text), split_response(answer)[1])
        thought, solution = split_response(text)
        row = {"instruction": problem, "response": text, "thought": thought, "solution": solution}
        made.append({**row, "id": str(rows[int(place)].get("id", place)), "model": usage["model"]})
    return [row for row in made if row["response"].strip()]


def _question(name: str, template: str, system: str, problem: str, answer: str) -> list[dict[str, Any]]:
    thought, solution = split_response(answer)
    if template:
        text = filled(template, problem=problem, answer=answer)
        turns: list[dict[str, Any]] = [{"role": "user", "content": text}]
    elif name in KINDS:
        turns = rewriting(KINDS[name], problem, solution, thought or answer)
    else:
        turns = generation([{"role": "user", "content": problem}], "tags")
    return [*([{"role": "system", "content": system}] if system else []), *turns]


def filled(template: str, **values: str) -> str:
    """A template of Python's format with these fields; other braces stay, doubled ones become single.

    >>> filled("{{x}} {problem} {y}", problem="{{2}}")
    '{x} {{2}} {y}'
    """
    return FIELD.sub(lambda found: {"{{": "{", "}}": "}"}.get(found[0]) or values.get(found[1], found[0]), template)


def _template(job: Job, settings: Mapping[str, Any]) -> str:
    """The job's own prompt template; none where neither it nor its file is there: then this project's text."""
    file = settings.get("prompt_template_file")
    if settings.get("prompt_template"):
        return str(settings["prompt_template"])
    return Path(file).read_text(encoding="utf-8") if file and Path(file).is_file() else ""


def _score(job: Job, settings: Mapping[str, Any], rows: Rows, out: Path, source: Path, name: str) -> Rows:
    config = backend(job, {"temperature": 0.0, "max_tokens": 512, **settings})
    own = _judge_prompts(settings)
    asks = []
    for i, row in enumerate(rows):
        question, response = _texts(
            row, str(settings.get("instruction_key") or ""), str(settings.get("output_key") or "")
        )
        for aspect, key in SCORES.items():
            if key in own:
                text = filled(own[key], instruction=question, output=response)
                turns: list[dict[str, Any]] = [{"role": "user", "content": text}]
            else:
                turns = judging(aspect, question, *split_response(response))
            asks += [Ask(f"{i}|{aspect}", turns, False, True)] if question and response else []
    answers = ask_rows(config, config.teachers[0], asks, out, source)
    _check_all(answers, asks)
    return [
        {**row, **{key: judged_score(answers[f"{i}|{a}"]["text"], a) for a, key in SCORES.items()}}
        for i, row in enumerate(rows)
        if f"{i}|verbosity" in answers
    ]


def _judge_prompts(settings: Mapping[str, Any]) -> dict[str, str]:
    """The job's own judge prompts by metric, where their file is there."""
    file = settings.get("prompts_file")
    found = settings.get("prompts") or (
        read_yaml(Path(file).read_text("utf-8")) if file and Path(file).is_file() else {}
    )
    return {str(key): text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _mix(job: Job, settings: Mapping[str, Any], rows: Rows) -> Rows:
    if settings.get("mode", "sft") != "sft":
        raise ConfigError(f"{job.path}: cot_mix_by_rv_cd.mode is {settings['mode']!r}; allowed: sft")
    chains = [
        Chain(
            str(i),
            str(i),
            "",
            "",
            correctness=known_correctness(row.get(SCORES["correctness"])),
            verbosity=known_score(row.get(SCORES["verbosity"])),
            difficulty=known_score(row.get(SCORES["difficulty"])),
        )
        for i, row in enumerate(rows)
    ]
    chosen = mixed(
        chains,
        whole(job.path, "cot_mix_by_rv_cd.samples_per_bin", settings.get("samples_per_bin") or 0),
        settings.get("cd_bins") or BINS,
        settings.get("rv_target", "matched"),
        whole(job.path, "cot_mix_by_rv_cd.min_correctness", settings.get("min_correctness", 1)),
    )
    return [{**rows[int(chain.name)], "cd_bin": place, "rv_target": target} for chain, place, target in chosen]


def _sft(job: Job, rows: Rows) -> Rows:
    settings = {
        **job.section("sft"),
        **{k: v for k, v in job.section("dataset").items() if k in ("min_length", "max_length")},
    }
    system = str(settings.get("system_prompt") or job.section("generation").get("system_prompt") or "")
    keys = settings.get("dedup_key") or []
    keys = keys.split("_") if isinstance(keys, str) else keys
    made: Rows = []
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        question, response = _texts(row, "", "")
        length, same = len(response.strip()), tuple(str(row.get(key, "")) for key in keys)
        fits = length >= int(settings.get("min_length") or 0) and length <= int(settings.get("max_length") or length)
        if not fits or (settings.get("skip_empty", True) and not length) or (keys and same in seen):
            continue
        seen.add(same)
        turns = [{"role": "system", "content": system}] if system else []
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
        told = {"source": "teacher_model", "model": row.get("model", ""), "request_id": str(row.get("id", len(made)))}
        made.append({"messages": turns, "metadata": told})
    return made


def _texts(row: Mapping[str, Any], problem_key: str, answer_key: str) -> tuple[str, str]:
    """(problem, answer) of a row under EasyDistill's names; "" for what is no text."""
    problems = [row.get(key) for key in (problem_key, "problem", "instruction") if key]
    answers = [row.get(key) for key in (answer_key, "response", "answer", "output") if key]
    problem, answer = (
        next((x for x in found if isinstance(x, str) and x.strip()), "") for found in (problems, answers)
    )
    return problem, answer


def _check_all(answers: Mapping[str, Any], asks: Sequence[Ask]) -> None:
    missing = [ask.id for ask in asks if ask.id not in answers]
    if missing:
        raise ConfigError(f"{len(missing)} of {len(asks)} answers are missing; start again to ask for them")
