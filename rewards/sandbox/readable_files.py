"""What of the machine's files a program may read: the standard library, the shared libraries of the system, and the
packages that the configuration names; without tests, without data, and without anything else that is installed.

Installed packages may hold the answers of a benchmark, and so may the tests and data sets inside them. `covered` names
the folders to hide where mounts can (tier 1), `split` takes a folder apart into what Landlock may open and what only
be listed, which includes the names of what is hidden (tier 2). Not covered: packages outside `sys.path`.
"""

from __future__ import annotations

import glob
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_LOCAL_OBJECTS = "/usr/local/lib/*.so*"
_TIME_ZONES = "/usr/share/zoneinfo"
_INSTALLED = ("site-packages", "dist-packages")
_TESTS = ("test", "tests", "idle_test")
_DATA = ("data", "datasets")  # where such a folder is no package itself


def find_packages(names: Iterable[str]) -> list[str]:
    """The files and folders of these importable packages and of the shared libraries beside them. Raises `ValueError`
    for one that is not installed."""
    paths: list[str] = []
    for name in names:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or spec.origin in (None, "built-in", "frozen"):
            raise ValueError(f"sandbox.packages names {name!r}, which is not an installed package with files")
        path = os.path.dirname(str(spec.origin)) if spec.submodule_search_locations else str(spec.origin)
        beside = os.path.join(os.path.dirname(path), f"{name}.libs")
        paths += [os.path.realpath(p) for p in (path, beside) if os.path.exists(p)]
    return paths


class Packages:
    """Finds these packages, and no others that lie beside them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = {os.path.basename(path).split(".")[0]: path for path in paths if not path.endswith(".libs")}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """As an import asks; only top-level names are this finder's."""
        found = self._paths.get(name)
        if found is None:
            return None
        if not os.path.isdir(found):
            return importlib.util.spec_from_file_location(name, found)
        start = os.path.join(found, "__init__.py")
        return importlib.util.spec_from_file_location(name, start, submodule_search_locations=[found])


def readable() -> list[str]:
    """Files and folders that every program may read, except for what is `covered` in them; none lies within another."""
    wanted = [*(p for p in sys.path if os.path.isdir(p)), *glob.glob(_LOCAL_OBJECTS), _TIME_ZONES]
    for system in _SYSTEM:
        by_machine = glob.glob(f"{system}/*-linux-*/")
        wanted += by_machine or [system]
    kept: list[str] = []
    for path in sorted({os.path.realpath(p) for p in wanted if os.path.exists(p)}):
        if not any(path.startswith(parent + "/") for parent in kept):
            kept.append(path)
    return kept


def covered(path: str) -> list[str]:
    """The folders below `path` that a program may not read."""
    if path.startswith(_SYSTEM):  # large, and not Python's but for one place
        return [p for kind in _INSTALLED for p in glob.glob(f"{path}/python*/{kind}")]
    found: list[str] = []
    for folder, below, _ in os.walk(path):
        hidden = [name for name in below if _is_hidden(folder, name)]
        found += [os.path.join(folder, name) for name in hidden]
        below[:] = [name for name in below if name not in hidden]
    return found


def _is_hidden(folder: str, name: str) -> bool:
    if name in _DATA:
        return not os.path.exists(os.path.join(folder, name, "__init__.py"))
    return name in _INSTALLED or name in _TESTS


def split(path: str) -> tuple[list[str], list[str]]:
    """What below `path` may be read with all that it holds, and which folders may only be listed."""
    hidden = set(covered(path))
    above = {parent for one in hidden for parent in _parents(one, path)}
    whole = [path] if not above else []
    for folder in sorted(above):
        entries = [entry.path for entry in os.scandir(folder) if os.path.exists(entry.path)]
        whole += [entry for entry in entries if entry not in hidden and entry not in above]
    return whole, sorted(above)


def _parents(path: str, top: str) -> list[str]:
    parents = []
    while path != top:
        path = os.path.dirname(path)
        parents.append(path)
    return parents
