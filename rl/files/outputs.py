"""Where a command may write: told before the work begins, and never over a file that it did not write itself.

A file that a command writes by name (`--out`, `--json`) gets a companion FILE.made.json that says who wrote it and with
which contents. Only a file that is still that may be replaced; a data file, a foreign file and one that was edited are
refused, and so is a command's own source. One process at a time writes a file: it holds FILE.lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.files.atomic import write_atomically
from rollout.errors import UserError

_held: list[int] = []


def claim(path: Path, command: str, sources: Iterable[Path] = ()) -> None:
    """Check that `command` may write this file and hold it until the process ends. Raises `UserError`."""
    check_writable(path)
    refuse_source(path, sources)
    if path.exists() and not _is_own(path, command):
        raise UserError(f"{path} is there and is not what {command} wrote; allowed: a new file, or that one moved away")
    hold(path)


def claim_recognised(path: Path, keys: Sequence[str], sources: Iterable[Path] = ()) -> None:
    """The same check for a JSON file that is known by having one of these keys, such as an evaluation; nothing is held
    yet. Raises `UserError`."""
    check_writable(path)
    refuse_source(path, sources)
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or not set(keys) & set(found):
            raise UserError(f"{path} is there and holds something else; allowed: a new file, or that one moved away")


def write_claimed(path: Path, text: str, command: str) -> None:
    """Write a claimed file in full or not at all, and note who wrote it."""
    write_atomically(path, text)
    made = {"by": command, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    write_atomically(_companion(path), json.dumps(made) + "\n")


def refuse_source(path: Path, sources: Iterable[Path]) -> None:
    """Raises `UserError` when the file is one of those that the command reads."""
    for source in sources:
        if source.exists() and path.exists() and source.samefile(path):
            raise UserError(f"{path} is what the command reads; allowed: another file to write")


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Raises `UserError` where no such file (or folder) can be written; nothing is left there."""
    place = path if folder else path.parent
    try:
        if path.exists() and not (path.is_dir() if folder else path.is_file()):
            kind = "folder" if path.is_dir() else "file" if path.is_file() else "device or a pipe"
            raise UserError(f"{path} is a {kind}; allowed: a {'folder' if folder else 'file'}")
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}: {place}); allowed: a place that can") from error


def hold(path: Path) -> None:
    """Hold a file (or what a folder's work writes) until the process ends. `.NAME.lock` beside it says who does:
    process and machine; what a dead process left there holds nothing. Raises `UserError` while another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    # A lock of the process, not of the descriptor: the same process may open a file again, but never close it.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    _held.append(descriptor)
    owner = _owner(os.pread(descriptor, 1000, 0))
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise _is_held(path, lock, owner) from None
    except OSError:
        # A file system without locks: the names must do.
        if owner.get("pid") != os.getpid() and _may_live(owner):
            raise _is_held(path, lock, owner) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def _owner(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else {}


def _may_live(owner: Mapping[str, Any]) -> bool:
    """Whether the process may still run; of another machine nobody knows."""
    if not owner or owner.get("host") != socket.gethostname():
        return bool(owner)
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _is_held(path: Path, lock: Path, owner: Mapping[str, Any]) -> UserError:
    who = f"process {owner['pid']} on {owner.get('host')}" if owner else "another process"
    there = owner.get("host", socket.gethostname()) != socket.gethostname()
    dead = f"; if that one has ended, remove {lock}" if there else ""
    return UserError(f"{who} is writing {path}; allowed: one at a time, or another place{dead}")


def _companion(path: Path) -> Path:
    return path.with_name(f"{path.name}.made.json")


def _is_own(path: Path, command: str) -> bool:
    """Whether the file is just as this command wrote it."""
    try:
        made = json.loads(_companion(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return made == {"by": command, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
