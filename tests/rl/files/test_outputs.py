"""No command destroys a file that it did not write, two do not write one file, and what cannot be written is told."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import socket
import subprocess
from pathlib import Path

import pytest
from small_runs import save_policy, script, settings, write_config

from rl.files.outputs import check_writable, claim, claim_recognised, hold, write_claimed
from rl.files.row_store import RowStore
from rollout.errors import UserError


def test_what_a_command_wrote_it_may_write_again_and_nobody_else(tmp_path):
    path = tmp_path / "out.jsonl"
    claim(path, "select.py")
    write_claimed(path, "1\n", "select.py")
    claim(path, "select.py")
    write_claimed(path, "2\n", "select.py")
    with pytest.raises(UserError, match=r"is not what check\.py wrote"):
        claim(path, "check.py")
    assert path.read_text() == "2\n"


@pytest.mark.parametrize("change", ["foreign", "edited"])
def test_a_foreign_or_edited_file_is_refused(tmp_path, change):
    path = tmp_path / "out.jsonl"
    if change == "edited":
        write_claimed(path, "1\n", "select.py")
    path.write_text("mine\n")
    with pytest.raises(UserError, match="allowed: a new file, or that one moved away"):
        claim(path, "select.py")


def test_its_own_source_is_refused_under_whatever_name(tmp_path):
    path = tmp_path / "selected.jsonl"
    write_claimed(path, "1\n", "select.py")
    (tmp_path / "link.jsonl").symlink_to(path)
    with pytest.raises(UserError, match="is what the command reads"):
        claim(path, "select.py", [tmp_path / "link.jsonl"])


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out.json", Path("/proc/nowhere/out.json")):
        with pytest.raises(UserError, match="cannot be written"):
            check_writable(path)
    with pytest.raises(UserError, match="is a folder; allowed: a file"):
        check_writable(tmp_path)
    with pytest.raises(UserError, match="is a file; allowed: a folder"):
        check_writable(tmp_path / "file", folder=True)
    check_writable(tmp_path / "new" / "deep" / "out.json")
    assert not (tmp_path / "new").exists()


def _held_elsewhere(path, ready, done):
    hold(path)
    ready.set()
    done.wait(30)


@pytest.mark.medium
def test_a_device_a_pipe_and_a_name_too_long_are_refused_and_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/full"), tmp_path / "pipe", tmp_path / ("n" * 300)):
        for begin in (check_writable, lambda path: claim(path, "x"), lambda path: claim_recognised(path, ["modes"])):
            with pytest.raises(UserError, match=path.name):
                begin(path)


def test_two_processes_do_not_write_one_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_held_elsewhere, args=(tmp_path / "rows.jsonl", ready, done))
    other.start()
    assert ready.wait(60)
    for begin in (RowStore.hold, lambda store: store.append([{"id": "a"}])):
        with pytest.raises(UserError, match=f"process {other.pid} on .* is writing"):
            begin(RowStore(tmp_path / "rows.jsonl", {"model": "m"}))
    done.set()
    other.join()
    RowStore(tmp_path / "rows.jsonl", {"model": "m"}).hold()


def test_where_files_cannot_be_locked_the_name_of_the_process_counts(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    lock, ended = tmp_path / ".training.lock", subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr("fcntl.lockf", no_locks)
    here = socket.gethostname()
    for owner in ({"pid": os.getppid(), "host": here}, {"pid": ended.pid, "host": "elsewhere"}):
        lock.write_text(json.dumps(owner))
        with pytest.raises(UserError, match=f"process {owner['pid']} on {owner['host']}"):
            hold(tmp_path / "training")
    for stale in (json.dumps({"pid": ended.pid, "host": here}), "", "{", "[]"):
        lock.write_text(stale)
        hold(tmp_path / "training")
        assert json.loads(lock.read_text()) == {"pid": os.getpid(), "host": here}


@pytest.mark.parametrize("fresh", [False, True])
def test_finished_rows_begin_on_no_foreign_file(tmp_path, fresh):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"id": "a"}\n{"id": "b"}')  # no end of the last line, which would be cut off
    with pytest.raises(UserError, match="nothing says what with; allowed: another file"):
        RowStore(path, {"model": "m"}, fresh=fresh)
    assert path.read_bytes() == b'{"id": "a"}\n{"id": "b"}'


@pytest.mark.medium
def test_the_commands_refuse_a_data_file_before_a_byte_changes(tmp_path):
    policy = save_policy(tmp_path / "policy")
    rows = [{"id": str(i), "prompt": f"1 + {i}", "answer": str(i + 1)} for i in range(4)]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    labelled = tmp_path / "labels.jsonl"
    labelled.write_text("".join(json.dumps(row | {"label": {"complexity": 0.5}}) + "\n" for row in rows))
    before = {path: path.read_bytes() for path in (data, labelled)}
    raw = settings(tmp_path / "run", policy, data={"path": str(tmp_path), "train": "data.jsonl", "test": "data.jsonl"})
    config = str(write_config(tmp_path / "config.json", raw))
    (tmp_path / "train.jsonl").write_bytes(data.read_bytes())
    for command in (
        ("label_necessity.py", config, "--out", str(data)),
        ("label_necessity.py", config, "--out", str(data), "resume=never"),
        ("select_problems.py", config, "--labels", str(labelled), "--out", str(labelled)),
        ("select_problems.py", config, "--labels", str(labelled), "--out", str(data)),
        ("check_data.py", config, "--out", str(tmp_path)),
        ("check_rewards.py", config, "--json", str(data)),
        ("evaluate.py", config, "--model", str(policy), "--out", str(data)),
        ("convert_data.py", str(data), "--out", str(data)),
        ("evaluate.py", config, "--model", str(policy), "--out", "/proc/nowhere/eval.json"),
    ):
        done = script(*command)
        assert done.returncode == 2, (command, done.stdout, done.stderr)
        assert done.stderr.startswith("error: "), done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not os.path.exists(tmp_path / "old")


def test_a_source_is_written_in_our_schema(tmp_path):
    out = tmp_path / "new" / "own.jsonl"
    published = Path(__file__).parents[1] / "data" / "published"
    done = script("convert_data.py", str(published / "deepmath.jsonl"), "--format", "deepmath", "--out", str(out))
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["id"], row["answer"], row["difficulty"]) == ("deepmath-1", "1", "4.5")
    again = script("convert_data.py", str(published / "orz.json"), "--format", "orz", "--out", str(out))
    assert "1 problems" in again.stdout


def test_a_dial_that_is_none_is_told_before_the_model_is_opened(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    config = write_config(tmp_path / "config.json", settings(tmp_path / "run", tmp_path / "model"))
    told = script(
        "evaluate.py", str(config), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "e.json"), "--dial", "2"
    )
    assert (told.returncode, told.stderr) == (2, "error: --dial is '2'; allowed: 0.0 (always think) to 1.1 (never)\n")
