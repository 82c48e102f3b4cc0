"""Files and folders are there in full or not at all."""

from __future__ import annotations

import pytest

from rl.files.atomic import clear_part, complete_folder, part_of, write_atomically


def test_a_file_is_replaced_whole_and_leaves_no_part_behind(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text(encoding="utf-8") == "two"
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]


@pytest.mark.medium
def test_a_folder_appears_with_everything_in_it_and_leaves_no_part_behind(tmp_path):
    folder = tmp_path / "model"
    part = clear_part(folder)
    (part / "deep").mkdir()
    (part / "deep" / "weights").write_bytes(b"12")
    assert not folder.exists()
    complete_folder(folder)
    assert (folder / "deep" / "weights").read_bytes() == b"12"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_kill_left_half_written_is_not_part_of_the_next_folder(tmp_path):
    folder = tmp_path / "model"
    (clear_part(folder) / "old").write_text("half")
    (clear_part(folder) / "new").write_text("whole")
    complete_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_folder_that_is_there_is_never_overwritten(tmp_path):
    folder = tmp_path / "model"
    for text in ("one", "two"):
        (clear_part(folder) / "weights").write_text(text)
        if text == "two":
            with pytest.raises(OSError):  # noqa: PT011
                complete_folder(folder)
        else:
            complete_folder(folder)
    assert (folder / "weights").read_text() == "one"
    assert part_of(folder).is_dir()
