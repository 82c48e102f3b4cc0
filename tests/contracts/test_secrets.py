"""Keys and the environment are nowhere in what a run writes, prints or lets programs see; a model's text is data."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_runs import recorded_groups, save_policy, script, settings, started, write_config
from trainer_setups import replay_setup

from rewards.sandbox import run_tests
from rewards.workers.pool import WorkerPool
from rl.cli import load_config
from rl.config.read import parse_config
from rl.files.json_lines import json_lines
from rl.models.loading import load_model, load_tokenizer
from rl.reports.report import write_report
from rl.training.run import train
from rollout.errors import UserError
from rollout.printable import printable

SECRETS = {
    name: f"planted-{number}-{'x' * 20}"
    for number, name in enumerate(
        ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "SOME_OTHER_VARIABLE")
    )
} | {"WANDB_API_KEY": "0123456789abcdef" * 2 + "deadbeef"}
HOSTILE = "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\u202e../../etc/passwd\x00\r\n"


def found_in(folder: Path) -> list[tuple[str, str]]:
    """(file, name of the secret) of each that a file below a folder holds, in its name or contents."""
    found = []
    for file in folder.rglob("*"):
        data = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
        found += [(str(file), n) for n, value in SECRETS.items() if value.encode() in data or value in file.name]
    return found


PLUG_IN = """
def shouts(rollout):
    raise ValueError({text!r})
"""


@pytest.mark.medium
@pytest.mark.parametrize("extra", [(), ("resume=never", "trainer.max_grad_norm=x")], ids=["a run", "an error"])
def test_no_planted_secret_is_in_a_run_folder_in_wandb_or_in_what_is_printed(tmp_path, extra):
    raw = settings(tmp_path / "run", save_policy(tmp_path / "policy"), wandb={"mode": "offline"}, trainer={"steps": 2})
    with started("train.py", str(write_config(tmp_path / "c.json", raw)), *extra, extra=SECRETS) as run:
        (done,) = run.ended()
    assert done.returncode == (2 if extra else 0), done.stderr
    if not extra:
        assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
        write_report(tmp_path / "run")
    assert found_in(tmp_path) == []
    assert not [name for name, value in SECRETS.items() if value in done.stdout + done.stderr]


LOOKS_FOR = """
import os

def f():
    text = repr(dict(os.environ))
    for pid in ("self", str(os.getppid())):
        try:
            text += open("/proc/" + pid + "/environ").read()
        except OSError:
            pass
    return [secret for secret in {secrets} if secret in text]
"""


def test_programs_and_workers_see_nothing_of_the_environment(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    code = (
        "import os\ndef f():\n    text = repr(dict(os.environ))\n    for pid in ('self', str(os.getppid())):\n"
        "        try:\n            text += open(f'/proc/{pid}/environ').read()\n"
        "        except OSError:\n            pass\n    return [s for s in "
        + repr(list(SECRETS.values()))
        + " if s in text]"
    )
    assert run_tests(code, [{"call": "f", "expected": []}]).passed == [True]
    pool = WorkerPool("pool_handlers:handle", size=1)
    pids = pool.call({"do": "pid"}, 20.0)
    for pid in pids.values():
        environment = Path(f"/proc/{pid}/environ").read_text()
        assert not [name for name, value in SECRETS.items() if value in environment]
    pool.close()


def test_an_address_with_a_password_is_refused_without_being_shown():
    with pytest.raises(UserError) as refused:
        parse_config({"rollout": {"vllm": {"server_url": "http://me:planted-password@host:8000"}}})
    assert "planted-password" not in str(refused.value)
    assert "server_url holds a name or password" in str(refused.value)


class Owned:
    def __reduce__(self):
        return (os.system, ("touch /tmp/owned-by-a-pickle",))


def test_weights_are_read_from_safetensors_alone(tmp_path):
    folder = save_policy(tmp_path / "policy")
    (file,) = folder.glob("*.safetensors")
    torch.save(load_file(file), folder / "pytorch_model.bin")
    file.unlink()
    config = parse_config({"model": {"path": str(folder)}})
    with pytest.raises(UserError, match="safetensors"):
        load_model(config, load_tokenizer(config))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Owned()))
    with pytest.raises(UserError, match="safetensors"):
        load_model(config, load_tokenizer(config))
    assert not Path("/tmp/owned-by-a-pickle").exists()


@pytest.mark.parametrize("key", [False, True])
def test_the_code_of_a_model_runs_with_its_key_alone(tmp_path, key, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = save_policy(tmp_path / "policy")
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise RuntimeError('the code ran')")
    saved = json.loads((folder / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}}
    (folder / "config.json").write_text(json.dumps({**saved, **own}))
    config = parse_config({"model": {"path": str(folder), "trust_remote_code": key}})
    with pytest.raises(UserError, match="the code ran" if key else "trust_remote_code: true"):
        load_model(config, load_tokenizer(parse_config({"model": {"path": str(folder), "trust_remote_code": key}})))
    assert (tmp_path / "ran").exists() == key


def test_what_a_model_says_steers_no_terminal():
    shown = printable(HOSTILE, 1000)
    assert not {"\x1b", "\x07", "\u202e", "\x00", "\r", "\n"} & set(shown)
    assert printable("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.medium
def test_a_hostile_text_in_an_error_is_one_printable_line(tmp_path):
    (tmp_path / "shouts.py").write_text(PLUG_IN.format(text=HOSTILE))
    raw = settings(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        rewards=[{"name": "judge"}, {"name": f"{tmp_path}/shouts.py:shouts", "timeout_s": 5}],
        data={"max_bad_gold": 1.0},
    )
    done = script("train.py", str(write_config(tmp_path / "c.json", raw)))
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert "<script>alert(1)</script>" in told
    assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(done.stderr + done.stdout)
    assert load_config(str(tmp_path / "c.json"), []).run_dir == str(tmp_path / "run")


@pytest.mark.medium
def test_hostile_texts_of_problems_and_answers_name_no_file_and_break_no_line(tmp_path):
    named = [dataclasses.replace(r.problem, id=HOSTILE + r.problem.id) for r in (g[0] for g in recorded_groups())]
    hostile = [
        [dataclasses.replace(r, problem=problem, answer_text=HOSTILE + "\u2028") for r in group]
        for problem, group in zip(named, recorded_groups(), strict=True)
    ]
    before = {path.name for path in tmp_path.parent.iterdir()}
    setup = replay_setup(
        tmp_path, save_policy(tmp_path / "policy"), hostile, trainer={"steps": 1}, data={"max_bad_gold": 1}
    )
    train(setup)
    write_report(tmp_path / "run")
    assert {path.name for path in tmp_path.parent.iterdir()} == before
    assert all(re.fullmatch(r"[\w.-]+", path.name) for path in (tmp_path / "run").rglob("*"))
    rows = [row for _, row in json_lines(tmp_path / "run" / "rollouts" / "step_000001.jsonl")]
    assert len(rows) == 16
    assert {row["answer_text"] for row in rows} == {HOSTILE + "\u2028"}
    assert "<script>alert(1)</script>" not in (tmp_path / "run" / "report.html").read_text()
