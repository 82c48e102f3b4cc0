"""One round ahead (`rollout.ahead: 1`): each round is drawn from the weights before the last round's updates.

    first round    drawn from the starting policy
    round r        drawn from the policy before the updates of round r − 1, while round r − 1 trains

The loss corrects by π_old / μ, μ being the log-probabilities that were recorded at drawing (rl/training/loss.py).
Rewards, history, margin and advantages are those of the round's own turn. The forced share is that of its step; where
it follows tokens or the guard, it follows what was observed when the round was begun.

An engine that is a copy decodes beside the training, in the care of a thread. `hf` decodes with the policy itself, so
here it decodes first and trains then: the same learning, and no time saved. At a checkpoint the round in flight is
awaited and stored, so that a run that goes on trains on it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelerate.utils import gather_object

from rewards.early import EarlyScores
from rl.config.schema import Config
from rl.models.engines import engine_name
from rollout.collect import Place, collect
from rollout.engines.base import Engine, Sampling
from rollout.modes import Plan
from rollout.protocol import DecisionProtocol
from rollout.types import Mode, Problem, Rollout, RolloutGroup, group_rollouts, rollout_from_json, rollout_to_json

if TYPE_CHECKING:
    from rl.training.round import RoundMaker


@dataclass(frozen=True)
class Order:
    """What the engine is asked for the round that begins at optimizer step `step`, on this rank."""

    step: int
    problems: Sequence[Problem]
    plan: Plan
    sampling: Sampling
    seed: int
    forced_share: float
    stated: Sequence[Mode | None] = ()

    def collect(
        self,
        engine: Engine,
        protocol: DecisionProtocol,
        early: EarlyScores,
        groups: Sequence[int] | None = None,
        after: int = 0,
    ) -> list[RolloutGroup]:
        """The groups; rewards begin as rollouts end. `groups`: which groups of the round these are, where they are not
        all; `after`: how many rollouts each has before these."""

        def begin(place: Place, rollout: Rollout) -> None:
            early.begin((place[0] if groups is None else groups[place[0]], place[1] + after), rollout)

        return collect(
            self.problems, self.plan, engine, protocol, self.sampling, self.seed, self.stated, finished=begin
        )


@dataclass
class Drawn:
    """A round as it was decoded; `version` is the optimizer step whose weights drew it."""

    groups: list[RolloutGroup]
    forced_share: float
    version: int
    early: EarlyScores


class Flight:
    """A round that is being drawn; with `beside` in a thread, else at once."""

    def __init__(self, work: Callable[[], Drawn], beside: bool) -> None:
        self._drawn: Drawn | None = None
        self._error: BaseException | None = None
        # A daemon: a run that ends with an error does not wait for it.
        self._thread = threading.Thread(target=self._run, args=(work,), name="round ahead", daemon=True)
        if beside:
            self._thread.start()
        else:
            self._drawn = work()

    def _run(self, work: Callable[[], Drawn]) -> None:
        try:
            self._drawn = work()
        except BaseException as error:
            self._error = error

    def wait(self) -> Drawn:
        """The round, once it is there. Raises what its drawing raised."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._drawn is not None
        return self._drawn


class Ahead:
    """Draws the rounds of `rounds` one ahead."""

    def __init__(self, rounds: RoundMaker) -> None:
        self.rounds = rounds
        # The thread's own, since tokenizers are not made for two threads.
        self.protocol = copy.deepcopy(rounds.protocol) if rounds.engine.apart else rounds.protocol
        self.flight: Flight | None = None
        self._stored: dict[str, Any] = {}

    def next(self, trainer: Any, names: Sequence[str]) -> Drawn:
        """The round of these problem ids; the one after it is in flight then. Raises what its drawing raised."""
        step = trainer.state.global_step
        if self._stored:
            drawn = self._take_stored(names)
        else:
            flight = self.flight or self._begin(trainer, self.rounds.order(trainer, step, names))
            drawn = flight.wait()
        found = [group.problem.id for group in drawn.groups]
        if found != list(names):
            raise RuntimeError(f"the round in flight has the problems {found}, the data loader gives {list(names)}")
        following = self._following(trainer, step)
        self.flight = self._begin(trainer, following) if following else None
        return drawn

    def _following(self, trainer: Any, step: int) -> Order | None:
        """What is asked for the round after that of `step`; None after the last one."""
        settings, accelerator = self.rounds.config.trainer, trainer.accelerator
        number = step // settings.iterations + 1
        if number * settings.iterations >= settings.steps:
            return None
        block = self.rounds.state.order.block(number)
        share = len(block) // accelerator.num_processes
        mine = block[accelerator.process_index * share :][:share]
        return self.rounds.order(trainer, number * settings.iterations, mine)

    def _begin(self, trainer: Any, order: Order) -> Flight:
        version, early = trainer.state.global_step, EarlyScores(self.rounds.rewards)

        def draw(engine: Engine) -> Drawn:
            return Drawn(order.collect(engine, self.protocol, early), order.forced_share, version, early)

        if self.rounds.engine.apart:
            engine = self.rounds.engine.synced(trainer)
            return Flight(lambda: draw(engine), beside=True)
        with self.rounds.engine.open(trainer) as engine:
            return Flight(lambda: draw(engine), beside=False)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that `load_state_dict` takes back, once the round in flight is there; empty without one. Every
        rank must call it."""
        if self.flight is None:
            return {}
        drawn = self.flight.wait()
        rollouts = [rollout_to_json(r) for group in gather_object(drawn.groups) for r in group.rollouts]
        return {"version": drawn.version, "forced_share": drawn.forced_share, "rollouts": rollouts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Train on this round next."""
        self._stored = dict(state)

    def _take_stored(self, names: Sequence[str]) -> Drawn:
        """This rank's part of the round of a checkpoint, however many ranks drew it."""
        state, self._stored = self._stored, {}
        groups = {g.problem.id: g for g in group_rollouts([rollout_from_json(r) for r in state["rollouts"]])}
        mine = [groups[name] for name in names if name in groups]
        return Drawn(mine, state["forced_share"], state["version"], EarlyScores(self.rounds.rewards))


def ahead_lines(config: Config) -> list[str]:
    """What is told of `rollout.ahead` before a run."""
    if not config.rollout.ahead:
        return []
    if engine_name(config) == "hf":
        return [
            "rollout.ahead: each round is drawn before the last update; the engine hf is the policy itself, so nothing "
            "overlaps (rollout.engine: hf_process decodes beside the update)"
        ]
    return ["rollout.ahead: each round is drawn while the one before it trains, from the weights before that update"]
