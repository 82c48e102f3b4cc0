"""Answering by the dial, with any engine: P(think) at the decision is measured, then each row is forced into its mode.

The first pass forces every row to think and stops right after the switch: the engine's probabilities at the decision
are those before the forcing, under the same bans and the same patience as the forced answers of an evaluation. So a
dialled run is the point of the evaluation's curve. `dial.json` beside a model keeps its threshold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewards.registry import Reward
from rl.config.schema import Config
from rl.evaluation.answer import answer, greedy
from rl.files.json_file import read_object
from rl.statistics.dial import ALWAYS, check_threshold, halves, parse_target, pick, with_intervals
from rl.statistics.routers import oracle_routes, routed
from rl.statistics.targets import think_share
from rollout.engines.base import Engine
from rollout.errors import UserError
from rollout.protocol import DecisionProtocol
from rollout.types import MODES, Problem, Rollout

FILE = "dial.json"
SCHEMA = 1
FEWEST = 40  # problems: 20 a half
PAST_THE_SWITCH = 16  # tokens: what a layout writes around its switch


def p_think(
    config: Config, problems: Sequence[Problem], engine: Engine, protocol: DecisionProtocol
) -> dict[str, float]:
    """P(think) at the greedy decision of each problem, by id."""
    cap = config.protocol.judge_patience + PAST_THE_SWITCH
    short = dataclasses.replace(greedy(config), max_new_tokens=min(cap, greedy(config).max_new_tokens))
    batches = answer(config, problems, ("think",), engine, protocol, (), short)
    return {group.problem.id: think_share(group.rollouts[0]) for groups in batches for group in groups}


def dialled(
    config: Config,
    problems: Sequence[Problem],
    tau: float,
    engine: Engine,
    protocol: DecisionProtocol,
    rewards: Sequence[Reward] = (),
) -> dict[str, Rollout]:
    """Greedy answers under the dial, by problem id: think iff P(think) is at least `tau`."""
    chances = p_think(config, problems, engine, protocol)
    found: dict[str, Rollout] = {}
    for mode in MODES:
        mine = [p for p in problems if (chances[p.id] >= tau) == (mode == "think")]
        for groups in answer(config, mine, (mode,), engine, protocol, rewards):
            found |= {group.problem.id: group.rollouts[0] for group in groups}
    return found


def check_enough(problems: int) -> None:
    """Raises `UserError` for fewer problems than a threshold can be picked on and tried on."""
    if problems < FEWEST:
        raise UserError(
            f"--target has {problems} problems to pick a threshold on and to try it on; allowed: {FEWEST} or more "
            "(evaluation.problems)"
        )


def pick_threshold(rows: Sequence[Mapping[str, Any]], target: str) -> dict[str, Any]:
    """What `dial.json` holds: the threshold that meets the target best on one half of the problems, and what it gives
    on the other, with intervals, with always thinking beside it and with the share of the oracle's saving (None where
    it saves nothing). Raises `UserError`."""
    check_enough(len(rows))
    fitted, held_out = halves(rows)
    chosen = pick(fitted, parse_target(target))
    points = [{"tau": tau, "think_rate": _rate(held_out, tau)} for tau in (chosen["tau"], ALWAYS)]
    at, always = with_intervals(held_out, points)
    oracle = routed(held_out, oracle_routes(held_out))["mean_tokens"]
    possible = always["tokens"][0] - oracle
    saving = (always["tokens"][0] - at["tokens"][0]) / possible if possible > 0 else None
    return {
        "schema": SCHEMA,
        "tau": chosen["tau"],
        "target": target,
        "picked_on": {**chosen, "n": len(fitted)},
        "held_out": {**at, "n": len(held_out), "always_think": always, "saving": saving},
    }


def load_dial(model: str | Path) -> float | None:
    """The threshold beside a model; None without. Raises `UserError` on a file that is none."""
    file = Path(model) / FILE
    if not file.exists():
        return None
    tau = read_object(file, ("tau",), "what evaluate.py --target writes, or that file moved away")["tau"]
    return check_threshold(None if isinstance(tau, bool) else tau, f"tau in {file}")


def _rate(rows: Sequence[Mapping[str, Any]], tau: float) -> float:
    return sum(row["p_think"] >= tau for row in rows) / len(rows)
