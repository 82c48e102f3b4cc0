"""What was selected is what both gears of the cold start learn, in Qwen3's layout too, to its first steps."""

from __future__ import annotations

import dataclasses
import json

import pytest
from real_templates import save_real
from small_runs import small_config

from rl.cold_start.examples import example_row, labelled_pair, labelled_rows, worked_pairs
from rl.cold_start.gears import chosen_examples, cold_start
from rl.distillation.chains import Chain, tagged
from rl.distillation.examples import labelled_rows_of
from rl.files.outputs import rows_text
from rl.models.open import open_policy

CHAINS = [
    Chain("a", "a#0", "3+4?", tagged("3 and 4 are 7", "It is 7"), correctness=1, teacher="t"),
    Chain("b", "b#0", "5+5?", "<think>\n5 twice\n</think>\n\nIt is 10", system="Be short.", correctness=1, teacher="t"),
    Chain("c", "c#0", "1+1?", "<think>1, 2</think>2", correctness=1, teacher="t"),
]


def qwen3(tmp_path, **start):
    file = tmp_path / "selected.jsonl"
    rows = labelled_rows_of([(CHAINS[0], True), (CHAINS[1], True), (CHAINS[2], False)], {}, {})
    file.write_text(rows_text(rows), encoding="utf-8")
    tuning = {"batch": 4, "learning_rate": 1e-3, "warmup_steps": 0, "max_length": 256, "save_every": 0, **start}
    save_real("qwen3", tmp_path / "policy")
    # Whole answers of others are the data; the tiny world is only there to be a source.
    return file, small_config(
        tmp_path / "run",
        tmp_path / "policy",
        protocol={"name": "qwen3"},
        cold_start={**tuning, "gate": {"problems": 0}},
    )


def test_a_chain_becomes_a_thought_and_a_solution_in_qwen3s_layout(tmp_path):
    file, config = qwen3(tmp_path)
    protocol = open_policy(config).protocol
    think, direct = labelled_pair(labelled_rows(str(file))[0])
    texts = [protocol.decode(example_row(one, "", protocol)["input_ids"]) for one in (think, direct)]
    prompt = "<|im_start|>user\n3+4?<|im_end|>\n<|im_start|>assistant\n"
    assert texts[0] == f"{prompt}<think>\n3 and 4 are 7\n</think>\n\nIt is 7<|im_end|>"
    assert texts[1] == f"{prompt}<think>\n\n</think>\n\nIt is 7<|im_end|>"
    with_system = labelled_pair(labelled_rows(str(file))[1])[0]
    text = protocol.decode(example_row(with_system, "", protocol)["input_ids"])
    assert text.startswith("<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n5+5?")


def test_a_problem_without_thought_is_for_the_second_gear_alone(tmp_path):
    file, config = qwen3(tmp_path)
    start = dataclasses.replace(config.cold_start, labels=str(file))
    assert len(worked_pairs(dataclasses.replace(config, cold_start=start))) == 2
    modes = [one.mode for one in chosen_examples(labelled_rows(str(file)), "each_mode")]
    assert sorted(modes) == ["no_think"] * 3 + ["think"] * 2


@pytest.mark.medium
@pytest.mark.parametrize("gear", ["one fine-tuning", "automatic"])
def test_both_ways_of_fine_tuning_learn_the_chains(tmp_path, gear, capsys):
    file, config = qwen3(tmp_path, steps=12)
    gears = {"automatic_steps": 12, "labels": str(file), "manual_share": 0}
    own = {"labels": str(file)} if gear == "one fine-tuning" else {"gears": gears}
    raw = json.loads(json.dumps(dataclasses.asdict(config)))
    raw["cold_start"] |= own
    from rl.config.read import parse_config

    model = cold_start(parse_config(raw))
    assert (model / "model.safetensors").is_file()
    losses = [float(line.rpartition("loss ")[2]) for line in capsys.readouterr().out.splitlines() if "| loss" in line]
    assert losses[-1] < losses[0]
