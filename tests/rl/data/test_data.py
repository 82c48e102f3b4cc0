"""Problems from files; a bad line is an error with file:line, or by configuration a counted skip."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from rl.config.read import parse_config
from rl.data import DataError, load_problems, problem_to_row, read_problems
from rollout.errors import UserError
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
    data = write(tmp_path, {"prompt": "write f", "tests": [{"assert": "assert f(1)"}]})
    assert load_problems(config_of(**data), "train")[0].tests == ({"assert": "assert f(1)"},)


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
        (
            {"prompt": "a", "tests": [{"assert": "assert f()"}, {"assert": ""}]},
            r"tests\[1\]: assert='': a text is needed",
        ),
        ({"prompt": "a", "tests": [{"assert": "def g():\n    assert f()"}]}, ".* in which an assertion can run"),
        ({"prompt": "a", "tests": [{"assert": "assert f("}]}, ".* Python code is needed"),
        ({"prompt": "a", "tests": [{"call": "f"}]}, r"tests\[0\]: keys \['call'\]"),
        ({"prompt": "a", "answer": "2", "necessity": "yes"}, "'necessity' is 'yes'; allowed: no_think, think"),
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


# --- other kinds of files --------------------------------------------------------------------------------------------


def test_json_gzip_and_parquet_hold_the_same_rows_as_jsonl(tmp_path):
    rows = [{"id": "a", "prompt": "1+1", "answer": "2"}, {"id": "b", "prompt": "2+2", "answer": "4"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    expected = [Problem("a", "1+1", answer="2"), Problem("b", "2+2", answer="4")]
    for name in ("rows.json", "rows.jsonl.gz", "rows.parquet"):
        assert load_problems(config_of(path=str(tmp_path), train=name), "train") == expected


def test_a_folder_and_a_pattern_are_read_in_order_and_their_ids_name_the_file(tmp_path):
    folder = tmp_path / "set"
    (folder / "algebra").mkdir(parents=True)
    (folder / "algebra" / "7.json").write_text(json.dumps({"prompt": "x", "answer": 1}))
    (folder / "train-0.jsonl").write_text('{"prompt": "y", "answer": 2}\n{"prompt": "z", "answer": 3}\n')
    (folder / "notes.txt").write_text("not data")
    problems = load_problems(config_of(path=str(tmp_path), train="set"), "train")
    assert [(p.id, p.prompt) for p in problems] == [("algebra/7", "x"), ("train-0-1", "y"), ("train-0-2", "z")]
    problems = load_problems(config_of(path=str(folder), train="train-*.jsonl"), "train")
    assert [p.id for p in problems] == ["train-0-1", "train-0-2"]


def test_tests_of_several_forms_survive_a_table_with_empty_columns(tmp_path):
    tests = [
        {"call": "f", "args": [1], "expected": None, "stdin": None, "stdout": None},
        {"call": None, "args": None, "expected": None, "stdin": "1", "stdout": "2"},
    ]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{"prompt": "write f", "tests": tests}]), tmp_path / "t.parquet"
    )
    (problem,) = load_problems(config_of(path=str(tmp_path), train="t.parquet"), "train")
    assert problem.tests == ({"call": "f", "args": [1], "expected": None}, {"stdin": "1", "stdout": "2"})


def test_an_interrupted_write_is_told_by_its_file(tmp_path):
    table = pyarrow.Table.from_pylist([{"prompt": "a", "answer": "1"}] * 50)
    pyarrow.parquet.write_table(table, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "a", "answer": "1"}\n' * 9)[:-12])
    (tmp_path / "torn.json").write_text('[{"prompt": "a", "answ')
    for name, message in (
        ("torn.parquet", r"torn\.parquet: no complete parquet file"),
        ("torn.jsonl.gz", r"torn\.jsonl\.gz: no complete gzip file"),
        ("torn.json", r"torn\.json: not valid JSON"),
    ):
        with pytest.raises(DataError, match=message):
            load_problems(config_of(path=str(tmp_path), train=name), "train")


# --- counted skips ---------------------------------------------------------------------------------------------------


def test_bad_rows_are_skipped_and_counted_up_to_the_share_that_is_allowed(tmp_path, caplog):
    lines = [{"prompt": f"p{i}", "answer": "1"} for i in range(8)]
    data = write(tmp_path, *lines[:4], {"prompt": "no answer"}, *lines[4:], '{"prompt": "torn", "answ')
    loaded = read_problems(config_of(**data, on_bad_row="skip", max_bad_share=0.2), "train")
    assert [p.prompt for p in loaded.problems] == [f"p{i}" for i in range(8)]
    assert len(loaded.bad) == 2
    assert "train.jsonl:5: neither 'answer' nor 'tests'" in loaded.bad[0]
    assert "train.jsonl:10: not valid JSON" in loaded.bad[1]
    load_problems(config_of(**data, on_bad_row="skip", max_bad_share=0.2), "train")
    assert "data.train: 2 of 10 rows left out" in caplog.text
    with pytest.raises(DataError, match=r"2 of 10 rows are bad .*allowed: a share of data\.max_bad_share, 0\.19"):
        load_problems(config_of(**data, on_bad_row="skip", max_bad_share=0.19), "train")


# --- conversations ---------------------------------------------------------------------------------------------------

TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "and doubled?"},
]


def test_a_prompt_beside_a_conversation_must_be_its_last_turn(tmp_path):
    talk = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "1+1"}]
    same = write(tmp_path, {**GOOD, "messages": talk})
    assert load_problems(config_of(**same), "train")[0].messages == tuple(talk)
    with pytest.raises(DataError, match=r"train.jsonl:1: 'prompt' is '9\*9' and 'messages' ends with '1\+1'"):
        load_problems(config_of(**write(tmp_path, {**GOOD, "prompt": "9*9", "messages": talk})), "train")


def test_a_conversation_is_kept_and_its_last_turn_is_the_prompt(tmp_path):
    data = write(tmp_path, {"id": "a", "messages": TALK, "answer": "4"}, {"messages": TALK[1:2], "answer": "2"})
    talk, single = load_problems(config_of(**data), "train")
    assert (talk.prompt, talk.messages) == ("and doubled?", tuple(TALK))
    assert (single.prompt, single.messages) == ("1+1?", ())


def test_a_name_a_tool_call_and_a_thought_stay_in_a_conversation(tmp_path):
    call = {"type": "function", "id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}
    talk = [
        {"role": "user", "content": "1+1?", "name": "Ann"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm", "weight": 1},
        {"role": "tool", "content": "2", "tool_call_id": "c1"},
        {"role": "user", "content": "so?"},
    ]
    kept, named = load_problems(
        config_of(**write(tmp_path, {"messages": talk, "answer": "2"}, {"messages": talk[:1], "answer": "2"})), "train"
    )
    assert kept.messages[0] == {"role": "user", "content": "1+1?", "name": "Ann"}
    assert kept.messages[1] == {
        "role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm"
    }  # fmt: skip
    assert kept.messages[2]["tool_call_id"] == "c1"
    assert named.messages == ({"role": "user", "content": "1+1?", "name": "Ann"},)


def test_a_row_with_tools_is_refused(tmp_path):
    row = {"messages": TALK, "answer": "4", "tools": [{"type": "function", "function": {"name": "add"}}]}
    with pytest.raises(DataError, match="the row has 'tools', which prompts do not render; allowed"):
        load_problems(config_of(**write(tmp_path, row)), "train")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (TALK[:3], "'messages' must end with a message of the user"),
        ([{"role": "human", "content": "a"}], r"messages\[0\] has the role 'human'; allowed: system, user"),
        ([{"role": "user", "content": ""}], r"messages\[0\] has the content ''; allowed: text"),
        ([{"role": "user"}], r"messages\[0\] has the content None; allowed: text"),
        ("hello", "'messages' is no list of objects"),
    ],
)
def test_a_bad_conversation_is_named_by_its_turn(tmp_path, messages, message):
    with pytest.raises(DataError, match=rf"train\.jsonl:1: {message}"):
        load_problems(config_of(**write(tmp_path, {"messages": messages, "answer": "4"})), "train")


def test_a_problem_written_as_a_row_is_read_back_the_same(tmp_path):
    problems = [
        Problem("a", "and doubled?", "math", "me", "4", (), "2", "think", {"solution": "1+1=2"}, tuple(TALK)),
        Problem("b", "write f", "code", tests=({"call": "f", "args": [], "expected": None},)),
        Problem("c", "0", answer="0"),
    ]
    rows = [problem_to_row(problem) for problem in problems]
    assert rows[2] == {"id": "c", "prompt": "0", "answer": "0"}
    assert load_problems(config_of(**write(tmp_path, *rows)), "train") == problems


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


def test_the_embedded_world_may_have_a_seed_of_its_own():
    def prompts(**keys):
        config = parse_config({"data": {**TINY, **keys.pop("data", {})}, **keys})
        return [p.prompt for split in ("train", "test") for p in load_problems(config, split)]

    assert prompts(seed=5, data={"seed": 2}) == prompts(seed=2)
    assert prompts(seed=5, data={"seed": 2}) != prompts(seed=5)


def test_the_embedded_world_without_shares_is_refused():
    with pytest.raises(DataError, match=r"data\.shares is \{\}; allowed: shares of 0 or more"):
        load_problems(config_of(), "train")


@pytest.mark.parametrize(
    "given",
    [
        {"columns": {"prompt": "question"}},
        {"columns": {"test": {"prompt": "question"}}},
        {"format": "gsm8k"},
        {"format": {"test": "gsm8k"}},
    ],
)
def test_names_for_columns_that_nobody_reads_are_refused(given, tmp_path):
    with pytest.raises(UserError, match=r"data\.(columns|format) is .* is generated"):
        load_problems(config_of(train="tiny", test="tiny", **given), "train")


def test_columns_may_be_those_of_the_one_split_that_is_read(tmp_path):
    data = {**write(tmp_path, {"question": "1+1", "answer": 2}), "test": "tiny", "columns": {"prompt": "question"}}
    assert load_problems(config_of(**data), "train")[0].prompt == "1+1"
