"""Rows of the cold start beside a model: what is kept, what is read back, which of them a round trains again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factories import make_protocol, make_rollout

from rl.algorithms.base import LossOptions
from rl.curriculum.rehearsal import (
    IGNORE,
    keep_rehearsal,
    read_rehearsal,
    rehearsed_tokens,
    rows_of_round,
)
from rl.models.location import REHEARSAL
from rl.training.masks import part_masks
from rollout.errors import UserError

WORDS = 1_000


def row(protocol, prompt, mode, answer, thinking=""):
    asked, given = protocol.render(prompt), protocol.response(mode, answer, thinking)
    return {"input_ids": [*asked, *given], "labels": [IGNORE] * len(asked) + list(given)}


def test_rows_are_kept_once_and_come_back_as_responses_of_their_mode(tmp_path):
    protocol = make_protocol("kat")
    direct, thought = row(protocol, "12 + 34", "no_think", "46"), row(protocol, "7 + 5", "think", "12", "1 2")
    keep_rehearsal(tmp_path, [direct, thought, direct], seed=0)
    rows, line = read_rehearsal(tmp_path, protocol, WORDS, 99)
    first, second = sorted(rows, key=lambda r: r.mode or "")
    assert "of the 2 rows in" in line
    assert "1 thoughts and 1 direct answers" in line
    assert (first.mode, second.mode) == ("no_think", "think")
    assert first.prompt_ids == protocol.render("12 + 34")
    assert first.completion_ids == protocol.response("no_think", "46")
    assert len((tmp_path / REHEARSAL).read_text().splitlines()) == 2


def test_a_row_trains_its_answer_alone(tmp_path):
    protocol = make_protocol("one_token")
    both = [row(protocol, "a", "no_think", "42"), row(protocol, "a", "think", "42", "b")]
    keep_rehearsal(tmp_path, both, seed=0)
    rollout = min(read_rehearsal(tmp_path, protocol, WORDS, 99)[0], key=lambda r: len(r.completion_ids))
    assert rollout.switch_index == 0
    assert rehearsed_tokens(rollout) == [0] + [1] * (len(rollout.completion_ids) - 1)
    assert [mask.sum() for mask in part_masks(rollout, LossOptions())] == [0, 0]
    drawn = make_rollout("think", tokens=4)
    assert rehearsed_tokens(drawn) == [0] * len(drawn.completion_ids)


def test_rows_that_are_no_whole_responses_or_above_the_longest_of_the_run_are_left_out(tmp_path):
    protocol = make_protocol("kat")
    direct, thought = row(protocol, "7 + 5", "no_think", "12"), row(protocol, "7 + 5", "think", "12", "1 2 + 3 4")
    cut = {"input_ids": thought["input_ids"][:-4], "labels": thought["labels"][:-4]}
    length = len(thought["input_ids"])
    keep_rehearsal(tmp_path, [direct, thought, cut], seed=0)
    assert sorted(r.mode for r in read_rehearsal(tmp_path, protocol, WORDS, length)[0]) == ["no_think", "think"]
    # Direct answers alone would pull towards them.
    rows, line = read_rehearsal(tmp_path, protocol, WORDS, length - 1)
    assert rows == []
    assert "0 thoughts and 1 direct answers" in line
    assert read_rehearsal(tmp_path / "elsewhere", protocol, WORDS, 99)[0] == []
    assert read_rehearsal(tmp_path, make_protocol("one_token"), WORDS, 99)[0] == []


@pytest.mark.parametrize("make", [Path.mkdir, lambda file: file.symlink_to("nowhere")])
def test_a_place_that_cannot_be_read_is_no_missing_file(tmp_path, make):
    make(tmp_path / REHEARSAL)
    with pytest.raises(UserError, match=rf"{REHEARSAL} cannot be read"):
        read_rehearsal(tmp_path, make_protocol("kat"), WORDS, 99)


@pytest.mark.parametrize(
    "line",
    [
        {"prompt_ids": [1]},
        {"prompt_ids": [1], "completion_ids": []},
        {"prompt_ids": [1], "completion_ids": [2, WORDS]},
        {"prompt_ids": [1], "completion_ids": [2, -1]},
        {"prompt_ids": [1], "completion_ids": [2, True]},
        {"prompt_ids": "1", "completion_ids": [2]},
    ],
)
def test_a_file_of_something_else_is_named_with_its_line(tmp_path, line):
    (tmp_path / REHEARSAL).write_text('{"prompt_ids": [1], "completion_ids": [2]}\n' + json.dumps(line) + "\n")
    with pytest.raises(UserError, match=rf"{REHEARSAL}:2 .*; allowed: "):
        read_rehearsal(tmp_path, make_protocol("kat"), WORDS, 99)


def test_a_round_trains_half_as_many_rows_as_it_has_prompts_others_each_time_the_same_on_every_rank():
    rows = [make_rollout("think", tokens=number) for number in range(2, 42)]
    first = rows_of_round(rows, prompts=15, seed=3, step=0)
    assert len(first) == 8
    assert first == rows_of_round(rows, prompts=15, seed=3, step=0)
    assert first != rows_of_round(rows, prompts=15, seed=3, step=1)
    assert len(rows_of_round(rows[:3], prompts=15, seed=3, step=0)) == 3
    assert rows_of_round([], prompts=15, seed=3, step=0) == []
