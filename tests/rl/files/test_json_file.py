"""A file of another stage, read back."""

from __future__ import annotations

import pytest

from rl.files.json_file import read_object
from rollout.errors import UserError


def test_an_object_with_its_keys_is_read(tmp_path):
    file = tmp_path / "cell.json"
    file.write_text('{"world": "shift", "seed": 2}')
    assert read_object(file, ("world", "seed"), "") == {"world": "shift", "seed": 2}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"world"',
        b'{"seed": 2}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"world": 1, "seed": 2, "seed": 3}',
    ],
)
def test_a_damaged_or_foreign_file_is_named_with_the_way_on(tmp_path, content):
    file = tmp_path / "cell.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"cell\.json .*allowed: that file moved away"):
        read_object(file, ("world", "seed"), "that file moved away")
    with pytest.raises(UserError, match=r"other\.json "):
        read_object(tmp_path / "other.json", (), "that file moved away")
