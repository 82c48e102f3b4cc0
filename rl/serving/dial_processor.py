"""Who thinks, at a vLLM server: a threshold on P(think), or a stated mode, at the one place where the model decides.

    PYTHONPATH=MODEL vllm serve MODEL --logits-processors dial_processor:Dial

`decision.json` beside this file says where the decision stands, `dial.json` (if there) the threshold for all requests.
A request may bring its own: `vllm_xargs: {"dial": 0.3}`, from 0 (always think) to 1.1 (never), "off" for the model's
own choice, or `{"mode": "think"}` / `{"mode": "no_think"}`. It thinks iff P(think) is at least the threshold, whatever
the temperature. Every other place is left as it is: a prompt that does not end at the decision, and all tokens behind.

One class for both of vLLM's interfaces, that of its first and that of its second model runner. It needs vLLM alone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor as FirstInterface
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

try:
    from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor as SecondInterface
except ImportError:  # a vLLM of before the second model runner

    class SecondInterface:  # type: ignore[no-redef]
        """Stands in for what is not there."""


HERE = Path(__file__).parent
THRESHOLDS = {"think": 0.0, "no_think": 1.1}
LARGEST = 1.1


def threshold(extra: dict[str, Any] | None, default: float | None) -> float | None:
    """What a request asks for; None for the model's own choice. Raises `ValueError`."""
    extra = extra or {}
    mode, dial = extra.get("mode"), extra.get("dial", default)
    if mode is not None:
        if mode not in THRESHOLDS:
            raise ValueError(f"vllm_xargs.mode is {mode!r}; allowed: think, no_think")
        return THRESHOLDS[mode]
    if dial in (None, "off"):
        return None
    try:
        tau = float(dial)
    except (TypeError, ValueError):
        tau = -1.0
    if not 0 <= tau <= LARGEST:
        raise ValueError(f"vllm_xargs.dial is {dial!r}; allowed: 0 (always think) to {LARGEST} (never), or 'off'")
    return tau


class Decision:
    """Where the decision stands and what is written around it, as `decision.json` says."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.ends: list[int] = found["prompt_ends"]
        self.stated: list[list[int]] = found["stated"]
        self.judge_close, self.patience = found["judge_close"], found["patience"]
        self.written: list[int] = found["decision"]
        self.switch, self.after = found["switch"], found["after"]
        self.waiting, self.first = found["banned_waiting"], found["banned_first"]

    def is_asked(self, prompt: list[int]) -> bool:
        """Whether the prompt ends where the model decides."""
        return _ends(prompt, self.ends) and not any(_ends(prompt, text) for text in self.stated)

    def steer(self, logits: Any, ids: list[int], tau: float) -> bool:
        """Change the logits (vocabulary,) of the token after `ids`, the response so far; False once all is decided."""
        rest = ids
        if self.judge_close is not None:
            if self.judge_close not in ids:
                if len(ids) >= self.patience:
                    _only(logits, self.judge_close)
                else:
                    logits[self.waiting] = -math.inf
                return True
            rest = ids[ids.index(self.judge_close) + 1 :]
        behind = len(rest) - len(self.written)
        if behind < 0:
            _only(logits, self.written[len(rest)])
            return True
        if behind == 0:
            mode = "think" if self.p_think(logits) >= tau else "no_think"
            if self.switch[mode] is None:
                logits[self.first] = -math.inf
            else:
                _only(logits, self.switch[mode])
            return True
        mode = next((m for m, token in self.switch.items() if token == rest[len(self.written)]), "")
        after = self.after.get(mode) or []
        if behind > len(after):
            return False
        _only(logits, after[behind - 1])
        return True

    def p_think(self, logits: Any) -> float:
        """P(think) among the two modes, as evaluations measure it."""
        think, direct = self.switch["think"], self.switch["no_think"]
        if think is not None and direct is not None:
            return float((logits[think] - logits[direct]).double().sigmoid())
        lone = float(logits.double().softmax(-1)[direct if think is None else think])
        return 1 - lone if think is None else lone


def _ends(ids: list[int], text: list[int]) -> bool:
    return ids[len(ids) - len(text) :] == text


def _only(logits: Any, token: int) -> None:
    kept = logits[token].clone()
    logits.fill_(-math.inf)
    logits[token] = kept if math.isfinite(kept) else 0.0


def _beside(name: str) -> dict[str, Any]:
    file = HERE / name
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


class Dial(FirstInterface, SecondInterface):
    """The processor; see the module docstring."""

    default: float | None = _beside("dial.json").get("tau")

    def __init__(self, vllm_config: Any, *rest: Any) -> None:
        """`rest`: device and pinning (first interface), or the states of the requests (second)."""
        self.decision = Decision(_beside("decision.json"))
        self.states: Any = rest[0] if len(rest) == 1 else None
        self.rows: dict[int, Any] = {}  # first: row -> [threshold, response so far]; second: slot -> threshold

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise `ValueError` for a request that asks for what there is not."""
        threshold(sampling_params.extra_args, cls.default)

    def is_argmax_invariant(self) -> bool:
        """It changes which token is the likeliest."""
        return False

    # The first interface.

    def update_state(self, batch_update: Any) -> None:
        """Follow the rows of the batch."""
        process_dict_updates(self.rows, batch_update, self._row)

    def _row(self, params: Any, prompt: list[int] | None, response: list[int]) -> Any:
        tau = threshold(params.extra_args, self.default)
        return None if tau is None or not self.decision.is_asked(list(prompt or ())) else (tau, response)

    # The second interface.

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Begin a request in this slot; whether it has a threshold."""
        tau = threshold(sampling_params.extra_args, self.default)
        self.rows.pop(req_idx, None)
        if tau is not None:
            self.rows[req_idx] = tau
        return tau is not None

    def apply(self, logits: Any, ctx: Any = None) -> Any:
        """Steer the rows whose decision stands ahead. `logits`: (rows, vocabulary)."""
        if ctx is None:
            for row, (tau, response) in list(self.rows.items()):
                if not self.decision.steer(logits[row], list(response), tau):
                    del self.rows[row]
            return logits
        for row, slot in enumerate(ctx.expanded_idx_mapping.tolist() if self.rows else ()):
            if slot in self.rows:
                self._steer_slot(logits[row], slot, int(ctx.pos[row]) + 1)
        return logits

    def _steer_slot(self, logits: Any, slot: int, length: int) -> None:
        prompt = int(self.states.prompt_len.np[slot])
        ids = self.states.all_token_ids.gpu[slot, :length].tolist()
        asked = self.decision.is_asked(ids[:prompt])
        if not asked or not self.decision.steer(logits, ids[prompt:], self.rows[slot]):
            del self.rows[slot]
