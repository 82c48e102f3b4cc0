"""Job files of EasyDistill (modelscope/easydistill), 1.0 in JSON and 2.0 in YAML: which are run, and which keys they
may have. A job of another type, a stage of another name and a key that is none are refused by name.

The key of an endpoint stands in the environment alone: `${NAME}` in a file names the variable, and a key that is
written out in a file is not used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from rl.config.errors import ConfigError
from rl.config.read import read_yaml
from rl.files.json_lines import json_once

VARIABLE = re.compile(r"\$\{(\w+)\}")
ENGINE = {"enable_chunked_prefill", "gpu_memory_utilization", "trust_remote_code", "enforce_eager", "max_model_len"}
API = {"base_url", "api_key", "stream", "max_new_tokens", "temperature"}
LOCAL = {"prompt", "seed", "temperature", "max_new_tokens", *ENGINE}
FILES = {"input_path", "output_path"}
KD_FILES = {"labeled_path", "template", "seed"}

# 1.0: job_type -> {section: keys}; "training" takes what transformers' arguments take.
FIRST: dict[str, dict[str, set[str]]] = {
    "cot_generation_api": {"dataset": FILES, "inference": {*API, "prompt"}},
    "cot_long2short_api": {"dataset": FILES, "inference": {*API, "prompt"}},
    "cot_short2long_api": {"dataset": FILES, "inference": {*API, "prompt"}},
    "cot_eval_api": {"dataset": FILES, "inference": API},
    "kd_black_box_api": {
        "dataset": {"instruction_path", *KD_FILES},
        "inference": {*API, "system_prompt"},
        "models": {"student"},
        "training": set(),
    },
    "kd_black_box_local": {
        "dataset": {"instruction_path", *KD_FILES},
        "inference": LOCAL - {"prompt"},
        "models": {"teacher", "student"},
        "training": set(),
    },
    "kd_black_box_train_only": {"dataset": KD_FILES, "models": {"student"}, "training": set()},
}
FIRST |= {
    f"cot_{kind}_batch": {"dataset": {*FILES, "template"}, "models": {"teacher"}, "inference": LOCAL}
    for kind in ("generation", "long2short", "short2long")
}

BACKEND = {"type", "api_key", "base_url", "model_id", "timeout", "max_retries", "endpoint_url", "token"}
ASKING = {"temperature", "max_tokens", "max_workers", "show_progress"}
PROMPT = {"prompt_template", "prompt_template_file"}
KEYS = {"instruction_key", "output_key"}
JUDGING = {"metrics", "prompts_file", "prompts", *ASKING, *KEYS}
STAGES: dict[str, set[str]] = {
    "cot_distill": ASKING | PROMPT,
    "cot_long2short": ASKING | PROMPT,
    "cot_short2long": ASKING | PROMPT,
    "cot_rvcd_score": JUDGING,
    "cot_eval": JUDGING,
    "cot_mix_by_rv_cd": {"mode", "cd_bins", "rv_target", "samples_per_bin", "min_correctness", *KEYS},
    "build_sft": set(),
}
SFT = {"skip_empty", "min_length", "max_length", "dedup_key", "system_prompt"}
DATASET = {*FILES, "problem_key", "answer_key", "instruction_key", "output_key", "output_format", *SFT}
ONE_STAGE = ("cot_distill", "cot_long2short", "cot_short2long", "cot_eval")
SECOND: dict[str, dict[str, set[str]]] = {
    "advanced_cot_distill": {
        "backend": BACKEND,
        "generation": {"system_prompt", "temperature", "max_tokens"},
        "sft": SFT,
        "eval": JUDGING,
        "dataset": DATASET,
    },
    **{
        name: {
            "backend": BACKEND,
            "dataset": DATASET,
            "sft": SFT,
            **({"eval": JUDGING} if name == "cot_eval" else {"cot": STAGES[name]}),
        }
        for name in ONE_STAGE
    },
}


@dataclass(frozen=True)
class Job:
    """A checked job file. `stages` are (name, configuration, file for what it makes) of 2.0."""

    path: Path
    kind: str
    settings: Mapping[str, Any]
    stages: Sequence[tuple[str, Mapping[str, Any], str]] = ()

    def section(self, name: str) -> Mapping[str, Any]:
        """A section, empty where there is none."""
        return self.settings.get(name) or {}

    def text(self, section: str, key: str) -> str:
        """A value that must be there. Raises `ConfigError`."""
        value = self.section(section).get(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.path}: {section}.{key} is {value!r}; allowed: text")
        return value

    def whole(self, section: str, key: str, default: int) -> int:
        """A whole number. Raises `ConfigError`."""
        return whole(self.path, f"{section}.{key}", self.section(section).get(key, default))


def read_job(path: Path) -> Job:
    """A job file. Raises `ConfigError` in one line."""
    raw = _raw(path)
    kind = raw.get("job_type")
    known = {**FIRST, **SECOND}
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(f"{path}: job_type is {kind!r}; allowed: {', '.join(known)}")
    sections = known[kind]
    _known(path, "", raw, {"job_type", *sections, *({"pipeline"} if kind == "advanced_cot_distill" else ())})
    for name, keys in sections.items():
        section = raw.get(name, {})
        if not isinstance(section, Mapping):
            raise ConfigError(f"{path}: {name} is {section!r}; allowed: a section of keys")
        if keys:
            _known(path, f"{name}.", section, keys)
    if kind in FIRST:
        return Job(path, kind, raw)
    return Job(path, kind, raw, _pipeline(path, raw) if kind == "advanced_cot_distill" else _one_stage(kind, raw))


def _pipeline(path: Path, raw: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
    found = []
    entries = raw.get("pipeline")
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: pipeline is {entries!r}; allowed: a list of stages")
    for index, entry in enumerate(entries):
        place = f"pipeline[{index}]"
        if not isinstance(entry, Mapping):
            raise ConfigError(f"{path}: {place} is {entry!r}; allowed: stage, config, output_path")
        _known(path, f"{place}.", entry, {"stage", "config", "output_path"})
        name, config = entry.get("stage"), entry.get("config") or {}
        if not isinstance(config, Mapping):
            raise ConfigError(f"{path}: {place}.config is {config!r}; allowed: a section of keys")
        if not isinstance(name, str) or name not in STAGES:
            raise ConfigError(f"{path}: {place}.stage is {name!r}; allowed: {', '.join(STAGES)}")
        _known(path, f"{place}.config.", config, STAGES[name])
        found.append((name, config, str(entry.get("output_path") or "")))
    if found[-1][0] != "build_sft":
        raise ConfigError(f"{path}: the last stage is {found[-1][0]!r}; allowed: build_sft")
    return found


def whole(path: Path, place: str, value: Any) -> int:
    """A whole number of a job file. Raises `ConfigError`."""
    try:
        if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{path}: {place} is {value!r}; allowed: a whole number") from None


def _one_stage(kind: str, raw: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
    config = raw.get("eval" if kind == "cot_eval" else "cot") or {}
    last: list[tuple[str, Mapping[str, Any], str]] = [("build_sft", {}, "")] if kind == "cot_distill" else []
    return [(kind, config, ""), *last]


def _known(path: Path, place: str, section: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Raises `ConfigError` with all keys that are none."""
    unknown = [str(key) for key in section if key not in keys]
    if unknown:
        near = get_close_matches(unknown[0], [*keys], 1)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(sorted(keys)) or 'none'}"
        raise ConfigError(f"{path}: unknown key {', '.join(place + key for key in unknown)}; {hint}")


def _raw(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        raw = json_once(text) if text.lstrip().startswith("{") else read_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds a {type(raw).__name__}; allowed: a job with job_type")
    return raw


def expanded(text: Any) -> str:
    """A text with `${NAME}` replaced by the environment. Raises `ConfigError` for a variable that is not set."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ConfigError(f"the environment has no {found[1]}, which the job file names")
        return os.environ[found[1]]

    return VARIABLE.sub(value, str(text or ""))


def key_variable(value: Any, default: str) -> str:
    """The variable that a job file names for its key, else the default: a key in a file is not used."""
    found = VARIABLE.fullmatch(str(value or "").strip())
    return found[1] if found else default
