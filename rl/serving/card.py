"""The model card of an exported model: what was measured, how to ask it, how to serve it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.serving.decision import allowed_threshold, bias_of, can_bias
from rl.serving.margin import Margin
from rl.statistics.dial import logit_bias
from rl.statistics.names import MODE_LABELS
from rollout.protocol import DecisionProtocol

MODEL_NAME = "MODEL"


@dataclass(frozen=True)
class Facts:
    """What a card tells. `evaluations`: (whose, its evaluation) with the untouched model first, None where it was not
    measured; `dial`: the contents of `dial.json`; `margin`: how far the no_think token stays behind elsewhere, None
    where that was not measured."""

    protocol: DecisionProtocol
    base: str
    evaluations: Sequence[tuple[str, Mapping[str, Any] | None]]
    dial: Mapping[str, Any] | None
    margin: Margin | None


def card(facts: Facts) -> str:
    """The card as Markdown with the hub's header."""
    base = [f"base_model: {facts.base}"] if facts.base else []
    header = ["---", "library_name: transformers", "pipeline_tag: text-generation", *base, "tags: [step-srpo]", "---"]
    parts = [_measured(facts.evaluations), _asked(facts.protocol), _served(facts.protocol), _dialled(facts)]
    return "\n".join([*header, "# A model that judges when to think", "", *("\n".join(part) + "\n" for part in parts)])


def _measured(evaluations: Sequence[tuple[str, Mapping[str, Any] | None]]) -> list[str]:
    lines = ["## Measured", "", "| model | answers | accuracy | tokens | thinks |", "| --- | --- | --- | --- | --- |"]
    for whose, result in evaluations:
        # A model without decision tokens was asked plainly: one setting, no modes.
        modes = (result or {}).get("modes") or (result or {}).get("settings") or {}
        if not modes:
            lines.append(f"| {whose} | not measured | | | |")
        for name, label in MODE_LABELS.items():
            if name in modes:
                row = modes[name]
                thinks = {"think": 1.0, "no_think": 0.0}.get(name, row.get("think_rate", 0.0))
                lines.append(f"| {whose} | {label} | {row['accuracy']:.3f} | {row['mean_tokens']:.1f} | {thinks:.1%} |")
    count = next((result["n"] for _, result in evaluations if result and "n" in result), 0)
    samples = next((result["samples"] for _, result in evaluations if result and "samples" in result), 1)
    drawn = "Greedy" if samples == 1 else f"Means of {samples} answers of each mode"
    return [*lines, "", f"{drawn}, on the same {count} test problems."] if count else lines


def _asked(protocol: DecisionProtocol) -> list[str]:
    spec = protocol.spec
    lines = [
        "## Modes",
        "",
        'The chat template takes `enable_thinking`: `"auto"` (the default: the model decides), `true` or `false`.',
    ]
    if spec.judge_close:
        lines.append(
            "The model writes a judge text before it decides. A stated mode skips it, unless the template is told "
            "`switch_by_server: true` and `dial_processor.py` writes the switch behind the judge text."
        )
    if spec.other:
        banned = [protocol.decode([token]) for token in protocol.forcing(spec.other).banned]
        ids = list(protocol.forcing(spec.other).banned)
        value = "true" if spec.other == "think" else "false"
        lines.append(
            f'With `{value}` the prompt stays that of `"auto"`, because that mode has no token of its own: its first '
            f"token is any but {', '.join(map(repr, banned))}. `dial_processor.py` sees to it; with plain transformers "
            f"pass `begin_suppress_tokens={ids}` to `generate`."
        )
    return lines


def serve_options(protocol: DecisionProtocol, folder: str = MODEL_NAME) -> list[str]:
    """The options of `vllm serve` for this model."""
    options = ["--reasoning-parser-plugin", f"{folder}/step_srpo_parser.py", "--reasoning-parser", "step_srpo"]
    options += ["--logits-processors", "dial_processor:Dial"]
    if protocol.spec.judge_close:
        options += ["--default-chat-template-kwargs", json.dumps({"switch_by_server": True})]
    return options


def _served(protocol: DecisionProtocol) -> list[str]:
    options = serve_options(protocol)
    pairs = [f"{a} '{b}'" if "{" in b else f"{a} {b}" for a, b in zip(options[::2], options[1::2], strict=True)]
    return [
        "## Serving",
        "",
        "```",
        f"PYTHONPATH={MODEL_NAME} vllm serve {MODEL_NAME} \\",
        *(f"  {pair} \\" for pair in pairs[:-1]),
        f"  {pairs[-1]}",
        "```",
        "",
        'A request states its mode by `"chat_template_kwargs": {"enable_thinking": true}`; thoughts come back as',
        '`reasoning`. `"thinking_token_budget": 256` closes a thought after 256 tokens.',
    ]


def _dialled(facts: Facts) -> list[str]:
    lines = [
        "## The dial",
        "",
        "The model thinks iff P(think) at its decision is at least a threshold τ, from 0 (always) to 1.1 (never):",
        '`"vllm_xargs": {"dial": 0.3}` in a request, by `dial_processor.py`. `"off"` leaves the choice to the model.',
    ]
    if facts.dial:
        lines.append(f"`dial.json` sets it to {facts.dial['tau']:.4f} for requests that bring none.")
    return [*lines, "", *bias_lines(facts)]


def bias_lines(facts: Facts) -> list[str]:
    """What is known of the dial as a logit bias, which a server adds at every place."""
    reason, margin = can_bias(facts.protocol), facts.margin
    if reason:
        return [f"A `logit_bias` cannot be this model's dial: {reason}."]
    if margin is None:
        return ["Whether a `logit_bias` would act at the decision alone was not measured: use the processor."]
    if margin.least <= 0:
        return [
            f"A `logit_bias` acts elsewhere too: on {margin.problems} test problems the no_think token is the "
            "likeliest one at a place that is no decision. Use the processor."
        ]
    lines = [
        f"On any server `logit_bias` of log(τ / (1 − τ)) on token {facts.protocol.switch_ids['no_think']} does the "
        f"same for τ up to {allowed_threshold(margin.least):.4f}. A server adds it everywhere; at the {margin.places} "
        f"places of the greedy responses to {margin.problems} test problems that are no decision, the token stays at "
        f"least {margin.least:.2f} below the likeliest one, so that a smaller bias changes nothing there."
    ]
    if facts.dial and logit_bias(facts.dial["tau"]) < margin.least:
        lines.append(f'For `dial.json`: `"logit_bias": {json.dumps(bias_of(facts.protocol, facts.dial["tau"]))}`.')
    return lines


def read_evaluations(run: Path) -> list[tuple[str, Mapping[str, Any] | None]]:
    """The evaluations of a run, the untouched model first."""
    names = {"the untouched model": "eval_untouched.json", "after the cold start": "eval_before.json"}
    names["this model"] = "eval.json"
    found: list[tuple[str, Mapping[str, Any] | None]] = []
    for whose, name in names.items():
        file = run / name
        result = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if result is not None or whose != "after the cold start":
            found.append((whose, result))
    return found
