"""The two files beside an exported model, by themselves: the parser in every family, the dial in both interfaces."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from factories import make_protocol
from families import SHIPPED, STAND_INS
from family_table import family_protocol
from small_runs import ROOT

from rl.serving.decision import decision_table
from rl.statistics.dial import ALWAYS, NEVER
from rollout.types import MODES

REFUSED = {"Granite 3.3", "LFM2.5", "gpt-oss", "Muse Glimmer"}
FAMILIES = sorted({*SHIPPED, *STAND_INS} - REFUSED)


def spelled(protocol, *parts):
    """A response as text, without its end of turn."""
    return protocol.decode(protocol.response(*parts)[: -len(protocol.end_turn)])


def beside(name, protocol, folder, **dial):
    """A file of an export as a module, beside the decision of this protocol."""
    (folder / "decision.json").write_text(json.dumps(decision_table(protocol)))
    if dial:
        (folder / "dial.json").write_text(json.dumps(dial))
    file = folder / f"{name}.py"
    file.write_text((ROOT / "rl/serving" / file.name).read_text())
    spec = importlib.util.spec_from_file_location(f"{name}_{folder.name}", file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parser_takes_a_response_of_every_family_apart(family, tmp_path):
    protocol = family_protocol(family)
    split = beside("step_srpo_parser", protocol, tmp_path).split
    for mode in MODES:
        thought = "Three and four." if mode == "think" else ""
        text = spelled(protocol, mode, "It is 7.", thought)
        assert tuple(part.strip() for part in split(text)) == (thought, "It is 7.")
        if mode != protocol.other and not protocol.spec.judge_close:
            behind = text.removeprefix(protocol.spec.decision + protocol.spec.switch(mode) + protocol.spec.after(mode))
            assert tuple(part.strip() for part in split(behind, mode)) == (thought, "It is 7.")
        # Streamed: what has been shown is never taken back.
        parts = [split(text[:end]) for end in range(len(text) + 1)]
        if "<" not in text.replace(protocol.spec.think_close, "") or protocol.spec.judge_close == "":
            assert parts[-1][1].strip() == "It is 7."


def test_a_judge_text_belongs_to_the_reasoning(tmp_path):
    protocol = family_protocol("KAT-V1")
    split = beside("step_srpo_parser", protocol, tmp_path).split
    for mode, thought in (("think", "Three and four."), ("no_think", "")):
        whole, answer = split(spelled(protocol, mode, "It is 7.", thought, "Easy?"))
        assert (whole.split(), answer.strip()) == (["Easy?", *thought.split()], "It is 7.")
    assert split("Easy?") == ("Easy?", "")


def logits_of(count, **values):
    found = torch.zeros(1, count)
    for token, value in values.items():
        found[0, int(token[1:])] = value
    return found


@pytest.mark.parametrize("name", ["qwen3", "one_token", "kat"])
@pytest.mark.parametrize("tau", [ALWAYS, 0.3, 0.6, NEVER])
def test_both_interfaces_write_what_a_forced_row_writes(name, tau, tmp_path):
    protocol = make_protocol(name, judge_patience=2)
    module = beside("dial_processor", protocol, tmp_path)
    prompt, size = list(protocol.render("7")), len(protocol.tokenizer)
    other = size - 1  # the likeliest token where nothing is decided
    think, direct = (protocol.switch_ids[mode] for mode in ("think", "no_think"))
    # P(think) = 1 / (1 + 1) at every place.
    mode = "think" if tau <= 0.5 else "no_think"
    expected = [*protocol.forcing(mode).write]
    if name == "kat":
        expected = [other, other, protocol.forcing(mode).after, *expected]
    params = SimpleNamespace(extra_args={"dial": tau})
    for interface in ("first", "second"):
        written = []
        if interface == "first":
            dial = module.Dial(None, torch.device("cpu"), False)
            update = SimpleNamespace(removed=(), moved=(), added=[(0, params, prompt, written)])
            dial.update_state(update)
        else:
            table = torch.zeros(4, 64, dtype=torch.long)
            states = SimpleNamespace(
                prompt_len=SimpleNamespace(np=np.full(4, len(prompt))), all_token_ids=SimpleNamespace(gpu=table)
            )
            dial = module.Dial(None, states)
            assert dial.add_request(2, params)
        for _ in range(len(expected) + 2):
            logits = logits_of(size, **{f"t{think}": 1.0, f"t{direct}": 1.0, f"t{other}": 2.0})
            if interface == "first":
                dial.apply(logits)
            else:
                ids = torch.tensor([*prompt, *written])
                table[2, : len(ids)] = ids
                rows = SimpleNamespace(expanded_idx_mapping=torch.tensor([2]), pos=torch.tensor([len(ids) - 1]))
                dial.apply(logits, rows)
            written.append(int(logits[0].argmax()))
        assert written == [*expected, other, other]
        assert not dial.rows


def test_a_prompt_that_states_its_mode_and_a_request_without_a_dial_are_left_alone(tmp_path):
    protocol = make_protocol("qwen3")
    module = beside("dial_processor", protocol, tmp_path)
    prompt = list(protocol.render("7"))
    stated = [*prompt, *protocol.forcing("no_think").write]
    for ids, extra in ((stated, {"dial": 0.0}), (prompt, None), (prompt, {"dial": "off"})):
        dial = module.Dial(None, torch.device("cpu"), False)
        row = (0, SimpleNamespace(extra_args=extra), ids, [])
        dial.update_state(SimpleNamespace(removed=(), moved=(), added=[row]))
        logits = torch.randn(1, len(protocol.tokenizer), generator=torch.Generator().manual_seed(0))
        assert torch.equal(dial.apply(logits.clone()), logits)


def test_a_mode_without_a_token_is_any_other_token_and_no_end(tmp_path):
    protocol = family_protocol("DeepSeek-R1 distills")
    module = beside("dial_processor", protocol, tmp_path, tau=0.25)
    assert module.Dial.default == 0.25
    prompt = list(protocol.render("7"))
    direct = protocol.switch_ids["no_think"]
    for extra, chosen in ((None, 9), ({"mode": "think"}, 9), ({"mode": "no_think"}, direct), ({"dial": 0.7}, direct)):
        dial = module.Dial(None, torch.device("cpu"), False)
        row = (0, SimpleNamespace(extra_args=extra), prompt, [])
        dial.update_state(SimpleNamespace(removed=(), moved=(), added=[row]))
        logits = torch.full((1, len(protocol.tokenizer)), -50.0)
        logits[0, direct], logits[0, 9], logits[0, protocol.eos_id] = math.log(0.6), math.log(0.1), math.log(0.3)
        dial.apply(logits)  # P(think) is 0.4
        assert int(logits[0].argmax()) == chosen


@pytest.mark.parametrize("extra", [{"dial": -0.1}, {"dial": 1.2}, {"dial": "much"}, {"dial": [1]}, {"mode": "auto"}])
def test_a_request_for_what_there_is_not_is_refused(extra, tmp_path):
    module = beside("dial_processor", make_protocol("qwen3"), tmp_path)
    with pytest.raises(ValueError, match="allowed"):
        module.Dial.validate_params(SimpleNamespace(extra_args=extra))


def test_the_files_import_nothing_of_ours():
    for name in ("dial_processor", "step_srpo_parser"):
        text = (ROOT / "rl/serving" / f"{name}.py").read_text()
        assert not [line for line in text.splitlines() if line.startswith(("from rl", "from rollout", "import rl"))]
