"""The model that a run began with, before anything of this project touched it: the first row of every table.

Where its decision tokens are its own, that is the evaluation of any model (rl/evaluation/evaluate.py). A model that a
cold start has yet to give its decision tokens (`protocol.add_tokens`) has no modes. It is asked plainly: its own chat
template, without tags, system text or switch. What it answers is one setting, auto, under the cap of all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tqdm import tqdm
from transformers import GenerationConfig

from rewards.registry import Reward
from rl.config.schema import Config, ConfigError
from rl.data.embedded import is_tiny
from rl.evaluation.answer import greedy
from rl.evaluation.others import settings_result, split_thought, text_rollout
from rl.models.loading import add_tokens, load_model, load_tokenizer
from rl.models.protocols import generation_ends
from rollout.chat import Chat, end_tokens, user
from rollout.layouts import layout
from rollout.prompts import Prompts
from rollout.types import Problem, Rollout


def has_untouched(config: Config) -> bool:
    """Whether there is one: an embedded model has learned nothing before its cold start."""
    return not is_tiny(config.model.path)


def needs_tokens(config: Config) -> bool:
    """Whether the model lacks decision tokens that its cold start adds. Raises `ConfigError` where there is no such
    model."""
    if not has_untouched(config):
        raise ConfigError(f"model.path is {config.model.path!r}, which has learned nothing; allowed: a trained model")
    return config.protocol.add_tokens and bool(add_tokens(config, load_tokenizer(config)))


def evaluate_plainly(config: Config, problems: Sequence[Problem], rewards: Sequence[Reward]) -> dict[str, Any]:
    """Greedy answers of the configured model as it is."""
    answers = {(rollout.problem.id, "auto"): [rollout] for rollout in _answered(config, problems)}
    return settings_result(config, problems, answers, rewards)


@torch.inference_mode()
def _answered(config: Config, problems: Sequence[Problem]) -> Iterator[Rollout]:
    tokenizer = load_tokenizer(config)
    model: Any = load_model(config, tokenizer)
    chat = Chat(tokenizer, config.protocol.template_kwargs)
    ends, pad = end_tokens(chat, generation_ends(tokenizer))[1], int(tokenizer.pad_token_id)
    cap = greedy(config).max_new_tokens
    settings = GenerationConfig(do_sample=False, max_new_tokens=cap, eos_token_id=list(ends), pad_token_id=pad)
    size = config.evaluation.batch
    with tqdm(total=len(problems), desc="untouched", unit="problem", dynamic_ncols=True) as progress:
        for start in range(0, len(problems), size):
            batch = problems[start : start + size]
            prompts = [_prompt_ids(chat, problem) for problem in batch]
            longest = max(map(len, prompts))
            ids = torch.tensor([[pad] * (longest - len(one)) + list(one) for one in prompts], device=model.device)
            mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=model.device)
            written = model.generate(ids, attention_mask=mask, generation_config=settings)[:, longest:].tolist()
            for problem, prompt, row in zip(batch, prompts, written, strict=True):
                end = next((place for place, token in enumerate(row) if token in ends), None)
                yield _read(problem, chat.decode(row[:end]), len(prompt), row, end)
            progress.update(len(batch))


def _read(problem: Problem, text: str, prompt_tokens: int, row: Sequence[int], end: int | None) -> Rollout:
    """`end`: where the first end token is; None where the cap cut the answer."""
    thought, answer = split_thought(text)
    return text_rollout(
        problem,
        "think" if thought.strip() else "no_think",
        thought,
        answer,
        tokens=len(row) if end is None else end + 1,
        prompt_tokens=prompt_tokens,
        truncated=end is None,
    )


def _prompt_ids(chat: Chat, problem: Problem) -> tuple[int, ...]:
    """The ids of a problem as the model's own template asks it; as it is where there is no template."""
    if chat.tokenizer.chat_template is None:
        return tuple(chat.tokenizer(problem.prompt, add_special_tokens=True)["input_ids"])
    plain = Prompts(chat, layout("one_token"), system=None, tags={})
    return plain.ids(chat.render([*problem.messages[:-1], user(problem.prompt)]))
