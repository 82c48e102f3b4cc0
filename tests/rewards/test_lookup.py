"""Names that lead to functions: entry points of installed packages, files, modules."""

import importlib
import sys

import pytest

from rewards.builtin.format import format_ok
from rewards.lookup import find_function
from rewards.plugin import RewardError
from rewards.registry import build_rewards


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package: a module and the metadata that pip would write beside it."""

    def write(distribution, module, source, entry_points):
        folder = tmp_path / distribution
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in entry_points.items())
        (info / "entry_points.txt").write_text(f"[step_srpo.rewards]\n{lines}")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, module, raising=False)

    return write


def test_a_reward_published_by_an_installed_package_is_found_by_its_name(install):
    source = "def score(rollout, *, bonus=0.0):\n    return 0.5 + bonus\n"
    install("nice-rewards", "nice_rewards_module", source, {"nice": "nice_rewards_module:score"})
    (reward,) = build_rewards([{"name": "nice", "bonus": 0.25}])
    assert (reward.name, reward.function(None, bonus=0.25)) == ("nice", 0.75)


def test_a_published_name_is_offered_when_it_is_misspelt(install):
    install(
        "nice-rewards", "nice_rewards_module", "def score(rollout): return 1.0\n", {"nice": "nice_rewards_module:score"}
    )
    with pytest.raises(RewardError, match="no reward named 'nise'; did you mean 'nice'"):
        find_function("nise")


def test_a_shipped_name_cannot_be_taken_over_by_a_package(install):
    install("sly", "sly_module", "def f(rollout): return 1.0\n", {"format": "sly_module:f"})
    assert find_function("format") is format_ok


def test_a_name_published_twice_names_both_packages(install):
    install("one", "module_one", "def f(rollout): return 1.0\n", {"twin": "module_one:f"})
    install("two", "module_two", "def f(rollout): return 0.0\n", {"twin": "module_two:f"})
    with pytest.raises(RewardError, match="'twin' is published by one and by two; use a dotted path instead"):
        find_function("twin")
    assert find_function("module_two.f")(None) == 0.0


def test_a_package_that_does_not_load_is_named(install):
    install(
        "broken-one", "broken_module", "import no_such_thing_here\n", {"sad": "broken_module:f", "odd": "json:__name__"}
    )
    with pytest.raises(RewardError, match="'sad' of the package 'broken-one' fails to load: ModuleNotFoundError"):
        find_function("sad")
    with pytest.raises(RewardError, match="'odd' of the package 'broken-one' is no function"):
        find_function("odd")


def test_a_file_is_loaded_once_for_all_its_functions_and_again_when_it_changed(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "CALLS = []\ndef f(rollout): CALLS.append(1); return len(CALLS)\ndef g(rollout): return len(CALLS)\n"
    )
    find_function(f"{path}:f")(None)
    assert find_function(f"{path}:g")(None) == 1
    path.write_text("def g(rollout): return 'new'\n")
    assert find_function(f"{path}:g")(None) == "new"


def test_files_of_the_same_name_do_not_mix_and_may_hold_dataclasses(tmp_path):
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Box:\n    value: int\ndef f(rollout): return Box({}).value\n"
    )
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(source.format(value))
    assert [find_function(f"{tmp_path}/{folder}/mine.py:f")(None) for folder in ("a", "b")] == [1, 2]


@pytest.mark.parametrize("body", ["1 / 0\n", "def f(:\n", "import no_such_thing_here\n", "import sys\nsys.exit(0)\n"])
def test_a_file_or_module_that_fails_to_load_is_named(tmp_path, monkeypatch, body):
    (tmp_path / "sour.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RewardError, match=r"'.*sour\.py' fails to load: "):
        find_function(f"{tmp_path / 'sour.py'}:f")
    with pytest.raises(RewardError, match=r"reward: (cannot import )?'sour'"):
        find_function("sour:f")


@pytest.mark.parametrize("name", ["../x", ".x", "a..b", "a b.c", "./x", "/x", "a/b.c", "x.", ":f", "a:", "1.5"])
def test_what_cannot_name_a_module_or_file_is_told_the_known_names(name):
    with pytest.raises(RewardError, match=r"no reward named .*known: judge, .*file\.py:function"):
        find_function(name)


@pytest.mark.parametrize("name", ["builtins:min", "builtins:dict"])
def test_a_function_that_does_not_say_what_it_takes_is_named(name):
    with pytest.raises(RewardError, match=f"'{name}' does not say what it takes"):
        find_function(name)


@pytest.mark.parametrize("name", ["~no_such_user_here/x.py:f", f"{'x' * 5000}.py:f"])
def test_a_file_that_cannot_be_there_is_named(name):
    with pytest.raises(RewardError, match="no file '"):
        find_function(name)
