"""Each environment pins all that pyproject.toml declares, within its bounds. `make lock` writes the pins."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = {
    "constraints.txt": {"dev", "deepspeed", "gguf", "reasoning_gym"},
    "constraints-gpu.txt": {"dev", "deepspeed", "gguf", "reasoning_gym", "vllm"},
    "tests/on_vllm/requirements.txt": {"dev"},
}


def declared(extras=()):
    """The requirements of the project with these extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in sorted(extras) for line in EXTRAS[extra])]
    return [Requirement(line) for line in lines]


def pins(file):
    """The versions that a file pins, by canonical name; one may differ between Pythons or systems."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pin = Requirement(line)
            (one,) = pin.specifier
            assert one.operator == "==", line
            found.setdefault(canonicalize_name(pin.name), []).append(one.version)
    return found


@pytest.mark.parametrize("file", FILES)
def test_an_environment_pins_all_that_it_declares_within_its_bounds(file):
    found = pins(file)
    for requirement in declared(FILES[file]):
        versions = found[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_constraints_pin_what_the_pinned_packages_ask_for():
    found = pins("constraints.txt")
    todo, seen = [canonicalize_name(r.name) for r in declared(FILES["constraints.txt"])], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name in found
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # an extra that is not installed here
            continue
        needs = [Requirement(line) for line in wanted]
        todo += [canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate()]
    assert len(seen) > 60


def test_torch_and_transformers_have_upper_bounds_because_private_parts_are_used():
    bounded = {r.name for r in declared() if {"<", "=="} & {one.operator for one in r.specifier}}
    assert bounded >= {"torch", "transformers", "accelerate", "trl"}


def test_the_gpu_environment_has_a_vllm_that_trl_supports():
    lines = [re.match(r"vllm(\S+);.*vllm", line.replace(" ", "")) for line in metadata.requires("trl") or []]
    (supported,) = [Requirement(f"vllm{match[1]}") for match in lines if match]
    (version,) = pins("constraints-gpu.txt")["vllm"]
    assert supported.specifier.contains(version)
