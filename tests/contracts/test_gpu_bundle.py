"""`scripts/gpu_bundle.py`: what goes into the folder of wheels. Building one needs an index, so no test does."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from small_runs import ROOT


@pytest.fixture(scope="module")
def bundle():
    spec = importlib.util.spec_from_file_location("gpu_bundle", ROOT / "scripts" / "gpu_bundle.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_bundle"] = module
    spec.loader.exec_module(module)
    return module


class Resolver:
    """Answers as uv would on a small index, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def pins(self, wanted, *options, **lists):
        self.asked.append((list(wanted), options, {name: set(lines) for name, lines in lists.items()}))
        if options == ("--resolution", "lowest"):
            return ["torch==2.11.0", "transformers==5.17.0", "numpy==2.0.0", "httpx==0.20.0"]
        if options == ("--resolution", "highest"):
            return ["torch==2.15.0", "transformers==5.24.0", "numpy==2.5.0", "httpx2==2.0.0"]
        return ["torch==2.11.0", "numpy==2.4.6", "trl==1.16.0", "pandas==3.0.6", "nvidia-nccl-cu13==2.29.7"]


def test_it_asks_for_what_the_project_needs_but_torch_transformers_reports_and_wandb(bundle):
    found = bundle.names(bundle.asked())
    assert {"trl", "datasets", "accelerate", "peft", "pydantic", "requests"} <= found
    assert not {"torch", "transformers", "matplotlib", "wandb"} & found


def test_left_out_is_what_every_allowed_torch_and_transformers_bring(bundle):
    resolver = Resolver()
    bundle.missing(resolver, None)
    (_, _, lists) = resolver.asked[-1]
    assert lists["excludes"] == {"torch", "transformers", "numpy"}
    assert lists["constraints"] == set(bundle.SMALL)


def test_with_a_list_of_that_machine_its_versions_hold_and_its_packages_and_cuda_are_left_out(bundle, tmp_path):
    resolver = Resolver()
    (tmp_path / "freeze.txt").write_text("Pandas\ntorch==2.11.0+cu130\n-e git+somewhere#egg=x\nnumpy @ file:///x\n")
    assert bundle.missing(resolver, tmp_path / "freeze.txt") == ["trl==1.16.0"]
    assert resolver.asked[-1][2]["constraints"] == {"torch==2.11.0"}
