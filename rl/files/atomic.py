"""Files and folders that are there in full or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PART = ".part"


def write_atomically(path: Path, text: str) -> None:
    """Write a file in full or not at all: beside its place, to the disk, then moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + PART)
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def part_of(folder: Path) -> Path:
    """Where to write what will become `folder`; `complete_folder` moves it there. Made by whoever writes into it."""
    return folder.with_name(folder.name + PART)


def clear_part(folder: Path) -> Path:
    """An empty place to write what will become `folder`; what a kill left there is removed."""
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def complete_folder(folder: Path) -> None:
    """Move what was written to `part_of(folder)` to its place, once all of it is on the disk. Raises `OSError` where
    `folder` holds something already: finished work is moved aside by its name, never overwritten."""
    part = part_of(folder)
    for file in sorted(part.rglob("*")):
        sync(file)
    sync(part)
    part.rename(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
