"""Is this work done already, and was it made with the settings of now? The one answer for every stage of a run.

A stage declares a `Work`: what it makes, and the resolved settings and file contents that this depends on. They are
written to PRODUCT.settings.json when the work begins; the product appears whole when it ends. From then on:

    same settings    finished: skipped, nothing is rewritten; begun: it goes on
    other settings   refused in one line that names the keys and the ways on
    resume=never     what was made is moved to old/TIME/, with a line that says so, and the work begins anew

`free` settings may change when work goes on, and the line says from where on it is not what an unbroken run gives.
A key that a record does not know counts as its default. Records of earlier versions are mappings of whole sections
(`earlier`); they are believed in what they say and read as no answer in what they do not.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl.config.schema import Config
from rl.files.atomic import write_atomically
from rollout.errors import UserError

FINISHED = "finished"
FORMAT = "record"  # marks a record of every setting, as opposed to those of earlier versions
DIGEST = "sha256 "  # what begins the key of a file's contents, before the key that names the file
UNKNOWN = object()
# Said with the place that work goes on from, after lines of `begin` that tell of a change.
EXACT = "; bit for bit what an unbroken run gives up to there, and not from there on"


@dataclass(frozen=True)
class Work:
    """What a stage makes. `product`: the file or folder that is there when it is finished (`is_done`: where that is not
    all). `settings`: dotted key or `sha256 KEY` → value. `others`: what else belongs to it, in whatever state.
    `earlier`: records that other versions left."""

    name: str
    product: Path
    settings: Mapping[str, Any]
    free: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Path, ...] = ()
    earlier: tuple[Path, ...] = ()
    is_done: Callable[[], bool] | None = None

    @property
    def record(self) -> Path:
        """The file that says what the product was made with."""
        return self.product.with_name(f"{self.product.name}.settings.json")

    def exists(self) -> bool:
        """Whether anything of it is there."""
        return any(holds_something(path) for path in (self.product, *self.others))


def settings_of(config: Config, keys: Iterable[str], without: Iterable[str] = ()) -> dict[str, Any]:
    """The resolved values below these dotted keys, as JSON has them.

    >>> settings_of(Config(), ["model"], without=["model.lora", "model.path"])["model.dtype"]
    'float32'
    """
    left_out = tuple(without)
    found: dict[str, Any] = {}
    for key in keys:
        _collect(_at(config, key), key, found, left_out)
    return {key: _plain(value) for key, value in sorted(found.items())}


def is_finished(work: Work, resume: str = "auto") -> bool:
    """Whether there is nothing left to do. Raises `UserError` when work was made with other settings; with
    `resume="never"` nothing is finished."""
    if resume != "auto":
        return False
    refuse_others(work)
    old = read_record(work)
    same = all(_same(old, key, value) for key, value in work.free.items())
    return same and (work.is_done() if work.is_done else work.product.exists())


def refuse_others(work: Work) -> None:
    """Raises `UserError` when what is there was made with other settings; one line."""
    if not work.exists():
        return
    told = [_difference(key, old, new) for key, old, new in differences(work)]
    if told:
        place = work.product.parent
        raise UserError(
            f"{work.name} ({work.product}) was made with other settings: {'; '.join(told)}; allowed: the settings of "
            f"before, another place (run_dir or --out), or resume=never, which moves it to {place / 'old'}/TIME"
        )


def mark_finished(work: Work) -> None:
    """Say in the record that a product which grows row by row has all its rows; `has_mark` reads it."""
    old = read_record(work)
    new = {**old, **work.free, FINISHED: True}
    if FORMAT in old and new != old:
        write_atomically(work.record, json.dumps(new, indent=2, sort_keys=True) + "\n")


def has_mark(work: Work) -> bool:
    """Whether the record says so; an earlier version said it by writing one of `earlier`."""
    return bool(read_record(work).get(FINISHED)) or any(path.is_file() for path in work.earlier)


def matches(work: Work) -> bool:
    """Whether the product is there and was made with the settings of now; for what may simply be made anew."""
    return work.product.exists() and not differences(work)


def differences(work: Work) -> list[tuple[str, Any, Any]]:
    """(key, value then, value now) of the settings that differ. Where the contents of a file are known its name does
    not count: a folder may move."""
    old = read_record(work)
    moved = {key for key in work.settings if DIGEST + key in old and DIGEST + key in work.settings}
    return [(k, _recorded(old, k), v) for k, v in work.settings.items() if k not in moved and not _same(old, k, v)]


def begin(work: Work, resume: str = "auto", **machine: Any) -> list[str]:
    """Write the record before the first product is; returns lines for the user. `machine`: what shapes rounding and
    order but no result, such as ranks, devices and micro-batches. Call it on one process."""
    told = move_aside(work) if resume != "auto" else []
    refuse_others(work)
    old = read_record(work) if work.exists() else {}
    soft = {**work.free, **machine}
    told += [_change(key, _recorded(old, key), value) for key, value in soft.items() if not _same(old, key, value)]
    new = {FORMAT: 1, **work.settings, **{key: _plain(value) for key, value in soft.items()}}
    if old != new:
        write_atomically(work.record, json.dumps(new, indent=2, sort_keys=True) + "\n")
    return told


def move_aside(work: Work) -> list[str]:
    """Move everything of this work to old/TIME/ beside it; a line that says so, none where nothing was there."""
    paths = [path for path in (work.product, *work.others, work.record) if path.exists()]
    if not work.exists():
        work.record.unlink(missing_ok=True)
        return []
    return [f"{work.name}: what was there is now in {move_to_old(work.product.parent, paths)}"]


def read_record(work: Work) -> dict[str, Any]:
    """What the product was made with, as far as it is known: its record, else the first of the earlier ones."""
    for path in (work.record, *work.earlier):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def move_to_old(root: Path, paths: Sequence[Path]) -> Path:
    """Move these paths to old/TIME/ in `root`, as they lie there; returns that folder."""
    folder = _new_folder(root / "old")
    for path in paths:
        target = folder / (path.relative_to(root) if path.is_relative_to(root) else path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return folder


def holds_something(path: Path) -> bool:
    """Whether there is a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _collect(value: Any, key: str, found: dict[str, Any], without: tuple[str, ...]) -> None:
    if key in without:
        return
    if dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            _collect(getattr(value, one.name), f"{key}.{one.name}", found, without)
    else:
        found[key] = value


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _plain(value: Any) -> Any:
    """As it comes back from a JSON file."""
    if isinstance(value, list):
        value = [dataclasses.asdict(v) if dataclasses.is_dataclass(v) and not isinstance(v, type) else v for v in value]
    return json.loads(json.dumps(value))


def _same(old: Mapping[str, Any], key: str, new: Any) -> bool:
    value = _recorded(old, key)
    return value is UNKNOWN or value == _plain(new)


def _recorded(old: Mapping[str, Any], key: str) -> Any:
    """The value of a key in a record: as it stands there, inside a section, or the key's default."""
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        value: Any = old.get(".".join(parts[:count]), UNKNOWN)
        for part in parts[count:]:
            value = value.get(part, UNKNOWN) if isinstance(value, Mapping) else UNKNOWN
        if value is not UNKNOWN:
            return value
    return _default(key) if FORMAT in old or isinstance(old.get(parts[0]), Mapping) else UNKNOWN


def _default(key: str) -> Any:
    try:
        return _plain(settings_of(Config(), [key]).get(key, UNKNOWN))
    except (AttributeError, TypeError):
        return UNKNOWN


def _difference(key: str, old: Any, new: Any) -> str:
    if key.startswith(DIGEST):
        return f"{key.removeprefix(DIGEST)} has other contents"
    return f"{key} {_short(old)}, now {_short(new)}"


def _change(key: str, old: Any, new: Any) -> str:
    return f"{key} is {_short(new)} now, {_short(old)} before"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _new_folder(old: Path) -> Path:
    """old/TIME, in UTC; with a number where two moves fall into one second."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    names = [stamp, *(f"{stamp}-{number}" for number in range(2, 1000))]
    folder = next(old / name for name in names if not (old / name).exists())
    folder.mkdir(parents=True)
    return folder
