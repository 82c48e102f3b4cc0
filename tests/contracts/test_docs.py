"""What README and docs name is there: paths, links, make targets, options of scripts, configuration keys, modules."""

import dataclasses
import importlib
import itertools
import re
from pathlib import Path

import pytest

from rl.config.describe import keys, sections
from rl.config.foreign import NAMES_ELSEWHERE
from rl.config.schema import Config
from rollout.types import Rollout

ROOT = Path(__file__).resolve().parents[2]
# The log is a diary: it may name what was removed.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name != "log.md"]
ROOMS = ("rl", "rollout", "rewards", "scripts", "benchmarks", "configs", "docs", "tests")
SECTIONS = dict(sections(Config))
KEYS = {name for name, *_ in keys(Config)} | {f"stages.{name}" for name, *_ in keys(SECTIONS["stages"])}
FREE = ("rewards", "algorithm")  # checked by the functions that they name
# Of objects that are called like a section.
ATTRIBUTES = {"trainer.round", *(f"rollout.{field.name}" for field in dataclasses.fields(Rollout))}


def code(page):
    """What a page sets as code: spans in backticks, and the lines of its blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *```.*?\n.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", text), [line for block in blocks for line in block.splitlines()]


def expanded(text):
    """`a/{b,c}.py` as its two paths."""
    parts = re.split(r"\{([^{}]*,[^{}]*)\}", text)
    choices = [[part] if i % 2 == 0 else [one.strip() for one in part.split(",")] for i, part in enumerate(parts)]
    return ["".join(found) for found in itertools.product(*choices)]


def exists(path):
    return any(ROOT.glob(path.rstrip("/"))) if "*" in path else (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_and_link_is_there(page):
    spans, lines = code(page)
    paths = [
        path
        for text in [*spans, *lines]
        for found in re.findall(rf"(?<![\w/.:-])(?:{'|'.join(ROOMS)})/(?:\{{[^{{}}]*\}}|[\w./*-])*", text)
        for path in expanded(found.rstrip("."))
        if not re.search(r"\b[A-Z]{2,}\b(?!\.md)", path)  # NAME stands for a name
    ]
    missing = [path for path in paths if not exists(path)]
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing += [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_name_that_is_said_to_be_in_a_file_is_in_it(page):
    text = " ".join(page.read_text(encoding="utf-8").split())
    named = re.findall(r"`(\w+)`(?: and `(\w+)`)? (?:in|of) `([\w/]+\.py)`", text)
    found = [(name, file) for *names, file in named for name in names if name and (ROOT / file).is_file()]
    assert [pair for pair in found if not re.search(rf"\b{pair[0]}\b", (ROOT / pair[1]).read_text())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_bare_name_of_a_file_is_a_file_somewhere(page):
    spans, _ = code(page)
    bare = {span for span in spans if re.fullmatch(r"[a-z]\w*\.(?:py|json|yaml)", span) and not span.startswith("my_")}
    known = {path.name for room in ROOMS for path in (ROOT / room).rglob("*.*")}
    written = {name for path in (ROOT / "rl").rglob("*.py") for name in re.findall(r"\w+\.json", path.read_text())}
    assert bare - known - written == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_is_in_the_makefile(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spans, lines = code(page)
    named = {target for text in [*spans, *lines] for target in re.findall(r"(?:^|; )make ([a-z][\w-]*)", text)}
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_of_a_script_is_in_its_file(page):
    spans, lines = code(page)
    missing = []
    for text in [*spans, *lines]:
        for script, rest in re.findall(r"((?:scripts|benchmarks)/\w+\.py)([^#;]*)", text):
            known = (ROOT / script).read_text() + (ROOT / "rl" / "cli.py").read_text()
            known += (ROOT / "benchmarks" / "common.py").read_text()
            missing += [f"{script} {option}" for option in re.findall(r"--[a-z][\w-]*", rest) if option not in known]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_key_is_one(page):
    spans, lines = code(page)
    missing = []
    for text in [*spans, *(line for line in lines if "=" in line)]:
        for key in re.findall(rf"(?<![\w./])((?:{'|'.join(SECTIONS)})(?:\.[a-z]\w*)+)", text):
            known = any(name == key or name.startswith(f"{key}.") or key.startswith(f"{name}.") for name in KEYS)
            file = key.endswith((".py", ".json", ".jsonl", ".yaml", ".safetensors"))
            if not (known or file or key.partition(".")[0] in FREE or key in ATTRIBUTES or resolves(key)):
                missing.append(key)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_dotted_name_of_ours_can_be_imported(page):
    spans, lines = code(page)
    missing = []
    for text in [*spans, *lines]:
        for name in re.findall(r"(?<![\w./])((?:rl|rollout|rewards)(?:\.[A-Za-z_]\w*)+)", text):
            is_key = any(one == name or one.startswith(f"{name}.") for one in KEYS)
            if not (is_key or name in ATTRIBUTES or name.endswith(".py") or resolves(name)):
                missing.append(name)
    assert missing == []


def resolves(name):
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def test_the_names_of_other_trainers_point_to_keys():
    told = {word.rstrip(",:") for name in NAMES_ELSEWHERE.values() for word in name.split() if "." in word}
    told = {word for word in told if word.split(".")[0] in SECTIONS}
    assert {word for word in told if word not in KEYS and word.split(".")[0] not in FREE} == set()
