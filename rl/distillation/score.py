"""The stage `score`: is a chain right, how verbose is it, how difficult?

Correctness is that of the run's own rewards where a problem has a gold answer or tests, else a judge's. Verbosity and
difficulty are the first judge's, 0 to 9, one call each; what has a score already is not judged again. A second judge
judges everything, and the two are compared. What cannot be read in a judge's reply is −1, and counted.

    judgements.jsonl   every reply of a judge, a row each: what is there is not paid again
    scored.jsonl       the chains with their scores and who gave them
    scores.json        counts, −1 among them, and the agreement of the judges
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rewards.registry import Reward, build_rewards
from rewards.score import score_groups
from rl.config.schema import Config, TeacherConfig
from rl.distillation.agreement import agreement
from rl.distillation.chains import UNKNOWN, Chain, score_in
from rl.distillation.generate import OWN, Asking, ask_missing, made_by
from rl.distillation.ledger import Ledger
from rl.distillation.prompts import judging
from rl.distillation.questions import load_questions
from rl.distillation.teachers import Ask, Said, find_teacher
from rl.evaluation.others import text_rollout
from rl.files.finished import Work, read_record
from rl.files.row_store import RowStore
from rollout.types import Problem, RolloutGroup

LEVELS = ("verbosity", "difficulty")
KEPT_REPLY = 400  # characters of a judge's reply, from its end
OWN_REWARDS = "rewards"


def problems_of(config: Config, chains: Sequence[Chain]) -> dict[str, Problem]:
    """By chain name the problem that its solution is judged by: of the run's questions by id and text, or the answer in
    the row itself; chains without either are left out."""
    known: dict[str, Problem] = {}
    if config.distill.questions or config.data.train:
        for question in load_questions(
            dataclasses.replace(config, distill=dataclasses.replace(config.distill, problems=0))
        ):
            known[question.problem.id] = known[question.problem.prompt] = question.problem
    found: dict[str, Problem] = {}
    for chain in chains:
        problem = known.get(chain.problem)
        if problem is None or problem.prompt != chain.question:
            problem = known.get(chain.question)
        if problem is None or not (problem.answer or problem.tests):
            problem = Problem(chain.problem, chain.question, answer=chain.answer) if chain.answer else None
        if problem:
            found[chain.name] = problem
    return found


def by_rewards(config: Config, chains: Sequence[Chain], problems: Mapping[str, Problem]) -> dict[str, int]:
    """Correctness by chain name, of the chains with a problem to judge by; a chain without a solution is wrong. A
    reward that broke on a chain (`reward_errors.policy: drop`) says −1."""
    if not config.rewards:
        return {}
    rewards = [one for one in build_rewards(config.rewards) if one.step == "answer" and one.correct]
    judged = [chain for chain in chains if chain.name in problems]
    scores = {chain.name: 0 for chain in judged if not chain.solution}
    solved = [chain for chain in judged if chain.solution]
    groups = [RolloutGroup(problems[chain.name], (_rollout(chain, problems[chain.name]),)) for chain in solved]
    for chain, group in zip(solved, _scored(config, groups, rewards), strict=True):
        (rollout,) = group.rollouts
        scores[chain.name] = UNKNOWN if rollout.broken else int(rollout.scores["correct"] >= 1)
    return scores


def _scored(config: Config, groups: Sequence[RolloutGroup], rewards: Sequence[Reward]) -> list[RolloutGroup]:
    return score_groups(groups, rewards, on_error=config.reward_errors.policy, step=0) if groups else []


def _rollout(chain: Chain, problem: Problem) -> Any:
    mode: Any = "think" if chain.thought else "no_think"
    return text_rollout(
        problem, mode, chain.thought, chain.solution, tokens=1, prompt_tokens=1, forced=None, truncated=False
    )


def judgement_store(config: Config, path: Path) -> RowStore:
    """The judges' replies, with what each judge was. Raises `UserError` for a judge that was changed under its name."""
    fresh = config.resume != "auto"
    old = {} if fresh else read_record(Work("rows", path, {}))
    judges: dict[str, Any] = {}
    for name in config.distill.judges:
        judges |= made_by(find_teacher(config, name))
    kept = {key: value for key, value in old.items() if key.startswith(OWN)}
    return RowStore(path, {"levels": "0 to 9"} | kept | judges, fresh=fresh)


def judge_chains(
    config: Config, chains: Sequence[Chain], store: RowStore, ledger: Ledger, unknown: Callable[[Chain], bool]
) -> None:
    """Ask the judges for what is missing. `unknown` says whether a chain's correctness is for a judge to say."""
    for place, name in enumerate(config.distill.judges):
        judge = find_teacher(config, name)
        asked = {
            judgement_id(name, aspect, chain): (chain, aspect) for chain, aspect in _wanted(chains, place, unknown)
        }
        _judge(config, judge, asked, store, ledger)


def _wanted(chains: Sequence[Chain], place: int, unknown: Callable[[Chain], bool]) -> list[tuple[Chain, str]]:
    wanted = []
    for chain in chains:
        levels = [aspect for aspect in LEVELS if place or getattr(chain, aspect) == UNKNOWN]
        wanted += [(chain, aspect) for aspect in levels if chain.thought]
        wanted += [(chain, "correctness")] if chain.solution and unknown(chain) else []
    return wanted


def _judge(
    config: Config, judge: TeacherConfig, asked: Mapping[str, tuple[Chain, str]], store: RowStore, ledger: Ledger
) -> None:
    asks = [
        Ask(name, judging(aspect, chain.question, chain.thought, chain.solution), thinks=False, greedy=True)
        for name, (chain, aspect) in asked.items()
    ]

    def row(ask: Ask, said: Said) -> dict[str, Any]:
        chain, aspect = asked[ask.id]
        score = judged_score(said.text, aspect)
        reply = said.text[-KEPT_REPLY:]
        who = {"judge": judge.name, "model": said.usage.get("model", "")}
        return {"id": ask.id, "chain": chain.name, "aspect": aspect, "score": score, **who, "reply": reply} | {
            "usage": dict(said.usage)
        }

    ask_missing(config, Asking(judge, asks, row), store, ledger)


def judged_score(text: str, aspect: str) -> int:
    """The score of a judge's reply, without its own thinking; correctness is 0 or 1.

    >>> judged_score("<think>maybe <score>3</score></think><score>1</score>", "correctness")
    1
    """
    score = score_in(text.rpartition("</think>")[2])
    return UNKNOWN if aspect == "correctness" and score > 1 else score


def judgement_id(judge: str, aspect: str, chain: Chain) -> str:
    """The row of one judgement, by what was judged: chains of two files may have one name."""
    judged = hashlib.sha256(f"{chain.question}\0{chain.response}".encode("utf-8", "replace")).hexdigest()
    return f"{judge}|{aspect}|{judged[:24]}"


def with_scores(
    config: Config, chains: Sequence[Chain], correct: Mapping[str, int], rows: Mapping[str, Mapping[str, Any]]
) -> list[Chain]:
    """The chains with what rewards and the first judge say; scores that a chain came with stay."""
    judge = config.distill.judges[0] if config.distill.judges else ""
    scored = []
    for chain in chains:
        scores: dict[str, Any] = {}
        judges = dict(chain.judges)
        for aspect in (*LEVELS, "correctness"):
            row = rows.get(judgement_id(judge, aspect, chain))
            if row is not None and getattr(chain, aspect) == UNKNOWN:
                scores[aspect] = row["score"]
                judges[aspect] = f"{row['judge']} ({row['model']})" if row.get("model") else row["judge"]
        if chain.name in correct and correct[chain.name] != UNKNOWN:
            scores["correctness"], judges["correctness"] = correct[chain.name], OWN_REWARDS
        scored.append(dataclasses.replace(chain, **scores, judges=judges))
    return scored


def summary(config: Config, chains: Sequence[Chain], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of each score, −1 among them, and what two judges agree on."""
    found: dict[str, Any] = {"chains": len(chains)}
    for aspect in ("correctness", *LEVELS):
        values = [getattr(chain, aspect) for chain in chains]
        found[aspect] = {str(value): values.count(value) for value in sorted(set(values))}
    if len(config.distill.judges) == 2:
        found["agreement"] = {aspect: _agreement(config, chains, rows, aspect) for aspect in LEVELS}
    return found


def _agreement(
    config: Config, chains: Sequence[Chain], rows: Mapping[str, Mapping[str, Any]], aspect: str
) -> dict[str, Any]:
    pairs = [
        (getattr(chain, aspect), rows[place]["score"])
        for chain in chains
        if (place := judgement_id(config.distill.judges[1], aspect, chain)) in rows
    ]
    return dataclasses.asdict(agreement([a for a, _ in pairs], [b for _, b in pairs]))


def summary_lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"chains: {found['chains']}"]
    for aspect in ("correctness", *LEVELS):
        counts = dict(found[aspect])
        unknown = counts.pop("-1", 0)
        told = ", ".join(f"{score}: {count}" for score, count in counts.items()) or "none"
        lines.append(f"{aspect}: {told}; unknown (-1): {unknown}")
    for aspect, one in found.get("agreement", {}).items():
        kappa = "none below 50 pairs or without variety" if one["kappa"] is None else f"{one['kappa']:.3f}"
        lines.append(f"agreement on {aspect}: κ {kappa} over {one['pairs']} pairs, {one['left_out']} left out")
    return lines
