"""A finished run is never touched again; a killed one ends with the weights of an unbroken one, bit for bit."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from small_runs import metrics, save_policy, script, settings, small_config, write_config

import rl.cold_start.sft
from rl.cold_start.gears import cold_start
from rl.training.checkpoints import COMPLETE
from rl.training.run import set_up, train
from rl.training.work import refuse_foreign, training_work
from rollout.errors import UserError


def bytes_of(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


PLUG_IN = "def varied(rollout):\n    return sum(rollout.completion_ids) % 7 / 7\n"


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    """A random policy, and beside it a reward that its answers differ in: gradients of 0 would show nothing."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "plug_in.py").write_text(PLUG_IN)
    return save_policy(folder)


def trained(run: Path, policy: Path, **sections) -> dict[str, str]:
    """What `run/model` holds after training."""
    sections.setdefault("rewards", [{"name": "judge"}, {"name": "math"}, {"name": f"{policy}/plug_in.py:varied"}])
    return bytes_of(train(set_up(small_config(run, policy, **sections), show=lambda line: None)))


@pytest.mark.medium
def test_training_a_finished_run_again_changes_not_a_byte_and_other_settings_are_refused(tmp_path, policy):
    config = write_config(tmp_path / "config.json", settings(tmp_path / "run", policy))
    assert script("train.py", str(config)).returncode == 0
    before = bytes_of(tmp_path / "run")
    again = script("train.py", str(config), "trainer.save_every=1", "trainer.micro_batch=4", "wandb.project=other")
    assert (again.returncode, "already finished" in again.stdout) == (0, True)
    assert bytes_of(tmp_path / "run") == before
    refused = script("train.py", str(config), "trainer.learning_rate=0.5", "algorithm.name=grpo")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    for part in ("trainer.learning_rate 0.001, now 0.5", "algorithm", "another place (run_dir", "resume=never"):
        assert part in refused.stderr
    assert bytes_of(tmp_path / "run") == before


@pytest.mark.medium
@pytest.mark.parametrize(
    "sections",
    [{}, {"model": {"lora": {"rank": 2}}}, {"trainer": {"steps": 9, "token_budget": 300}}],
    ids=["full", "lora", "token_budget"],
)
def test_a_kill_between_the_last_checkpoint_and_the_final_save_costs_nothing(tmp_path, policy, sections):
    run = tmp_path / "run"
    whole = trained(run, policy, **sections)
    assert "model.safetensors" in whole
    assert whole["model.safetensors"] != bytes_of(policy)["model.safetensors"]
    last = run / "checkpoints" / f"checkpoint-{metrics(run)[-1]['step']}"
    if "model" not in sections:
        assert bytes_of(last)["model.safetensors"] == whole["model.safetensors"]
    shutil.move(run / "model", run / "model.part")  # as if the folder was half written
    (run / "model.part" / "model.safetensors").write_bytes(b"half")
    steps = metrics(run)
    assert trained(run, policy, **sections) == whole
    assert metrics(run) == steps
    assert not (run / "model.part").exists()


@pytest.mark.medium
def test_a_run_that_lost_its_last_checkpoint_and_its_model_ends_with_the_same_weights(tmp_path, policy):
    run = tmp_path / "run"
    whole = trained(run, policy, trainer={"steps": 4})
    shutil.rmtree(run / "model")
    (run / "checkpoints" / "checkpoint-4" / COMPLETE).unlink()
    assert trained(run, policy, trainer={"steps": 4, "keep_checkpoints": 3}) == whole


@pytest.mark.medium
def test_more_steps_go_on_from_where_a_run_ended_and_fewer_are_refused(tmp_path, policy, capsys):
    whole = trained(tmp_path / "whole", policy, trainer={"steps": 4})
    first = trained(tmp_path / "run", policy, trainer={"steps": 2})
    assert trained(tmp_path / "run", policy, trainer={"steps": 4}) == whole
    (kept,) = (tmp_path / "run" / "old").iterdir()
    assert bytes_of(kept / "model") == first
    assert first["model.safetensors"] != whole["model.safetensors"]
    written = capsys.readouterr()
    assert "trainer.steps is 4 now, 2 before" in written.out + written.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["trainer"]["steps"] == 4
    with pytest.raises(UserError, match=r"at step 4 and trainer\.steps is 3; allowed: 4 or more"):
        trained(tmp_path / "run", policy, trainer={"steps": 3})
    with pytest.raises(UserError, match=r"trainer\.schedule"):
        trained(tmp_path / "run", policy, trainer={"steps": 6, "schedule": "linear"})


@pytest.mark.medium
def test_never_moves_a_run_aside_and_begins_anew(tmp_path, policy, capsys):
    first = trained(tmp_path / "run", policy)
    other = trained(tmp_path / "run", policy, resume="never", trainer={"learning_rate": 0.01})
    (kept,) = (tmp_path / "run" / "old").iterdir()
    assert bytes_of(kept / "model") == first
    assert other != first
    assert (kept / "metrics.jsonl").is_file()
    assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2, 3]


@pytest.mark.medium
def test_a_cold_start_killed_before_its_save_goes_on_at_its_last_checkpoint(tmp_path, policy, monkeypatch):
    section = {"steps": 3, "batch": 4, "problems": 8, "max_length": 64, "save_every": 1}
    whole = bytes_of(cold_start(small_config(tmp_path / "whole", policy, cold_start=section)))
    config = small_config(tmp_path / "run", policy, cold_start=section)
    with monkeypatch.context() as patch:
        patch.setattr(rl.cold_start.sft, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            cold_start(config)
    assert not (tmp_path / "run" / "cold_start" / "model").exists()
    again = bytes_of(cold_start(config))
    assert again["model.safetensors"] == whole["model.safetensors"]
    before = bytes_of(tmp_path / "run")
    cold_start(config)
    assert bytes_of(tmp_path / "run") == before
    with pytest.raises(UserError, match=r"cold_start\.learning_rate 0\.0001, now 0\.5; allowed: "):
        cold_start(small_config(tmp_path / "run", policy, cold_start={**section, "learning_rate": 0.5}))
    other = save_policy(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match=r"model\.path has other contents"):
        cold_start(small_config(tmp_path / "run", other, cold_start=section))


@pytest.mark.parametrize("foreign", ["config.json", "metrics.jsonl", "checkpoints/checkpoint-5/model.safetensors"])
def test_a_folder_that_holds_what_no_run_of_ours_wrote_is_refused_and_kept(tmp_path, policy, foreign):
    file = tmp_path / "run" / foreign
    file.parent.mkdir(parents=True)
    file.write_text('{"model_type": "qwen3"}')
    work = training_work(small_config(tmp_path / "run", policy))
    with pytest.raises(
        UserError, match=r"is there and is of no run of ours; allowed: another run_dir, or resume=never"
    ):
        refuse_foreign(work)
    with pytest.raises(UserError, match="is of no run of ours"):
        trained(tmp_path / "run", policy)
    assert bytes_of(tmp_path / "run") == {foreign: hashlib.sha256(b'{"model_type": "qwen3"}').hexdigest()}
    assert work.record.exists() is False
    (tmp_path / "run" / "config.json").write_text('{"trainer": {"steps": 5}, "run_dir": "run"}')
    refuse_foreign(work)
