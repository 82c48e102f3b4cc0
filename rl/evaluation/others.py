"""Models that are not ours to decode: an OpenAI-compatible server (rl/evaluation/served.py), or records that another
framework wrote.

Both give texts and token counts instead of ids, so tokens are not split into parts, and without P(think) there is no
dial. A mode is what was seen: a response with a thought is think, whatever was asked for. A record without a mode or a
token count, or one that contradicts itself, is refused and counted, never guessed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import regex  # its searches can be given a time limit, those of re cannot

from rewards.registry import Reward
from rewards.score import check_broken, score_groups
from rl.config.schema import Config, ConfigError
from rl.data.records import shown
from rl.evaluation.outcomes import MODE_PLAN, Outcome, summarize
from rl.files.json_lines import json_lines
from rollout.types import Mode, Problem, Rollout, RolloutGroup, Status

RESPONSES = ("response", "output", "completion", "generation", "text")
LONGEST_TEXT = 200_000
MOST_TOKENS = 10_000_000  # of one response
LONGEST_SEARCH_S = 2.0
NO_MODE = "no mode (its field mode: think or no_think, or --mode-from REGEX)"
Pattern: TypeAlias = "regex.Pattern[str]"
Answers = Mapping[tuple[str, str], Sequence[Rollout]]


def evaluate_records(
    config: Config,
    problems: Sequence[Problem],
    rows: Iterable[Mapping[str, Any]],
    rewards: Sequence[Reward],
    *,
    mode_from: str = "",
    tokens_from: str = "tokens",
) -> dict[str, Any]:
    """The evaluation of responses on record: `id` or `prompt` of a test problem, the response, its tokens in the field
    `tokens_from`, and `setting` (think, no_think, auto; default auto). The mode is the field `mode`, or what the
    regular expression `mode_from` finds in the response: its group `think` or `no_think` where it has them, else a
    match is think and none is no_think. Raises `ConfigError` for an expression that is none and where no record is
    left."""
    pattern = _pattern(mode_from)
    by_id, by_prompt = ({getattr(problem, key): problem for problem in problems} for key in ("id", "prompt"))
    answers: dict[tuple[str, str], list[Rollout]] = {}
    refused: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for row in rows:
        seen[json.dumps(row, sort_keys=True)] += 1
        problem = by_id.get(str(row["id"])) if "id" in row else None
        problem = problem or by_prompt.get(str(row.get("prompt")))
        reason, rollout = _recorded(row, problem, pattern, tokens_from)
        if rollout is None or problem is None:
            refused[reason] += 1
        else:
            answers.setdefault((problem.id, str(row.get("setting", "auto"))), []).append(rollout)
    if not answers:
        told = ", ".join(f"{n} × {why}" for why, n in refused.most_common())
        raise ConfigError(f"no record to evaluate: {told or 'there is none'}")
    result = settings_result(config, problems, answers, rewards, refused)
    return {**result, "repeated": seen.total() - len(seen)}


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file, a JSON object a line. Raises `UserError` with the line that is none."""
    return [row for _, row in json_lines(path) if row]


def split_thought(text: str) -> tuple[str, str]:
    """(thought, answer) of a response whose thought stands in its text. One that was never closed is all thought.

    >>> split_thought("<think>3+4</think>7"), split_thought("<think>3+")
    (('3+4', '7'), ('3+', ''))
    """
    written = text.lstrip()
    thought, closed, answer = written.removeprefix("<think>").partition("</think>")
    if closed:
        return thought, answer
    return (thought, "") if written.startswith("<think>") else ("", text)


def _recorded(
    row: Mapping[str, Any], problem: Problem | None, pattern: Pattern | None, tokens_from: str
) -> tuple[str, Rollout | None]:
    """A record as a rollout, or why not."""
    text = next((row[name] for name in RESPONSES if isinstance(row.get(name), str)), None)
    setting = str(row.get("setting", "auto"))
    if problem is None:
        return "no test problem with its id or prompt among those that are evaluated (evaluation.problems)", None
    if text is None:
        return f"no response (one of {', '.join(RESPONSES)})", None
    if setting not in MODE_PLAN:
        return f"a setting that is none of {', '.join(MODE_PLAN)}", None
    reason, tokens = _tokens_of(row, text, tokens_from)
    if reason:
        return reason, None
    mode = _mode_of(row, text[:LONGEST_TEXT], pattern)
    thought, answer = split_thought(text)
    if mode is None:
        return NO_MODE, None
    if mode == "no_think" and thought.strip():
        return "a thought in a response of mode no_think", None
    if isinstance(row.get("prompt"), str) and _words(problem.prompt) not in _words(row["prompt"]):
        return "a prompt that is not its problem's", None
    truncated = row.get("truncated", False)
    if not isinstance(truncated, bool):
        return "a truncated that is neither true nor false", None
    counts = {"tokens": tokens, "prompt_tokens": len(problem.prompt)}
    return "", text_rollout(problem, mode, thought, answer, forced=MODE_PLAN[setting], truncated=truncated, **counts)


def _words(text: str) -> str:
    return " ".join(text.split())


def _tokens_of(row: Mapping[str, Any], text: str, tokens_from: str) -> tuple[str, int]:
    """Why the record has no token count, or the count."""
    tokens: Any = row
    for part in tokens_from.split("."):
        tokens = tokens.get(part) if isinstance(tokens, Mapping) else None
    if not isinstance(tokens, int | float) or isinstance(tokens, bool) or not tokens >= 0:
        return f"no token count in {tokens_from!r} (--tokens-from FIELD)", 0
    if tokens <= MOST_TOKENS and tokens != int(tokens):
        return f"no whole number of tokens in {tokens_from!r}", 0
    if tokens > MOST_TOKENS:
        return f"more tokens in {tokens_from!r} than anybody writes", 0
    if text and int(tokens) == 0:
        return f"a response, and 0 tokens in {tokens_from!r}", 0
    return "", int(tokens)


def _mode_of(row: Mapping[str, Any], text: str, pattern: Pattern | None) -> Mode | None:
    if pattern is None:
        given = row.get("mode")
        return given if given in ("think", "no_think") else None
    try:
        found = pattern.search(text, timeout=LONGEST_SEARCH_S)
    except TimeoutError:
        raise ConfigError(
            f"--mode-from {pattern.pattern!r} searched a response of {len(text)} characters for more than "
            f"{LONGEST_SEARCH_S:g} s (the record of {shown(row.get('id') or row.get('prompt'))}); allowed: an "
            "expression without repetitions inside of repetitions"
        ) from None
    named = {name for name in ("think", "no_think") if name in pattern.groupindex}
    if not named:
        return "think" if found else "no_think"
    if found and "think" in named and found["think"] is not None:
        return "think"
    return "no_think" if found and "no_think" in named and found["no_think"] is not None else None


def text_rollout(
    problem: Problem,
    mode: Mode,
    thought: str,
    answer: str,
    *,
    tokens: int,
    prompt_tokens: int,
    forced: Mode | None = None,
    truncated: bool = False,
) -> Rollout:
    """Texts and counts as a rollout; its ids are placeholders, as many as there were tokens."""
    return Rollout(
        problem=problem,
        mode=mode,
        forced=forced,
        status=Status.TRUNCATED if truncated else Status.OK,
        prompt_ids=(0,) * prompt_tokens,
        completion_ids=(0,) * tokens,
        think_text=thought.strip(),
        answer_text=answer.strip(),
        truncated=truncated,
    )


def settings_result(
    config: Config,
    problems: Sequence[Problem],
    answers: Answers,
    rewards: Sequence[Reward],
    refused: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The tables of answers by (problem id, setting): the whole evaluation over the problems with all settings, and
    what there is of each setting. Answers that a reward broke on are left out; one that was asked for in a mode and
    given in the other says nothing about either, and is counted in `disobeyed`. Raises `RewardError` as `reward_errors`
    says."""
    scored = _scored(config, problems, answers, [reward for reward in rewards if reward.step == "answer"])
    obeyed = {place: [r for r in found if r.forced in (None, r.mode)] for place, found in scored.items()}
    whole = [
        Outcome(problem, {setting: tuple(obeyed[problem.id, setting]) for setting in MODE_PLAN})
        for problem in problems
        if all(obeyed.get((problem.id, setting)) for setting in MODE_PLAN)
    ]
    result = _without_parts(summarize(whole, config.data.easy, config.data.hard)) if whole else {}
    lost = Counter(place[1] for place, found in scored.items() for r in found if r.forced not in (None, r.mode))
    told = {"disobeyed": dict(lost), "dial": {}, "refused": dict(refused or {})}
    return {**result, "settings": _settings(scored), **told}


def _scored(
    config: Config, problems: Sequence[Problem], answers: Answers, rewards: Sequence[Reward]
) -> dict[tuple[str, str], list[Rollout]]:
    by_id = {problem.id: problem for problem in problems}
    places = list(answers)
    groups = [RolloutGroup(by_id[problem], tuple(answers[problem, setting])) for problem, setting in places]
    scored = score_groups(groups, rewards, on_error=config.reward_errors.policy)
    check_broken(scored, config.reward_errors.max_share)
    return {place: [r for r in group.rollouts if not r.broken] for place, group in zip(places, scored, strict=True)}


def _settings(scored: Mapping[tuple[str, str], Sequence[Rollout]]) -> dict[str, Any]:
    """What there is of each setting, whether or not the others are there too."""
    table: dict[str, Any] = {}
    for setting in MODE_PLAN:
        rollouts = [r for (_, name), members in scored.items() if name == setting for r in members]
        if rollouts:
            table[setting] = {
                "n": len(rollouts),
                "accuracy": sum(r.scores["correct"] for r in rollouts) / len(rollouts),
                "mean_tokens": sum(len(r.completion_ids) for r in rollouts) / len(rollouts),
                "think_rate": sum(r.mode == "think" for r in rollouts) / len(rollouts),
            }
    return table


def _without_parts(table: Any) -> Any:
    """The tables without what only ids and probabilities can say: tokens by part, P(think)."""
    if isinstance(table, list):
        return [_without_parts(item) for item in table]
    if not isinstance(table, dict):
        return table
    kept = {key: value for key, value in table.items() if key not in ("think_probability", "p_think")}
    kept = {key: value for key, value in kept.items() if not (key == "tokens" and isinstance(value, dict))}
    return {key: _without_parts(value) for key, value in kept.items()}


def _pattern(text: str) -> Pattern | None:
    try:
        return regex.compile(text) if text else None
    except regex.error as error:
        raise ConfigError(f"--mode-from is {text!r}, which is no regular expression: {error}") from error
