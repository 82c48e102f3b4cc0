"""Finished rows survive whatever ends the process, and rows made otherwise are not mixed."""

from __future__ import annotations

import json

import pytest

from rl.files.row_store import RowStore, read_rows
from rollout.errors import UserError

SETTINGS = {"model": "m", "samples": 2}
ROWS = [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "ü", "n": 3}]


def test_appended_rows_are_there_when_the_file_is_opened_again(tmp_path):
    store = RowStore(tmp_path / "rows.jsonl", SETTINGS)
    store.append(ROWS[:2])
    store.append(ROWS[2:])
    again = RowStore(tmp_path / "rows.jsonl", SETTINGS)
    assert list(again.rows.values()) == ROWS
    assert "a" in again
    assert "c" not in again


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_torn_last_line_is_removed_and_the_rows_before_it_are_kept(tmp_path, cut):
    path = tmp_path / "rows.jsonl"
    RowStore(path, SETTINGS).append(ROWS)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_rows(path) == ROWS[:2]
    store = RowStore(path, SETTINGS)
    assert list(store.rows) == ["a", "b"]
    store.append(ROWS[2:])
    assert read_rows(path) == ROWS


def test_a_file_that_is_all_torn_begins_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    RowStore(path, SETTINGS).append([])
    path.write_text('{"id": "a", "n')
    store = RowStore(path, SETTINGS)
    store.append(ROWS[:1])
    assert read_rows(path) == ROWS[:1]


def test_rows_made_with_other_settings_are_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    RowStore(path, SETTINGS).append(ROWS)
    with pytest.raises(UserError, match=r"other settings: samples 2, now 4; allowed: .*resume=never"):
        RowStore(path, {**SETTINGS, "samples": 4})
    assert read_rows(path) == ROWS


def test_a_fresh_start_moves_the_rows_of_before_aside(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    RowStore(path, SETTINGS).append(ROWS)
    assert RowStore(path, {**SETTINGS, "samples": 4}, fresh=True).rows == {}
    (kept,) = (tmp_path / "old").glob("*/rows.jsonl")
    assert read_rows(kept) == ROWS
    assert str(kept.parent) in capsys.readouterr().out


def test_rows_that_nothing_describes_are_not_mixed_with_others(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.raises(UserError, match=r"holds something and nothing says what with"):
        RowStore(path, SETTINGS)
    assert read_rows(path) == ROWS


@pytest.mark.parametrize("line", ["{", "[1]", '{"n": 1}', '{"id": 3}', ""])
def test_a_complete_line_that_is_no_row_is_an_error_with_its_place(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"id": "a"}}\n{line}\n{{"id": "b"}}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl:2: no row of a finished job"):
        read_rows(path)


def test_no_file_is_no_rows(tmp_path):
    assert read_rows(tmp_path / "gone.jsonl") == []
