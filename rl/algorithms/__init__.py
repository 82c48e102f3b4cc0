"""Algorithms by name. One file each; adding one is an `Algorithm` in its file and its name in `SHIPPED`."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

from rewards.lookup import find_function
from rewards.parameters import type_hints, typed
from rl.algorithms.ada_grpo import ADA_GRPO
from rl.algorithms.adaptthink import ADAPTTHINK
from rl.algorithms.autothink import AUTOTHINK
from rl.algorithms.base import Algorithm, LossOptions, Savings
from rl.algorithms.bpo import BPO
from rl.algorithms.degrpo import DEGRPO
from rl.algorithms.dr_grpo import DR_GRPO
from rl.algorithms.grpo import GRPO
from rl.algorithms.hgpo import HGPO
from rl.algorithms.hipo import HIPO
from rl.algorithms.paired_routing import PAIRED_ROUTING
from rl.algorithms.step_srpo import STEP_SRPO
from rl.config.schema import DEFAULT_ALGORITHM
from rollout.errors import UserError, nearest

SHIPPED = {
    algorithm.name: algorithm
    for algorithm in (
        STEP_SRPO,
        HIPO,
        GRPO,
        DR_GRPO,
        ADAPTTHINK,
        DEGRPO,
        ADA_GRPO,
        HGPO,
        AUTOTHINK,
        BPO,
        PAIRED_ROUTING,
    )
}
VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
JUDGE_PARAMETERS = ("margin", "wrong")
# With these a decision is worth the same under every policy, and beside thoughts as in a group of direct answers alone.
WORTH = {"baseline": "none", "bracket": 0.0, "forced_switch": "uncorrected"}
# What each saving needs; a decision that is trained again has to push as when it was new.
NEEDED = {"direct_first": WORTH, "judge_replay": {**WORTH, "forced_log_prob": "policy", "answer_mean": "tokens"}}


def build_algorithm(settings: Mapping[str, Any]) -> Algorithm:
    """The algorithm of a config section such as `{name: step_srpo, kappa: 1.0, judge_weight: 0.4}`. `name` may be
    `file.py:NAME`, an `Algorithm` or a function with the signature of `rl.algorithms.step_srpo.advantages`. Raises
    `UserError` for a name, a parameter or a value that is not allowed. `preset`: what it begins with, `own` (the
    default) what this project adds, `none` the formula alone, `published` what its authors' own code does."""
    own = dict(settings)
    base = _find(own.pop("name", DEFAULT_ALGORITHM))
    base, begins = _preset(base, own.pop("preset", "own"))
    own = {**begins, **own}
    signature = inspect.signature(base.advantages).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.values())
    parameters = [p.name for p in list(signature.values())[1:] if p.kind is not p.VAR_KEYWORD]
    options = [f.name for f in dataclasses.fields(LossOptions)]
    savings_names = [f.name for f in dataclasses.fields(Savings)] if base.savings is not None else []
    hints, loss_hints, savings_hints = (type_hints(kind) for kind in (base.advantages, LossOptions, Savings))
    values, loss, savings = {}, {}, {}
    for key, value in own.items():
        option = base.loss_names.get(key, key)
        if key in savings_names:
            savings[key] = typed(value, savings_hints[key], f"algorithm.{key}")
        elif option in options and key not in parameters:
            loss[option] = typed(value, loss_hints[option], f"algorithm.{key}")
        elif takes_all or key in parameters:
            values[key] = typed(value, hints.get(key), f"algorithm.{key}")
        else:
            raise UserError(_unknown(base, key, [*parameters, *base.loss_names, *savings_names], options))
    needed = [p.name for p in list(signature.values())[1:] if p.default is p.empty and p.kind not in VARIADIC]
    missing = [name for name in needed if name not in {**base.parameters, **values}]
    if missing:
        raise UserError(f"algorithm.{missing[0]} is not set and {base.name!r} has no default for it; allowed: a value")
    _check_idle(base, values)
    made = dataclasses.replace(
        base, parameters={**base.parameters, **values}, loss=dataclasses.replace(base.loss, **loss)
    )
    made = _with_policy_baseline(made) if "baseline" in parameters else made
    return made if made.savings is None else dataclasses.replace(made, savings=_savings(made, savings))


def _check_idle(base: Algorithm, values: Mapping[str, Any]) -> None:
    """Raises `UserError` for a parameter that does nothing beside another one's value."""
    signature = inspect.signature(base.advantages).parameters
    for name, (other, off) in base.idle.items():
        found = {**base.parameters, **values}.get(other, signature[other].default)
        if found == off and values.get(name, signature[name].default) != signature[name].default:
            raise UserError(
                f"algorithm.{name} is {values[name]} and does nothing with {other} {off:g}; allowed: another {other}, "
                f"or {name} left out"
            )


def _preset(base: Algorithm, preset: Any) -> tuple[Algorithm, Mapping[str, Any]]:
    """The algorithm that a preset begins with, and the settings that come before the run's."""
    if preset == "own":
        return base, {}
    if preset == "none":
        loss = dataclasses.replace(base.loss, rehearsal=0.0)
        return dataclasses.replace(base, parameters={}, loss=loss, savings=base.savings and Savings()), {}
    if preset == "published" and base.published is not None:
        return base, base.published
    known = ", ".join(name for name, one in SHIPPED.items() if one.published is not None)
    raise UserError(f"algorithm.preset is {preset!r} with {base.name!r}; allowed: own, none, or published with {known}")


def _find(name: Any) -> Algorithm:
    if not isinstance(name, str):
        raise UserError(f"algorithm.name is {name!r}; allowed: a name or file.py:function")
    if name in SHIPPED:
        return SHIPPED[name]
    if ":" not in name and "." not in name:
        hint = nearest(name, SHIPPED)
        known = f"(allowed: {', '.join(SHIPPED)} or file.py:function)"
        raise UserError(f"algorithm.name is {name!r}{hint and f'; {hint}'} {known}")
    found = find_function(name, "algorithm.name")
    return found if isinstance(found, Algorithm) else Algorithm(name, found, savings=Savings())


def _unknown(base: Algorithm, key: str, parameters: list[str], options: list[str]) -> str:
    if base.name == "step_srpo" and key in JUDGE_PARAMETERS:
        return f"algorithm.{key} belongs to the judge reward; allowed: rewards: [{{name: judge, {key}: …}}]"
    hint = nearest(key, [*parameters, *options])
    allowed = ", ".join(parameters) or "no parameters"
    return f"algorithm.{key} is unknown to {base.name!r}{hint and f'; {hint}'} (allowed: {allowed})"


def _savings(algorithm: Algorithm, asked: Mapping[str, Any]) -> Savings:
    """What of the algorithm's savings is possible, see `WORTH` and `NEEDED`. Raises `UserError` where another was asked
    for."""
    assert algorithm.savings is not None
    loss, parameters = algorithm.loss, algorithm.parameters
    found = {name: parameters.get(name, WORTH[name]) for name in ("baseline", "bracket")}
    found |= {"forced_switch": loss.forced_switch, "forced_log_prob": loss.forced_log_prob}
    # A stored decision is one token, so that a mean over each rollout's own tokens would weigh it as many times more.
    found["answer_mean"] = "sequences" if (loss.judge_mean, loss.answer_mean) == ("tokens", "sequences") else "tokens"
    untrained = [
        f"{name} 0"
        for name, value in (("judge_weight", loss.judge_weight), ("kappa", parameters.get("kappa")))
        if value == 0
    ]
    if untrained and asked.get("judge_replay"):
        raise UserError(
            f"algorithm.judge_replay is {asked['judge_replay']} with {untrained[0]}: no decision trains; allowed: 0"
        )
    possible = {}
    for name, needed in NEEDED.items():
        against = [key for key in needed if found[key] != needed[key]]
        if against and asked.get(name):
            raise UserError(
                f"algorithm.{name} is {asked[name]} with {', '.join(f'{key} {found[key]!r}' for key in against)}, by "
                "which a decision's worth or push depends on the policy and on what was drawn beside it; allowed: "
                f"{json.dumps(type(asked[name])())}, or {', '.join(f'{key} {needed[key]}' for key in against)}"
            )
        off = getattr(Savings(), name)
        idle = untrained and name == "judge_replay"
        possible[name] = off if against or idle else asked.get(name, getattr(algorithm.savings, name))
    return Savings(**possible)


def _with_policy_baseline(algorithm: Algorithm) -> Algorithm:
    """`importance` is exact with the policy baseline only: it becomes the default, another one is refused."""
    if algorithm.loss.forced_switch != "importance":
        return algorithm
    baseline = algorithm.parameters.get("baseline", "policy")
    if baseline != "policy":
        raise UserError(
            f"algorithm.baseline is {baseline!r} with forced_switch 'importance'; allowed: policy (or leave it out)"
        )
    return dataclasses.replace(algorithm, parameters={**algorithm.parameters, "baseline": "policy"})
