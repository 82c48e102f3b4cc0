"""Imports point one way, come from this tree, are declared, and are light where they must be."""

import ast
import functools
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("rollout", "rewards", "rl", "scripts")
FILES = sorted(path for room in ORDER for path in (ROOT / room).rglob("*.py"))
# Rooms of one row may import each other; of other rows only those above.
FLOORS = (
    {"config"},
    {"files", "statistics"},
    {"data", "worlds", "models"},
    {"algorithms", "curriculum", "evaluation"},
    {"checks", "training", "cold_start"},
    {"serving", "distillation", "planning"},
    {"reports", "comparison"},
    {"pipeline", "cli"},
)
LIBRARIES = {"math", "torch", "trl", "vllm", "wandb", "transformers", "datasets", "numpy", "json"}


@functools.cache
def imported(path):
    """Every module that a file imports, wherever in it; relative ones made absolute."""
    package, names = path.relative_to(ROOT).parts[:-1], []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names.append(".".join([*base, *([node.module] if node.module else [])]))
    return names


def test_there_are_files_to_check():
    rooms = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert rooms == set(ORDER)
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_from_scripts_to_rl_to_rewards_to_rollout(path):
    room = path.relative_to(ROOT).parts[0]
    allowed = ORDER[: ORDER.index(room) + 1]
    for name in imported(path):
        top = name.partition(".")[0]
        assert top not in ORDER or top in allowed, f"{path.relative_to(ROOT)} imports {name}"
        assert top != "tests"


@pytest.mark.parametrize("path", sorted((ROOT / "rl").glob("*/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rooms_of_rl_import_from_their_own_floor_and_those_below(path):
    floor = {room: index for index, rooms in enumerate(FLOORS) for room in rooms}
    here = floor[path.relative_to(ROOT).parts[1]]
    others = [name.split(".")[1] for name in imported(path) if name.startswith("rl.")]
    assert [room for room in others if floor[room] > here] == []


def test_the_readme_has_one_line_for_every_room():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rooms = [path.parent for top in ORDER[:3] for path in (ROOT / top).glob("*/__init__.py")]
    assert [room.name for room in rooms if sum(line.startswith(f"  {room.name}/") for line in lines) != 1] == []


def test_every_imported_package_is_declared():
    """Those that pyproject.toml names, extras too, as distributions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared, by_module = (
        {canonicalize_name(Requirement(line).name) for line in lines},
        metadata.packages_distributions(),
    )
    modules = {name.partition(".")[0]: path for path in FILES for name in imported(path)}
    for module in modules.keys() - sys.stdlib_module_names - set(ORDER) - {""}:
        providers = {canonicalize_name(name) for name in by_module.get(module, [module])}
        assert providers & declared, f"{modules[module].relative_to(ROOT)} imports {module}: not in pyproject.toml"


def test_scripts_do_not_import_each_other():
    for path in (ROOT / "scripts").glob("*.py"):
        assert not [name for name in imported(path) if name.partition(".")[0] == "scripts"]


def test_only_engines_trainers_and_model_files_import_torch():
    torch_or_trl = {"torch", "trl"}
    heavy = {
        str(path.relative_to(ROOT))
        for path in FILES
        if torch_or_trl & {name.partition(".")[0] for name in imported(path)}
    }
    light = {
        "rollout/types.py",
        "rollout/protocol.py",
        "rollout/modes.py",
        "rollout/collect.py",
        "rollout/engines/base.py",
    }
    light |= {
        "rl/config/schema.py",
        "rl/data/load.py",
        "rl/training/masks.py",
        "rl/curriculum/history.py",
        "rl/training/metrics.py",
        "rl/files/run_log.py",
    }
    assert not heavy & light
    outside = {name for name in heavy if name.startswith(("rewards/", "rl/algorithms/", "scripts/"))}
    assert outside == {"scripts/minimal.py"}  # the reader's version, all in one file


def test_one_file_imports_vllm_and_those_that_an_export_copies():
    users = [path for path in FILES if "vllm" in {name.partition(".")[0] for name in imported(path)}]
    assert [str(path.relative_to(ROOT)) for path in users] == [
        "rl/serving/dial_processor.py",
        "rl/serving/step_srpo_parser.py",
        "rollout/engines/vllm_local.py",
    ]


def test_no_module_is_named_like_a_library():
    assert not [path for path in FILES if path.stem in LIBRARIES or path.stem in sys.stdlib_module_names - {"types"}]


def run_python(code, folder):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_the_three_packages_come_from_this_tree_wherever_python_starts(tmp_path):
    files = run_python("import rl, rewards, rollout; print(rl.__file__, rewards.__file__, rollout.__file__)", tmp_path)
    assert [Path(file).resolve() for file in files] == [ROOT / n / "__init__.py" for n in ("rl", "rewards", "rollout")]


@pytest.mark.medium
@pytest.mark.parametrize(
    "modules",
    [
        "rl.config.schema, rl.config.read, rl.data, rewards.registry",
        "rl.cli",
        "rl.algorithms, rl.training.masks",
        "rollout.collect, rl.training.metrics",
    ],
)
def test_configuration_data_and_rewards_are_checked_without_importing_torch(modules, tmp_path):
    code = f"import sys, {modules}; print(*(m for m in ('torch', 'transformers', 'trl', 'wandb') if m in sys.modules))"
    assert run_python(code, tmp_path) == []


@pytest.mark.medium
def test_loading_the_embedded_problems_and_all_shipped_rewards_does_not_import_torch(tmp_path):
    code = (
        "import sys; from rl.config.read import load_config; from rl.cli import check_light; "
        f"check_light(load_config({str(ROOT / 'configs' / 'demo.yaml')!r}, ['data.train_size=20'])); "
        "print('torch' in sys.modules)"
    )
    assert run_python(code, tmp_path) == ["False"]
