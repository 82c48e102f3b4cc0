"""Step-SRPO in one file: a tiny model learns when to think. Read it from top to bottom; run it, it takes two minutes.

    python scripts/minimal.py

The world is a machine with eight states: one move is a table that the model knows by heart, several have to be written
out. A response is `<think> steps </think> answer` or `<no_think> answer`; its first token is the decision, the switch.
Each round: rollouts in both modes -> two rewards -> two advantages, each on its own tokens -> clipped policy gradient.
docs/algorithm.md explains every choice; the trainer in rl/training/ does the same on real models.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rl.worlds.model import build_small_tokenizer, model_of
from rl.worlds.worlds import CHAIN, WORLDS, Worked

PROMPTS, ROUNDS, ITERATIONS, LONGEST = 16, 40, 2, 20  # a round; in all; updates on a round; tokens of a response
FORCED = ("think",) * 3 + ("no_think",) * 3 + (None,) * 2  # the modes of each group; the last two choose freely
MARGIN, PRIOR, DECAY = 0.25, 0.5, 0.7  # of the judge reward: what thinking must gain; shrinkage; memory
JUDGE_WEIGHT, CLIP_LOW, CLIP_HIGH, FORMAT, LEARNING_RATE, MAX_NORM = 0.4, 0.2, 0.28, 0.2, 3e-4, 1.0

TOKENIZER: Any = build_small_tokenizer()
SWITCHES = {mode: TOKENIZER.convert_tokens_to_ids(f"<{mode}>") for mode in ("think", "no_think")}
MODES = {token: mode for mode, token in SWITCHES.items()}
CLOSE, EOS = TOKENIZER.convert_tokens_to_ids("</think>"), TOKENIZER.eos_token_id


@dataclass
class Rollout:
    """One response: its token ids, where the switch stands (None: nowhere), and what the answer earned."""

    prompt: list[int]
    response: list[int]
    switch: int | None
    mode: str | None
    forced: bool
    correct: float
    reward: float


# --- rollouts
def encode(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def render(problem: Any) -> list[int]:
    return encode(f"<bos> {problem.prompt} <judge>")


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows as one tensor, filled at the right, which a causal model does not see."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


@torch.no_grad()
def generate(model: Any, problems: Sequence[Any], forced: Sequence[str | None]) -> list[Rollout]:
    """One response to each problem; `forced` is the mode whose switch is written for it, None lets the model choose."""
    prompts, alive = [render(problem) for problem in problems], list(range(len(problems)))
    answers: list[list[int]] = [[SWITCHES[mode]] if mode else [] for mode in forced]
    while alive:
        rows = [prompts[k] + answers[k] for k in alive]
        logits = model(padded(rows)).logits[torch.arange(len(rows)), [len(row) - 1 for row in rows]]
        for k, token in zip(alive, torch.multinomial(logits.softmax(-1), 1)[:, 0].tolist(), strict=True):
            answers[k].append(token)
        alive = [k for k in alive if answers[k][-1] != EOS and len(answers[k]) < LONGEST]
    return [graded(*known) for known in zip(problems, answers, forced, strict=True)]


def graded(problem: Any, response: list[int], forced: str | None) -> Rollout:
    """A response read and judged: correctness, and the answer reward, which adds a little for being well-formed."""
    switch = next((place for place, token in enumerate(response) if token in MODES), None)
    mode = None if switch is None else MODES[response[switch]]
    body = response[len(response) if switch is None else switch + 1 :]
    end = body.index(CLOSE) + 1 if mode == "think" and CLOSE in body else 0
    answer, tags = body[end:], {*MODES, CLOSE} & {*body[: max(end - 1, 0)], *body[end:]}
    formed = mode is not None and (mode != "think" or end > 0) and answer[-1:] == [EOS] and len(answer) > 1 and not tags
    correct = float(formed and answer[:-1] == encode(problem.answer))
    return Rollout(render(problem), response, switch, mode, forced is not None, correct, correct + FORMAT * formed)


# --- two rewards and two advantages
def judge_rewards(group: Sequence[Rollout], seen: dict[str, list[float]]) -> list[float]:
    """1 for the mode that was right for this problem, else 0: thinking where its pass rate is higher by more than the
    margin. `seen` are decayed (successes, trials) of earlier visits by mode, which this visit is added to."""
    counts = {}
    for mode in SWITCHES:
        mine = [r.correct for r in group if r.mode == mode]
        past = seen.get(mode, [0.0, 0.0])
        counts[mode] = [past[0] + sum(mine), past[1] + len(mine)]
        seen[mode] = [DECAY * past[0] + sum(mine), DECAY * past[1] + len(mine)]
    centre = sum(wins for wins, _ in counts.values()) / max(sum(trials for _, trials in counts.values()), 1)
    rates = {mode: (wins + PRIOR * centre) / (trials + PRIOR) for mode, (wins, trials) in counts.items()}
    if not any(rates.values()) or not all(trials for _, trials in counts.values()):
        return [0.0] * len(group)  # nothing is known
    right = "think" if rates["think"] - rates["no_think"] > MARGIN + 1e-9 else "no_think"
    return [float(r.mode == right) for r in group]


def advantages(group: Sequence[Rollout], judged: Sequence[float]) -> list[tuple[float, float]]:
    """(A_judge, A_answer) of each rollout: the judge reward as it is, −1 without a switch; r minus its mode's mean."""
    by_mode = {mode: [r.reward for r in group if r.mode == mode] for mode in (*SWITCHES, None)}
    means = {mode: sum(rewards) / max(len(rewards), 1) for mode, rewards in by_mode.items()}
    return [(q, r.reward - means[r.mode]) if r.mode else (-1.0, 0.0) for r, q in zip(group, judged, strict=True)]


# --- the loss and the update
def log_probs(model: Any, rollouts: Sequence[Rollout]) -> list[Tensor]:
    """The log-probability of each response token, one tensor a rollout."""
    ids = padded([r.prompt + r.response for r in rollouts])
    table = model(ids).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return [row[len(r.prompt) - 1 :][: len(r.response)] for row, r in zip(table, rollouts, strict=True)]


def clipped(ratio: Tensor, advantage: float) -> Tensor:
    """PPO's term of each token: nothing is gained by moving further than the clip."""
    return torch.min(ratio * advantage, ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH) * advantage)


def loss(new: Sequence[Tensor], old: Sequence[Tensor], rollouts: Sequence[Rollout], both: Sequence[tuple]) -> Tensor:
    """−w_J (1/n) Σ judge tokens − (1/N_A) Σ answer tokens. In a forced rollout the judge part is the switch alone."""
    judge, answer, answer_tokens = torch.zeros(()), torch.zeros(()), 0
    for mine, before, rollout, (a_judge, a_answer) in zip(new, old, rollouts, both, strict=True):
        ratio = (mine - before).exp()
        end = len(rollout.response) if rollout.switch is None else rollout.switch + 1
        start = end - 1 if rollout.forced else 0
        judge = judge + clipped(ratio[start:end], a_judge).sum()
        answer = answer + clipped(ratio[end:], a_answer).sum()
        answer_tokens += len(rollout.response) - end
    return -JUDGE_WEIGHT * judge / len(rollouts) - answer / max(answer_tokens, 1)


def update(model: Any, optimizer: Any, groups: Sequence[Sequence[Rollout]], seen: Sequence[dict]) -> None:
    """The optimizer steps of one round; `seen` is what earlier visits to each group's problem showed."""
    rollouts = [r for group in groups for r in group]
    both = [a for g, known in zip(groups, seen, strict=True) for a in advantages(g, judge_rewards(g, known))]
    old: list[Tensor] = []
    for _ in range(ITERATIONS):
        new = log_probs(model, rollouts)
        old = old or [values.detach() for values in new]
        optimizer.zero_grad()
        loss(new, old, rollouts, both).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()


# --- a start that knows both modes, and the whole
def cold_start(model: Any, problems: Sequence[Worked], rng: random.Random, steps: int = 300) -> None:
    """Fine-tune on both responses to each problem, so that the choice between them is left open."""
    optimizer = torch.optim.AdamW(model.parameters(), 6e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 20, 1 - step / steps))
    for _ in range(steps):
        rows = []
        for worked in rng.sample(problems, 64):
            for text in (f"<think> {worked.thinking} </think>", "<no_think>"):
                rows.append(graded(worked.problem, encode(f"{text} {worked.problem.answer} <eos>"), None))
        optimizer.zero_grad()
        (-torch.cat(log_probs(model, rows)).mean()).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def p_think(model: Any, problems: Sequence[Worked]) -> dict[str, float]:
    """The mean probability of thinking at the decision, by level."""
    shares: dict[str, list[float]] = {}
    for worked in problems:
        logits = model(torch.tensor([render(worked.problem)])).logits[0, -1, list(SWITCHES.values())]
        shares.setdefault(worked.problem.difficulty or "", []).append(logits.softmax(-1)[0].item())
    return {level: sum(values) / len(values) for level, values in sorted(shares.items())}


def main(seed: int = 0) -> None:
    """Train, and tell the probability of thinking by level."""
    rng, model = random.Random(seed), model_of("tiny:64x2", TOKENIZER, seed)
    test = list(WORLDS["chain"].draw(200, 1, CHAIN, frozenset()))
    train = list(WORLDS["chain"].draw(5000, 2 + seed, CHAIN, frozenset(w.problem.prompt for w in test)))
    cold_start(model, train, rng)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.0)
    seen: dict[str, dict[str, list[float]]] = {}
    for number in range(ROUNDS + 1):
        if number % 5 == 0:
            levels = "  ".join(f"{level} moves {share:4.0%}" for level, share in p_think(model, test).items())
            print(f"round {number:3}  P(think): {levels}", flush=True)
        problems = [worked.problem for worked in rng.sample(train, PROMPTS)]
        made = generate(model, [p for p in problems for _ in FORCED], FORCED * PROMPTS)
        groups = [made[k : k + len(FORCED)] for k in range(0, len(made), len(FORCED))]
        update(model, optimizer, groups, [seen.setdefault(p.id, {}) for p in problems])


if __name__ == "__main__":
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    main()
