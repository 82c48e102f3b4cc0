"""SIGTERM: what is finished stays, a step under way is finished and saved, the exit code is 0, the command is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from small_runs import ROOT, environment, metrics, save_policy, settings, started, write_config

from rl.files import terminated
from rl.files.terminated import Terminated, asked, at_the_next_step, command_that_goes_on, ends_on_sigterm


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_signal_is_raised_where_it_arrives_and_held_back_while_a_trainer_asks():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def receive() -> None:
        with ends_on_sigterm():
            seen.append(asked())
            with at_the_next_step():
                send()
                seen.append(asked())
            send()
            seen.append("went on")

    with pytest.raises(Terminated):
        receive()
    assert seen == [False, True]
    assert not asked()
    assert signal.getsignal(signal.SIGTERM) == before
    assert not issubclass(Terminated, Exception)  # a plug-in's `except Exception` does not swallow it


@pytest.fixture
def heard():
    """Interrupts are heard, also where the tests run in the background of a shell that has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_first_interrupt_is_held_back_too_and_a_second_one_is_pythons_own():
    def interrupted() -> None:
        with ends_on_sigterm(), at_the_next_step():
            signal.raise_signal(signal.SIGINT)
            assert (asked(), terminated.ended_by()) == (True, ("Ctrl-C", 130))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(Terminated), ends_on_sigterm():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Terminated), ends_on_sigterm():
        send()
    assert terminated.ended_by() == ("SIGTERM", 0)


def test_an_interrupt_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ends_on_sigterm():
            signal.raise_signal(signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_launcher_that_ignores_sigterm_leaves_it_to_its_ranks():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(Terminated), ends_on_sigterm():
            send()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.medium
@pytest.mark.usefixtures("heard")
def test_an_interrupted_run_saves_its_step_and_says_how_to_go_on(tmp_path):
    trainer = {"steps": 4000, "save_every": 4000}
    raw = settings(tmp_path / "run", save_policy(tmp_path / "policy"), trainer=trainer)
    with started("train.py", str(write_config(tmp_path / "config.json", raw))) as run:
        assert run.wait_until((tmp_path / "run" / "metrics.jsonl").is_file)
        run.send(signal.SIGINT)
        (done,) = run.ended(60)
    assert (done.returncode, "ended by Ctrl-C" in done.stdout, "Traceback" in done.stderr) == (130, True, False)
    assert list((tmp_path / "run" / "checkpoints").glob("checkpoint-*/complete.json"))


def test_the_command_that_goes_on_is_the_own_one_without_the_word_that_begins_anew(monkeypatch):
    monkeypatch.setattr("sys.argv", ["scripts/train.py", "a b.yaml", "resume=never", "seed=1"])
    assert command_that_goes_on() == "python scripts/train.py 'a b.yaml' seed=1"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert command_that_goes_on() == "torchrun --nproc_per_node=2 scripts/train.py 'a b.yaml' seed=1"
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert command_that_goes_on().startswith("torchrun --nproc_per_node=2 --nnodes=3 scripts/train.py")
    assert terminated.command_that_goes_on(["x.py"]).endswith(" x.py")


@pytest.fixture
def config(tmp_path):
    policy = save_policy(tmp_path / "policy")
    trainer = {"steps": 40, "save_every": 40, "learning_rate": 1e-2, "iterations": 2}
    return write_config(tmp_path / "config.json", settings(tmp_path / "run", policy, trainer=trainer))


@pytest.mark.medium
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_terminated_run_saves_its_step_ends_with_0_and_ends_as_an_unbroken_one(tmp_path, config, ranks):
    with started("train.py", str(config), "trainer.steps=6", f"run_dir={tmp_path}/whole", ranks=ranks) as run:
        assert [rank.returncode for rank in run.ended()] == [0] * ranks
    file, broken = tmp_path / "run" / "metrics.jsonl", ("train.py", str(config), "trainer.steps=6")
    with started(*broken, "resume=never", ranks=ranks) as run:
        assert run.wait_until(lambda: file.is_file() and file.stat().st_size > 0)
        run.send(signal.SIGTERM, [ranks - 1])  # one rank is told, and all of them stop at the same step
        results = run.ended()
    assert [result.returncode for result in results] == [0] * ranks, results
    (checkpoint,) = (tmp_path / "run" / "checkpoints").glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step % 2 == 0  # between the two steps on one generation nothing could go on exactly
    assert json.loads((checkpoint / "complete.json").read_text())["step"] == step
    (told,) = [line for line in results[0].stdout.splitlines() if "To go on: " in line]
    assert told.endswith(f"train.py {config} trainer.steps=6")
    assert not (tmp_path / "run" / "model").exists()
    with started(*broken, ranks=ranks) as run:
        assert [rank.returncode for rank in run.ended()] == [0] * ranks
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("to_ranks", [False, True], ids=["torchrun gets it", "left to the ranks"])
def test_under_torchrun_the_ranks_save_and_the_command_that_is_told_goes_on(tmp_path, config, to_ranks):
    """torchrun passes the signal on and then ends with 1; deaf to it, it ends as its ranks do, with 0."""
    arguments = [str(ROOT / "scripts/train.py"), str(config), "trainer.steps=6"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)} if to_ranks else {}
    handled = ["--signals-to-handle=SIGINT"] if to_ranks else []
    file = tmp_path / "run" / "metrics.jsonl"
    with (tmp_path / "out").open("w") as out:
        run = subprocess.Popen([*launcher, *handled, *arguments], stdout=out, env=environment(), **deaf)
        while run.poll() is None and not (file.is_file() and file.stat().st_size):
            time.sleep(0.05)
        for process in psutil.Process(run.pid).children(recursive=True) * to_ranks:
            process.terminate()
        run.terminate()
        assert run.wait(200) == (0 if to_ranks else 1)
    (checkpoint,) = (tmp_path / "run" / "checkpoints").glob("checkpoint-*")
    assert (checkpoint / "complete.json").is_file()
    (told,) = [line for line in (tmp_path / "out").read_text().splitlines() if "To go on: " in line]
    assert told.endswith(f"To go on: torchrun --nproc_per_node=2 {' '.join(arguments)}")
    assert not (tmp_path / "run" / "model").exists()
    done = subprocess.run(
        [*launcher, *arguments], env=environment(), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"resuming from {checkpoint}" in done.stdout
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
