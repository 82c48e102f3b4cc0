"""What every script does before its work."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import ROOT, environment, settings

from rewards.sandbox import configure, pool
from rl.checks.requirements import check_requirements
from rl.cli import check_light, parser, run, seeds_of
from rl.config.read import parse_config
from rl.config.schema import ConfigError


@pytest.fixture
def own_sandbox():
    yield
    configure()


def test_the_sandbox_takes_its_tier_from_the_configuration(tmp_path, own_sandbox):
    check_light(parse_config(settings(tmp_path, Path("tiny"), sandbox={"workers": 1, "tier": 2})))
    assert pool._state["pool"].tier == 2


def full_disk(folder):
    with open("/dev/full", "w") as file:
        file.write("a")


def file_for_a_folder(folder):
    (folder / "taken").write_text("")
    (folder / "taken" / "inside").write_text("")


def folder_for_a_file(folder):
    folder.write_text("")


def missing_package(folder):
    import no_such_package  # noqa: F401


def weights_to_a_full_disk(folder):
    torch.save({"a": torch.zeros(10**5)}, "/dev/full")


def cut_weights(folder):
    save_file({"a": torch.zeros(100)}, folder / "a.safetensors")
    (folder / "a.safetensors").write_bytes((folder / "a.safetensors").read_bytes()[:60])
    load_file(folder / "a.safetensors")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (full_disk, "No space left on device"),
        (file_for_a_folder, "Not a directory: .*taken"),
        (folder_for_a_file, "Is a directory"),
        (missing_package, "a package is missing: .*no_such_package"),
        (weights_to_a_full_disk, "a file of weights could not be read or written|No space left"),
        (cut_weights, "a file of weights could not be read or written"),
    ],
)
def test_an_error_that_a_user_can_cause_is_one_line_and_exit_code_2(cause, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command", "configs/demo.yaml"])
    with pytest.raises(SystemExit) as ended:
        run(lambda options, config: cause(tmp_path), parser("A command."))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(told, line)


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command", "configs/demo.yaml"])
    with pytest.raises(KeyError):
        run(lambda options, config: {}["gone"], parser("A command."))


def test_a_run_folder_that_cannot_be_written_is_told_first(tmp_path):
    (tmp_path / "taken").write_text("")
    for run_dir in (tmp_path / "taken", tmp_path / "taken" / "run"):
        with pytest.raises(ConfigError, match="taken' is a file; allowed: a folder, or a new name"):
            check_requirements(parse_config({"run_dir": str(run_dir)}))
    with pytest.raises(ConfigError, match="nothing can be written in '/proc'"):
        check_requirements(parse_config({"run_dir": "/proc/run"}))
    check_requirements(parse_config({"run_dir": str(tmp_path / "new" / "run")}))


def test_step_srpo_without_a_judge_is_refused():
    raw = {"data": {"shares": {"1": 1.0}, "train_size": 4, "test_size": 4}, "rewards": [{"name": "math"}]}
    with pytest.raises(ValueError, match=r"'step_srpo' and no reward is of step judge"):
        check_light(parse_config(raw))
    check_light(parse_config({**raw, "algorithm": {"name": "step_srpo", "judge_weight": 0.0}}))
    check_light(parse_config({**raw, "algorithm": {"name": "grpo"}}))


@pytest.mark.parametrize(
    "text", ["", "-1", "5-1", "a", "1,b", "0-x", "0-999999999999", "99999999999", "1,4294967296", "1,5-2"]
)
def test_seeds_that_are_none_are_refused_with_what_is_allowed(text):
    with pytest.raises(argparse.ArgumentTypeError, match="allowed: 0-4 or 1,3"):
        seeds_of(text)


def test_a_list_of_keys_may_be_read_in_part():
    command = f"{sys.executable} {ROOT}/scripts/train.py --keys | head -1"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment(), check=True)
    assert (shown.stdout, shown.stderr) == ("run_dir = 'runs/run'   [text]\n", "")
