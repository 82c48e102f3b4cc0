"""What a run leaves behind, and what it drops when it is resumed. W&B runs for real, offline."""

import json
import logging
import time

import pytest
from factories import make_group, make_problem

from rl.config.read import parse_config
from rl.files.run_log import RunLog, cut_back, read_metrics
from rl.files.wandb_run import wandb_id
from rl.training.checkpoints import COMPLETE, last_complete, remove_incomplete, step_of
from rollout.errors import UserError
from rollout.types import rollout_from_json


@pytest.fixture
def make_log(tmp_path):
    def make(start=0, **wandb):
        config = parse_config({"run_dir": str(tmp_path / "run"), "wandb": {"mode": "disabled", **wandb}})
        return RunLog(config, start)

    return make


def test_each_step_is_one_line_of_metrics(make_log):
    log = make_log()
    log.log(1, {"loss": 0.5, "accuracy": 1.0})
    log.log(2, {"loss": 0.25})
    assert read_metrics(log.run_dir) == [{"step": 1, "loss": 0.5, "accuracy": 1.0}, {"step": 2, "loss": 0.25}]


def test_metrics_of_a_run_that_never_logged_are_an_empty_list(tmp_path):
    assert read_metrics(tmp_path) == []


def test_all_rollouts_of_a_step_are_written_one_a_line_and_read_back(make_log):
    log = make_log()
    groups = [make_group("TN", (1, 0), problem=make_problem(name)) for name in ("a", "b")]
    log.save_rollouts(12, groups)
    lines = (log.run_dir / "rollouts" / "step_000012.jsonl").read_text(encoding="utf-8").splitlines()
    assert [rollout_from_json(json.loads(line)) for line in lines] == [r for g in groups for r in g.rollouts]


def test_resuming_drops_what_was_written_after_the_checkpoint(make_log):
    log = make_log()
    for step in range(1, 8):
        log.log(step, {"loss": float(step)})
        log.save_rollouts(step, [make_group()])
    resumed = make_log(start=4)
    assert [record["step"] for record in read_metrics(resumed.run_dir)] == [1, 2, 3, 4]
    assert sorted(file.stem for file in (resumed.run_dir / "rollouts").iterdir()) == [
        f"step_00000{step}" for step in (1, 2, 3, 4)
    ]
    resumed.log(5, {"loss": 0.5})
    assert read_metrics(resumed.run_dir)[-2:] == [{"step": 4, "loss": 4.0}, {"step": 5, "loss": 0.5}]


def test_a_fresh_start_drops_an_older_run(make_log):
    log = make_log()
    log.log(0, {"probe/accuracy": 1.0})
    log.log(1, {"loss": 1.0})
    assert read_metrics(make_log().run_dir) == []


@pytest.mark.parametrize("half", ['{"step": 2, "lo', '{"loss": 1.0}', "2", "null"])
def test_a_half_written_line_is_dropped_on_resume(tmp_path, half):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}\n' + half, encoding="utf-8")
    assert cut_back(tmp_path, 5) == []
    assert path.read_text(encoding="utf-8") == '{"step": 1, "loss": 0.5}\n'


def test_a_damaged_line_in_the_middle_is_named_and_no_other_line_is_lost(tmp_path):
    lines = [json.dumps({"step": step, "loss": 0.5}).encode() for step in range(1, 2001)]
    lines[999] = b'{"step": 1000, "lo\xff\x00\x00'
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines) + b'\n{"step": 2001, "lo')
    with pytest.raises(UserError, match=r"metrics\.jsonl:1000 holds no record"):
        read_metrics(tmp_path)
    (told,) = cut_back(tmp_path, 1990)
    assert "line 1000;" in told
    assert [record["step"] for record in read_metrics(tmp_path)] == [*range(1, 1000), *range(1001, 1991)]


def test_a_whole_record_without_its_line_feed_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}')
    assert cut_back(tmp_path, 2) == []
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}]


@pytest.mark.medium
def test_wandb_records_a_real_offline_run(make_log):
    log = make_log(mode="offline", name="test-run")
    log.log(1, {"loss": 0.5})
    log.table(1, [make_group()])
    log.finish()
    (recorded,) = (log.run_dir / "wandb").glob("offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 60  # W&B's own process writes the file out
    while b"global_step" not in recorded.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert b"global_step" in recorded.read_bytes()
    assert list((log.run_dir / "wandb").glob("offline-run-*/files/media/table/*"))


@pytest.mark.medium
def test_a_run_that_goes_on_keeps_its_wandb_id_and_says_how_to_sync_its_segments(make_log, capsys):
    """Each start makes a segment of its own, in whose name W&B puts the second and the id."""
    first = make_log(mode="offline")
    first.log(1, {"loss": 0.5})
    first.finish()
    told = capsys.readouterr().out
    known = json.loads((first.run_dir / "wandb_run.json").read_text())["id"]
    assert f"wandb sync {first.run_dir}/wandb/offline-run-*-{known}" in told
    time.sleep(1.1)
    second = make_log(start=1, mode="offline")
    second.log(2, {"loss": 0.25})
    second.finish()
    assert len(list((first.run_dir / "wandb").glob(f"offline-run-*-{known}"))) == 2
    assert wandb_id(first.run_dir, 0) != known


def test_wandb_failing_does_not_stop_the_run(make_log, caplog):
    with caplog.at_level(logging.WARNING, logger="rl.files.wandb_run"):
        log = make_log(mode="offline", project="a/b")  # a name that W&B refuses
        log.log(1, {"loss": 0.5})
        log.table(1, [make_group()])
        log.finish()
    assert "W&B failed" in caplog.text
    assert "the run goes on with metrics.jsonl" in caplog.text
    assert read_metrics(log.run_dir) == [{"step": 1, "loss": 0.5}]


# --- which checkpoint to go on from ----------------------------------------------------------------------------------


def make_checkpoint(folder, step, complete=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if complete:
        (path / COMPLETE).write_text("{}", encoding="utf-8")
    return path


def test_the_last_complete_checkpoint_is_the_highest_step_with_an_end_mark(tmp_path):
    assert last_complete(tmp_path) is None
    for step in (20, 100, 40):
        make_checkpoint(tmp_path, step)
    make_checkpoint(tmp_path, 120, complete=False)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-100"  # by number: as text, 40 would come last
    assert step_of(tmp_path / "checkpoint-100") == 100


def test_incomplete_checkpoints_are_removed_and_complete_ones_kept(tmp_path):
    make_checkpoint(tmp_path, 20)
    make_checkpoint(tmp_path, 40, complete=False)
    remove_incomplete(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-20"]
