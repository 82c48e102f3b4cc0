"""Problems from files; a bad line is an error with file:line."""

import json

import pytest

from rl.config_file import parse_config
from rl.data import DataError, load_problems, read_gsm8k_thinking
from rollout.types import Problem

TINY = {"train_size": 30, "test_size": 20, "shares": {"1": 0.5, "3": 0.5}}


def config_of(**data):
    return parse_config({"data": data, **({"seed": data.pop("seed")} if "seed" in data else {})})


def write(tmp_path, *lines):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return {"path": str(tmp_path), "train": "train.jsonl", "test": "train.jsonl"}


GOOD = {"id": "a", "prompt": "1+1", "answer": "2"}


def test_every_field_is_read(tmp_path):
    line = {
        "id": "a",
        "prompt": "1+1",
        "domain": "math",
        "source": "me",
        "answer": "2",
        "tests": [{"stdin": "", "stdout": "2"}],
        "difficulty": "3",
        "necessity": "think",
    }
    assert load_problems(config_of(**write(tmp_path, line)), "train") == [
        Problem("a", "1+1", "math", "me", "2", ({"stdin": "", "stdout": "2"},), "3", "think")
    ]


def test_missing_ids_are_line_numbers_and_numbers_become_text(tmp_path):
    data = write(tmp_path, {"prompt": "a", "answer": 2}, "", {"prompt": "b", "answer": 2.5, "difficulty": 3})
    problems = load_problems(config_of(**data), "train")
    assert [(p.id, p.answer, p.difficulty) for p in problems] == [("1", "2", None), ("3", "2.5", "3")]


def test_fields_of_others_are_ignored_and_null_means_absent(tmp_path):
    (problem,) = load_problems(config_of(**write(tmp_path, {**GOOD, "year": 1999, "domain": None})), "train")
    assert problem == Problem("a", "1+1", answer="2")


def test_tests_alone_are_enough(tmp_path):
    data = write(tmp_path, {"prompt": "write f", "tests": [{"assert": "f(1)"}]})
    assert load_problems(config_of(**data), "train")[0].tests == ({"assert": "f(1)"},)


def test_a_size_takes_the_first_problems(tmp_path):
    data = write(tmp_path, *({"prompt": f"p{i}", "answer": "1"} for i in range(5)))
    config = config_of(**data, train_size=2, test_size=3)
    assert [p.prompt for p in load_problems(config, "train")] == ["p0", "p1"]
    assert [p.prompt for p in load_problems(config, "test")] == ["p0", "p1", "p2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"not valid JSON \(Expecting property name"),
        ("[1]", "holds a list; allowed: an object"),
        ('"text"', "holds a str; allowed: an object"),
        ({"answer": "2"}, "no field 'prompt'; it has answer"),
        ({}, "no field 'prompt'; it has none"),
        ({"prompt": "", "answer": "2"}, "'prompt' is ''; allowed: text"),
        ({"prompt": " \n", "answer": "2"}, "'prompt' is .*; allowed: text"),
        ({"prompt": 3, "answer": "2"}, "'prompt' is 3; allowed: text"),
        ({"prompt": None, "answer": "2"}, "'prompt' is None; allowed: text"),
        ({"prompt": "a"}, "neither 'answer' nor 'tests'"),
        ({"prompt": "a", "answer": None, "tests": []}, "neither 'answer' nor 'tests'"),
        ({"prompt": "a", "tests": "assert"}, "'tests' is no list of objects"),
        ({"prompt": "a", "tests": ["assert f"]}, "'tests' is no list of objects"),
        ({"prompt": "a", "answer": "2", "necessity": "yes"}, "'necessity' is 'yes'; allowed: think, no_think"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path, line, message):
    data = write(tmp_path, GOOD, "", line)
    with pytest.raises(DataError, match=rf"train\.jsonl:3: {message}"):
        load_problems(config_of(**data), "train")


def test_an_id_used_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="the id 'a' is used twice"):
        load_problems(config_of(**write(tmp_path, GOOD, GOOD)), "train")


def test_a_missing_file_and_an_empty_one_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no data file .*gone\.jsonl"):
        load_problems(config_of(path=str(tmp_path), train="gone.jsonl"), "train")
    with pytest.raises(DataError, match=r"data\.train 'train\.jsonl' holds no problems"):
        load_problems(config_of(**write(tmp_path)), "train")


def test_a_malformed_hub_source_is_named_before_anything_is_fetched():
    with pytest.raises(DataError, match="'hub:only'; allowed: hub:ID:SPLIT or hub:ID:CONFIG:SPLIT"):
        load_problems(config_of(train="hub:only"), "train")


# --- gsm8k -----------------------------------------------------------------------------------------------------------

GSM8K = {"question": "How many?", "answer": "2 boxes of <<2*600=1200>>1200.\nSo 1,200.\n#### 1,200"}


def test_gsm8k_takes_the_gold_number_after_the_mark_without_commas(tmp_path):
    data = write(tmp_path, GSM8K)
    assert load_problems(config_of(**data, format="gsm8k"), "train") == [
        Problem("gsm8k-1", "How many?", "math", "gsm8k", "1200")
    ]


def test_gsm8k_solutions_lose_their_calculator_marks(tmp_path):
    data = write(tmp_path, GSM8K)
    assert read_gsm8k_thinking(config_of(**data, format="gsm8k"), "train") == {"gsm8k-1": "2 boxes of 1200.\nSo 1,200."}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"question": "a", "answer": "4"}, "the field 'answer' has no '####'"),
        ({"question": "a"}, "no field 'answer'; it has question"),
        ({"answer": "#### 4"}, "no field 'question'; it has answer"),
    ],
)
def test_a_bad_gsm8k_line_is_named_by_file_and_line(tmp_path, line, message):
    data = write(tmp_path, GSM8K, line)
    with pytest.raises(DataError, match=rf"train\.jsonl:2: {message}"):
        load_problems(config_of(**data, format="gsm8k"), "train")


# --- the embedded world ----------------------------------------------------------------------------------------------


def test_the_embedded_world_shares_no_prompt_between_train_and_test():
    config = config_of(**TINY)
    train, test = load_problems(config, "train"), load_problems(config, "test")
    assert (len(train), len(test)) == (30, 20)
    assert {p.prompt for p in train}.isdisjoint({p.prompt for p in test})
    assert len({p.id for p in [*train, *test]}) == 50


def test_the_embedded_world_follows_the_seed_alone():
    assert load_problems(config_of(**TINY), "train") == load_problems(config_of(**TINY), "train")
    assert load_problems(config_of(**TINY), "train") != load_problems(config_of(**TINY, seed=1), "train")


def test_the_embedded_world_without_shares_is_refused():
    with pytest.raises(DataError, match=r"data\.shares is \{\}; allowed: shares of 0 or more"):
        load_problems(config_of(), "train")
