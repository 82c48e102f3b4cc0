"""JSON lines: told apart by line feeds alone, and a damaged one is named wherever it stands."""

from __future__ import annotations

import gzip
import json

import pytest
from small_runs import recorded_groups, save_policy, small_config, write_rollouts

from rl.checks.cross_check import recorded_rollouts
from rl.distillation.formats import read_objects
from rl.evaluation.others import read_records
from rl.files.json_lines import json_lines
from rl.files.row_store import read_rows
from rl.training.run import read_replay
from rollout.errors import UserError

ODD = "a\u2028b\u2029c\x85d\x0be\x1cf"  # each ends a line for str.splitlines


def test_what_a_model_wrote_does_not_end_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\ufeff" + json.dumps({"text": ODD}, ensure_ascii=False) + "\r\n\n" + json.dumps({"text": "g"}))
    assert list(json_lines(path)) == [(1, {"text": ODD}), (3, {"text": "g"})]
    assert read_records(path) == read_objects(path) == [{"text": ODD}, {"text": "g"}]


def test_a_record_in_which_a_key_stands_twice_is_named_and_none_of_its_values_taken(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b", "usage": [{"tokens": 1, "tokens": 900}]}\n')
    for read in (read_records, read_objects, read_rows):
        with pytest.raises(UserError, match=r"^\S*rows\.jsonl:2 has the key 'tokens' twice"):
            read(path)
    path.write_text("[" + path.read_text().strip().replace("\n", ",") + "]")
    with pytest.raises(UserError, match=r"^\S*rows\.jsonl: row 2 has the key 'tokens' twice"):
        read_objects(path)


def test_a_key_of_a_hundred_thousand_letters_does_not_fill_the_line(tmp_path):
    path, key = tmp_path / "rows.jsonl", json.dumps("k" * 100_000)
    path.write_text(f"{{{key}: 1, {key}: 2}}")
    with pytest.raises(UserError) as caught:
        read_records(path)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("content", "way_on"),
    [
        (gzip.compress(b'{"id": "a"}\n'), "gunzip"),
        (b'\xef\xbb\xbf [{"id": "a"}]', "jq -c"),
        (b'[\n {"id": "a"}\n]', "jq -c"),
        (b'{"id": ', "one object a line, in UTF-8"),
    ],
)
def test_a_packed_file_and_an_array_are_told_the_way_to_lines(tmp_path, content, way_on):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_records(path)
    assert f"{path}:1 is no JSON object" in str(caught.value)
    assert str(caught.value).split("allowed")[1].count(way_on) == 1


@pytest.fixture
def damaged(tmp_path):
    """10,000 recorded rollouts, the line 7,003 of them broken."""
    lines = write_rollouts(tmp_path / "recorded.jsonl", recorded_groups()).read_bytes().splitlines() * 625
    lines[7002] = lines[7002][:100] + b"\x00\xff" + lines[7002][101:]
    (tmp_path / "recorded.jsonl").write_bytes(b"\n".join(lines))
    return tmp_path / "recorded.jsonl"


@pytest.mark.parametrize("read", [read_records, read_objects, lambda path: list(recorded_rollouts(path))])
def test_a_damaged_line_amid_ten_thousand_is_named(damaged, read):
    with pytest.raises(UserError, match=r"recorded\.jsonl:7003 is no JSON object"):
        read(damaged)


def test_a_damaged_line_of_a_replay_is_named_and_so_is_one_that_holds_no_rollout(tmp_path, damaged):
    config = small_config(tmp_path / "run", save_policy(tmp_path / "policy"), rollout={"replay": str(damaged)})
    with pytest.raises(UserError, match=r"recorded\.jsonl:7003 is no JSON object"):
        read_replay(config)
    damaged.write_text('{"problem": 3}\n')
    with pytest.raises(UserError, match=r"line 1: no rollout"):
        read_replay(config)
