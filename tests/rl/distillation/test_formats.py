"""Rows of OmniThought and EasyDistill, read and written as they were; formats turned into each other."""

import dataclasses
import json

import pytest

from rl.distillation.chains import Chain, tagged
from rl.distillation.formats import ChainError, read_chains, write_rows

OMNI = {
    "question": "What is 3+4?",
    "domain": "math",
    "reasoning": [
        {
            "full_response": tagged("3 and 4 are 7", "7"),
            "thought": "3 and 4 are 7",
            "solution": "7",
            "teacher": "R1",
            "thought_correctness_verify": True,
            "Reasoning_Verbosity": {"judge": "qwen", "level": 1},
            "Cognitive_Difficulty": {"judge": "qwen", "level": 0},
            "extra": [1, None],
        },
        {
            "full_response": "<think>hm</think>8",
            "teacher": "QwQ",
            "thought_correctness_verify": False,
            "Reasoning_Verbosity": {"judge": "qwen", "level": None},
        },
    ],
}
SCORED = {
    "instruction": "Solve: 3+4",
    "output": tagged("3+4", "7"),
    "reasoning_verbosity": 4,
    "cognitive_difficulty": 4,
    "logical_correctness": 1,
}
UNSCORED = {"instruction": "Solve: 3+4", "output": "7", "reasoning_verbosity": None, "cognitive_difficulty": -1}
SECOND = {
    "id": "q7",
    "problem": "3+4?",
    "response": "<thinking>3+4</thinking><answer>7</answer>",
    "reasoning_verbosity": 2,
}
SFT = {
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "3+4?"},
        {"role": "assistant", "content": "<think>3+4</think>7"},
    ],
    "metadata": {"source": "s", "model": "R1", "request_id": "r1", "backend": "api", "usage": {"tokens": 5}},
}


def read(tmp_path, rows, *, lines=True):
    file = tmp_path / "rows.json"
    file.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows), encoding="utf-8")
    return read_chains(file)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("omnithought", [OMNI, {**OMNI, "question": "5+5?"}]),
        ("easydistill", [SCORED, UNSCORED]),
        ("easydistill2", [SECOND, {"instruction": "3+4?", "response": "7", "system": "Be short."}]),
        ("messages", [SFT]),
    ],
)
@pytest.mark.parametrize("lines", [True, False], ids=["lines", "array"])
def test_a_round_trip_loses_nothing(tmp_path, name, rows, lines):
    assert write_rows(read(tmp_path, rows, lines=lines), name) == rows


def test_our_own_rows_hold_every_field(tmp_path):
    chains = read(tmp_path, [OMNI])
    assert read(tmp_path, write_rows(chains, "chains")) == chains


def test_omnithoughts_chains_have_their_scores_and_who_gave_them(tmp_path):
    first, second = read(tmp_path, [OMNI])
    assert (first.thought, first.solution, first.teacher) == ("3 and 4 are 7", "7", "R1")
    assert (first.correctness, first.verbosity, first.difficulty) == (1, 1, 0)
    assert first.judges == {"verbosity": "qwen", "difficulty": "qwen"}
    assert (second.correctness, second.verbosity, second.difficulty) == (0, -1, -1)
    assert (first.problem, second.problem, second.name) == ("0", "0", "0#1")


def test_what_is_scored_later_is_written(tmp_path):
    (chain,) = read(tmp_path, [{"instruction": "3+4?", "output": "7"}])
    (row,) = write_rows([dataclasses.replace(chain, verbosity=3, difficulty=4, correctness=1)], "easydistill")
    scores = {"reasoning_verbosity": 3, "cognitive_difficulty": 4, "logical_correctness": 1}
    assert row == {"instruction": "3+4?", "output": "7", **scores}


def test_chains_of_one_format_are_written_in_another(tmp_path):
    chain = Chain("p1", "p1#0", "3+4?", "<think>3+4</think>7", teacher="R1", system="Be short.", verbosity=2)
    assert write_rows([chain], "messages")[0]["messages"][0] == {"role": "system", "content": "Be short."}
    (row,) = write_rows([chain], "omnithought")
    assert (row["question"], row["reasoning"][0]["thought"], row["reasoning"][0]["solution"]) == ("3+4?", "3+4", "7")
    assert row["reasoning"][0]["Reasoning_Verbosity"]["level"] == 2
    (row,) = write_rows([chain], "easydistill2")
    assert (row["id"], row["problem"], row["system"], row["reasoning_verbosity"]) == ("p1", "3+4?", "Be short.", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"rows\.jsonl:1 is no JSON object"),
        ("[1]", "row 1 is no object"),
        ('{"a": 1}', "row 1 has the keys a; allowed: those of omnithought"),
        ('{"question": "?", "reasoning": 3}', "row 1 is no row of the format 'omnithought'"),
        ('{"messages": [{"role": "user", "content": "?"}]}', "row 1 is no row of the format 'messages'"),
    ],
)
def test_a_file_of_something_else_is_named_with_its_row(tmp_path, text, message):
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(ChainError, match=message):
        read_chains(file)


def test_a_missing_file_and_an_unknown_format_are_told(tmp_path):
    with pytest.raises(ChainError, match="cannot be read"):
        read_chains(tmp_path / "gone.jsonl")
    with pytest.raises(ChainError, match="the format is 'parquet'; allowed: omnithought"):
        write_rows([], "parquet")


def test_a_separator_of_unicode_inside_a_text_ends_no_line(tmp_path):
    file = tmp_path / "rows.jsonl"
    row = {"instruction": "one\u2028two\x0bthree", "output": "7"}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
    assert [chain.question for chain in read_chains(file)] == [row["instruction"]] * 2


def test_correctness_may_be_true_or_false_and_stays_so(tmp_path):
    rows = [{"problem": "?", "response": "7", "logical_correctness": value} for value in (True, False, None)]
    chains = read(tmp_path, rows)
    assert [chain.correctness for chain in chains] == [1, 0, -1]
    assert write_rows(chains, "easydistill2") == rows


def test_chains_with_one_name_are_told_apart_and_rows_with_one_id_stay_two(tmp_path):
    twice = [{**OMNI, "id": 0}, {**OMNI, "id": 0, "domain": "other"}]
    chains = read(tmp_path, twice)
    assert [chain.name for chain in chains] == ["0#0", "0#1", "0#0+2", "0#1+2"]
    assert write_rows(chains, "omnithought") == twice


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"messages": [{"role": r, "content": "x"} for r in ("user", "assistant") * 2]}], "user, assistant, user"),
        (
            [{"messages": [{"role": "user", "content": [{"type": "text"}]}, {"role": "assistant", "content": "7"}]}],
            "text",
        ),
        ([{"instruction": 3, "output": "7"}], "3 is no text"),
        ([{"question": "?", "reasoning": []}], "no list of chains"),
        ([{"instruction": "\ud800", "output": "7"}], "what a JSON file in UTF-8 can hold"),
        ([{"problem": "p", "name": "n", "question": "?", "response": "7", "verbosity": "high"}], "a score is none"),
        ([{"problem": "p", "name": "n", "question": "?", "response": "7", "scores": 3}], "scores"),
    ],
)
def test_rows_that_cannot_be_chains_are_named(tmp_path, rows, message):
    with pytest.raises(ChainError, match=message):
        read(tmp_path, rows)


def test_a_file_in_another_encoding_is_named_as_such(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes('{"instruction": "café", "output": "7"}'.encode("latin-1"))
    with pytest.raises(ChainError, match=r"rows\.jsonl:1 is no JSON object; .* UTF-8"):
        read_chains(file)
