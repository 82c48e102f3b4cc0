"""A run as a model that anyone can load, ask and serve: weights, tokenizer, template, card, what a server needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, GenerationConfig

from rl.config.schema import Config
from rl.evaluation.dial import FILE as DIAL
from rl.evaluation.dial import load_dial
from rl.files.atomic import clear_part, complete_folder
from rl.files.outputs import hold
from rl.models.inputs import files_of_model
from rl.models.loading import load_tokenizer, read_model
from rl.models.open import open_policy
from rl.serving.card import Facts, card, read_evaluations
from rl.serving.decision import can_bias, decision_table
from rl.serving.margin import margin_elsewhere
from rl.serving.source import SCHEMA, SETTINGS
from rl.serving.template import check_template, exported_template
from rl.training.final import save_final
from rollout.layouts import ProtocolError, required_tokens
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem

BESIDE = ("dial_processor.py", "step_srpo_parser.py")
TEXTS = ("think", "no_think", "think_after", "no_think_after", "thought_end", "answer_end", "prompt_suffix")


def export(
    config: Config, run: Path, model: Path, out: Path, problems: Sequence[Problem], checkpoint: Path | None = None
) -> DecisionProtocol:
    """Write the folder, there in full or not at all. `problems` are what the logit bias is measured on; none: it is
    not. Raises `UserError`."""
    hold(out)
    part = clear_part(out)
    try:
        protocol = _write(config, run, model, part, problems, checkpoint)
        complete_folder(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return protocol


def _write(
    config: Config, run: Path, model: Path, part: Path, problems: Sequence[Problem], checkpoint: Path | None
) -> DecisionProtocol:
    if checkpoint is not None:
        save_final(config, checkpoint, part / "weights")
        model = part / "weights"
    policy = open_policy(config, str(model))
    protocol = policy.protocol
    template = exported_template(protocol)
    check_template(protocol, template)
    _save_weights(config, model, part)
    save_tokenizer(protocol, template, part)
    GenerationConfig(
        eos_token_id=list(protocol.end_ids), pad_token_id=policy.pad_id, bos_token_id=policy.tokenizer.bos_token_id
    ).save_pretrained(part)
    dial = _copied_dial(model, part)
    _write_json(part / "decision.json", decision_table(protocol))
    _write_json(part / SETTINGS, settings_of_export(config, protocol))
    for name in BESIDE:
        shutil.copyfile(Path(__file__).with_name(name), part / name)
    evaluations = read_evaluations(run) if checkpoint is None else read_evaluations(run)[:-1]
    base = config.model.path if "/" in config.model.path and not Path(config.model.path).exists() else ""
    margin = margin_elsewhere(policy, problems) if problems and not can_bias(protocol) else None
    text = card(Facts(protocol, base, evaluations, dial, margin))
    (part / "README.md").write_text(text, encoding="utf-8")
    if checkpoint is not None:
        shutil.rmtree(part / "weights")
    return protocol


def _save_weights(config: Config, model: Path, part: Path) -> None:
    """Safetensors as they are, or weights in another form loaded and written as such."""
    if any(model.glob("*.safetensors")):
        weights = [file for file in files_of_model(model) if file.suffix == ".safetensors" or "index" in file.name]
        for file in (*weights, model / "config.json", *model.glob("*.py")):
            shutil.copyfile(file, part / file.name)
        return
    read_model(config, load_tokenizer(config, str(model)), str(model)).save_pretrained(part)


def save_tokenizer(protocol: DecisionProtocol, template: str, part: Path) -> None:
    """The tokenizer with its new template, its decision tokens shown by decoding. Raises `ProtocolError` where it would
    no longer read what it read."""
    tokenizer: Any = protocol.tokenizer
    own, tokenizer.chat_template = tokenizer.chat_template, template
    tokenizer.save_pretrained(part)
    tokenizer.chat_template = own
    shown = {text for text in required_tokens(protocol.spec) if text.strip()} - {
        protocol.decode([end]) for end in protocol.end_ids
    }
    _edit_json(part / "tokenizer.json", lambda raw: _show_added(raw, shown))
    _edit_json(part / "tokenizer_config.json", lambda raw: _show_named(raw, shown))
    again = AutoTokenizer.from_pretrained(part)
    for mode in MODES:
        ids = protocol.response(mode, "7", "7")[: -len(protocol.end_turn)]
        text = protocol.decode(ids)
        if tuple(again(text, add_special_tokens=False)["input_ids"]) != protocol.encode(text) or any(
            tag not in again.decode(list(ids), skip_special_tokens=True) for tag in shown if tag in text
        ):
            raise ProtocolError(f"the tokenizer hides its decision tokens from a server: {sorted(shown)}")


def _show_added(raw: dict[str, Any], shown: set[str]) -> None:
    for token in raw.get("added_tokens") or ():
        if token["content"] in shown:
            token["special"] = False


def _show_named(raw: dict[str, Any], shown: set[str]) -> None:
    for token in (raw.get("added_tokens_decoder") or {}).values():
        if token["content"] in shown:
            token["special"] = False
    for name in ("additional_special_tokens", "extra_special_tokens"):
        listed = raw.get(name)
        if isinstance(listed, list):
            raw[name] = [one for one in listed if (one["content"] if isinstance(one, Mapping) else one) not in shown]


def _edit_json(file: Path, change: Any) -> None:
    if file.is_file():
        raw = json.loads(file.read_text(encoding="utf-8"))
        change(raw)
        _write_json(file, raw)


def _copied_dial(model: Path, part: Path) -> dict[str, Any] | None:
    """The dial of these weights; one that was picked for others says nothing of them."""
    file = model / DIAL
    if not file.is_file():
        return None
    shutil.copyfile(file, part / DIAL)
    load_dial(file.parent)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def settings_of_export(config: Config, protocol: DecisionProtocol) -> dict[str, Any]:
    """How the exported folder is opened here again: the template does what arguments, cut and system text did."""
    spec = protocol.spec
    found: dict[str, Any] = {name: getattr(spec, name) for name in TEXTS}
    found |= {"name": spec.name, "judge_patience": protocol.judge_patience}
    longest = config.evaluation.max_new_tokens or config.rollout.max_new_tokens
    return {"schema": SCHEMA, "protocol": found, "max_new_tokens": longest}


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
