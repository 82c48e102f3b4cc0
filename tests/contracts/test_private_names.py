"""Every private name of a foreign library that the project uses stands here, and such a library has an upper bound."""

import ast
import atexit
import functools
import importlib
import re
import sys
import threading
import tomllib
from pathlib import Path

import pytest
import torch
from trl import GRPOTrainer
from trl.generation.vllm_generation import VLLMGeneration

ROOT = Path(__file__).resolve().parents[2]
NOT_HERE = "vllm"  # has an environment of its own
OURS = ("rollout", "rewards", "rl", "scripts", "benchmarks")
PRIVATE = {
    "trl": {
        "_prepare_inputs",  # replaced whole
        "_compute_loss",  # replaced whole
        "_buffered_inputs",  # the micro-batches of a round
        "_step",  # forward passes so far
        "_get_train_sampler",  # replaced: prompts come in our order
        "_get_output_dir",
        "_save_checkpoint",  # added to
        "_tokenizer",
        "_get_grad_norm",  # added to
        "_iter_named_params",  # the weights of a policy under their checkpoint names
        "_dist",
    },
    "torch": {"_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported"},
    "": {"_exit", "_run_exitfuncs", "_shutdown", "_base_executable", "_fields"},  # Python itself
}


@functools.cache
def trees():
    files = sorted(path for room in OURS for path in (ROOT / room).rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def is_private(name):
    return re.fullmatch(r"_[a-z]\w*", name) is not None


def defined():
    """What this project defines or stores under a private name."""
    nodes = [node for tree in trees().values() for node in ast.walk(tree)]
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    return names | {name for node in nodes if isinstance(node, ast.ClassDef) for name in slots(node)}


def slots(node):
    """The names of `__slots__`."""
    for line in node.body:
        if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "__slots__":
            return [name.value for name in ast.walk(line.value) if isinstance(name, ast.Constant)]
    return []


def foreign_bases(tree):
    """(class, the base that another library defines) of every class of a file."""
    imported = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] not in OURS
        for alias in node.names
    }
    for node in ast.walk(tree):
        for base in getattr(node, "bases", []):
            if isinstance(base, ast.Name) and imported.get(base.id, NOT_HERE).partition(".")[0] != NOT_HERE:
                yield node, getattr(importlib.import_module(imported[base.id]), base.id)


def replaced():
    """Private names that a class of ours shares with its foreign base."""
    found = set()
    for tree in trees().values():
        for node, base in foreign_bases(tree):
            names = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            names |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            found |= {name for name in names if is_private(name) and hasattr(base, name)}
    return found


def used():
    """Private attributes that nothing here defines, and private names that are imported."""
    own, found = defined(), set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] not in OURS:
                found |= {alias.name for alias in node.names}
    return {name for name in found if is_private(name) and name not in own}


@pytest.mark.medium
def test_every_private_name_of_a_library_that_is_used_stands_in_the_table():
    assert (used() | replaced()) - set().union(*PRIVATE.values()) == set()


@pytest.mark.medium
def test_no_name_of_the_table_is_out_of_use():
    text = "\n".join(path.read_text(encoding="utf-8") for path in trees())
    assert [name for names in PRIVATE.values() for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("library", [name for name in PRIVATE if name])
def test_a_library_whose_private_parts_are_used_has_an_upper_bound(library):
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (bound,) = [line for line in lines if re.match(rf"{library}\b", line)]
    assert re.search(r"==|<", bound)


def test_the_methods_are_there():
    on_trainer = PRIVATE["trl"] - {"_buffered_inputs", "_step", "_tokenizer", "_iter_named_params", "_dist"}
    assert [name for name in on_trainer if not callable(getattr(GRPOTrainer, name, None))] == []
    assert callable(VLLMGeneration._iter_named_params)
    assert [name for name in PRIVATE["torch"] if not hasattr(torch.ops.mkldnn, name)] == []
    assert callable(atexit._run_exitfuncs)
    assert callable(threading._shutdown)
    assert Path(sys._base_executable).is_file()
