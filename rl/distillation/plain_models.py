"""Models of this machine without a decision, as EasyDistill's job files use them: a Jinja template that is given one
message, greedy answers, and fine-tuning on the whole rendered text."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rl.config.errors import ConfigError
from rl.files.finished import Work, begin, has_mark, is_finished, mark_finished, read_record
from rl.models.inputs import digest_of, files_of_model
from rl.models.location import check_model_path, model_location

BATCH = 32
# transformers has these under another name.
RENAMED = {"warmup_ratio": "warmup_steps"}


class Template:
    """A template file that renders `message`, `add_generation_prompt` and `add_output`."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigError`."""
        self.path = path
        try:
            self.made = ImmutableSandboxedEnvironment().from_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, TemplateError) as error:
            raise ConfigError(f"dataset.template {str(path)!r} cannot be read: {error}") from error

    def render(self, question: str, answer: str | None = None) -> str:
        """The text of a question, or of a question with its answer."""
        message = {"role": "user", "content": question, "output": answer or ""}
        try:
            return self.made.render(
                message=message, add_generation_prompt=answer is None, add_output=answer is not None
            )
        except TemplateError as error:
            raise ConfigError(f"dataset.template {str(self.path)!r} cannot be rendered: {error}") from error


def answers(model: str, texts: Sequence[str], max_new_tokens: int) -> Iterator[tuple[int, str, int]]:
    """(place, answer, its tokens) of each text, greedily, a batch at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_model_path(model)
    tokenizer = AutoTokenizer.from_pretrained(**model_location(model), padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    opened = AutoModelForCausalLM.from_pretrained(**model_location(model)).eval()
    opened.to("cuda" if torch.cuda.is_available() else "cpu")
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(list(texts[start : start + BATCH]), return_tensors="pt", padding=True).to(opened.device)
        batch.pop("token_type_ids", None)
        with torch.no_grad():
            made = opened.generate(
                **batch, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        for row, ids in enumerate(made[:, batch["input_ids"].shape[1] :]):
            kept = ids[ids != tokenizer.pad_token_id]
            yield start + row, str(tokenizer.decode(ids, skip_special_tokens=True)), len(kept)


def arguments_of(training: Mapping[str, Any]) -> Any:
    """The `training` section as TRL's `SFTConfig`. Raises `ConfigError` that names every key it does not know."""
    import torch
    from trl import SFTConfig

    known = {one.name for one in dataclasses.fields(SFTConfig)} | set(RENAMED)
    unknown = [str(key) for key in training if key not in known]
    if unknown:
        raise ConfigError(f"unknown key training.{', training.'.join(unknown)}; allowed: those of TRL's SFTConfig")
    if not isinstance(training.get("output_dir"), str):
        raise ConfigError(f"training.output_dir is {training.get('output_dir')!r}; allowed: a folder")
    made = {RENAMED.get(key, key): value for key, value in training.items()}
    for one in dataclasses.fields(SFTConfig):
        # A number may stand there as text: 1e-5 is one in YAML.
        kind: Any = type(one.default)
        if one.name in made and kind in (int, float):
            try:
                made[one.name] = kind(made[one.name])
            except (TypeError, ValueError):
                raise ConfigError(f"training.{one.name} is {made[one.name]!r}; allowed: a number") from None
    quiet = {"report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False}
    on_cpu = {} if torch.cuda.is_available() else {"bf16": False, "use_cpu": True}
    try:
        return SFTConfig(**{**quiet, **on_cpu, **made})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training: {error}") from error


def train_student(
    student: str, rows: Sequence[Mapping[str, str]], template: Template, training: Mapping[str, Any], seed: int
) -> Path:
    """Fine-tune the student on rows of `instruction` and `output`, in shuffled order; the model goes to output_dir, as
    EasyDistill puts it there. Goes on from its last checkpoint and is not done twice. Raises `ConfigError`."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.trainer_utils import get_last_checkpoint
    from trl import SFTTrainer

    arguments = arguments_of(training)
    texts = [template.render(row["instruction"], row["output"]) for row in rows]
    out = Path(training["output_dir"])
    work = Work("student", out, _settings(student, texts, training, seed))
    if work.exists() and not read_record(work):
        raise ConfigError(f"training.output_dir {str(out)!r} holds something else; allowed: a new folder")
    if is_finished(replace(work, is_done=lambda: has_mark(work))):
        print(f"student: already finished ({out})")
        return out
    last = get_last_checkpoint(str(out)) if out.is_dir() else None
    begin(work)
    tokenizer = AutoTokenizer.from_pretrained(**model_location(student))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(**model_location(student)),
        args=arguments,
        train_dataset=Dataset.from_list([{"text": text} for text in texts]).shuffle(seed=seed),
        processing_class=tokenizer,
    )
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(out))
    mark_finished(work)
    return out


def _settings(student: str, texts: Sequence[str], training: Mapping[str, Any], seed: int) -> dict[str, Any]:
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
    folder = Path(student)
    weights = {"sha256 models.student": digest_of(files_of_model(folder))} if folder.is_dir() else {}
    apart = ("output_dir", "save_steps", "logging_steps", "save_total_limit")
    kept = {f"training {key}": value for key, value in training.items() if key not in apart}
    return {"models.student": student, "dataset seed": seed, "sha256 dataset": digest} | weights | kept
