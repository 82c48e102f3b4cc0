"""One record says what work was made with: the same is skipped, other settings are refused, old records are read."""

from __future__ import annotations

import dataclasses
import json

import pytest

from rl.config.read import parse_config, to_dict
from rl.config.schema import Config
from rl.files.finished import Work, begin, has_mark, is_finished, mark_finished, matches, settings_of
from rollout.errors import UserError

SETTINGS = {"seed": 1, "cold_start.steps": 3, "sha256 data.train": "aa", "data.train": "a.jsonl"}


def work_at(folder, free=None, earlier=(), **settings) -> Work:
    others = (folder / "checkpoints",)
    changed = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    return Work("cold start", folder / "model", changed, free or {}, others, earlier)


def make(work: Work) -> None:
    begin(work)
    work.product.mkdir(parents=True)
    (work.product / "weights").write_text("w")


def test_work_is_finished_when_its_product_is_there(tmp_path):
    work = work_at(tmp_path)
    assert not is_finished(work)
    begin(work)
    assert not is_finished(work)
    work.product.mkdir()
    (work.product / "weights").write_text("w")
    assert is_finished(work)
    assert not is_finished(work, "never")


def test_the_record_holds_every_setting_beside_the_product(tmp_path):
    begin(work_at(tmp_path), micro_batch=4)
    record = json.loads((tmp_path / "model.settings.json").read_text())
    assert record == {"record": 1, "micro_batch": 4, **SETTINGS}


def test_other_settings_are_refused_in_a_line_with_the_keys_and_the_ways_on(tmp_path):
    make(work_at(tmp_path))
    with pytest.raises(UserError) as refused:
        is_finished(work_at(tmp_path, seed=2, cold_start__steps=4))
    line = str(refused.value)
    assert "\n" not in line
    for part in ("seed 1, now 2", "cold_start.steps 3, now 4", "run_dir", "resume=never", str(tmp_path / "old")):
        assert part in line


def test_work_that_was_only_begun_is_refused_too_and_nothing_but_a_record_is_begun_anew(tmp_path):
    begin(work_at(tmp_path))
    begin(work_at(tmp_path, seed=2))
    (tmp_path / "checkpoints").mkdir()
    begin(work_at(tmp_path, seed=3))
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir()
    with pytest.raises(UserError, match="seed 3, now 4"):
        begin(work_at(tmp_path, seed=4))


def test_contents_count_and_the_name_of_a_file_does_not_where_they_are_known(tmp_path):
    make(work_at(tmp_path))
    assert is_finished(work_at(tmp_path, data__train="moved/a.jsonl"))
    changed = dataclasses.replace(work_at(tmp_path), settings={**SETTINGS, "sha256 data.train": "bb"})
    with pytest.raises(UserError, match=r"data\.train has other contents"):
        is_finished(changed)
    without = {key: value for key, value in SETTINGS.items() if not key.startswith("sha256")}
    with pytest.raises(UserError, match=r"data\.train .*tiny"):
        is_finished(dataclasses.replace(work_at(tmp_path), settings={**without, "data.train": "tiny"}))


def test_never_moves_what_was_there_aside_and_says_where(tmp_path):
    make(work_at(tmp_path))
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    (line,) = begin(work_at(tmp_path, seed=2), "never")
    (kept,) = (tmp_path / "old").iterdir()
    assert str(kept) in line
    assert (kept / "model" / "weights").read_text() == "w"
    assert (kept / "checkpoints" / "checkpoint-2").is_dir()
    assert json.loads((kept / "model.settings.json").read_text())["seed"] == 1
    assert json.loads((tmp_path / "model.settings.json").read_text())["seed"] == 2
    make_again = work_at(tmp_path, seed=2)
    make_again.product.mkdir()
    (make_again.product / "weights").write_text("v")
    begin(work_at(tmp_path, seed=3), "never")  # within the same second
    assert len(list((tmp_path / "old").iterdir())) == 2


def test_free_settings_change_what_is_finished_but_are_never_refused(tmp_path):
    work = work_at(tmp_path, free={"trainer.steps": 4})
    make(work)
    assert is_finished(work)
    more = work_at(tmp_path, free={"trainer.steps": 8})
    assert not is_finished(more)
    assert begin(more) == ["trainer.steps is 8 now, 4 before"]
    assert begin(more) == []


def test_ranks_devices_and_micro_batches_are_told_and_never_refused(tmp_path):
    work = work_at(tmp_path)
    begin(work, ranks=1, device="cpu")
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    assert begin(work, ranks=2, device="cpu") == ["ranks is 2 now, 1 before"]


def test_a_key_that_a_record_does_not_know_counts_as_its_default(tmp_path):
    keys = ["history"]
    make(Work("training", tmp_path / "model", {"seed": 1}))
    same = Work("training", tmp_path / "model", {"seed": 1, **settings_of(Config(), keys)})
    assert is_finished(same)
    other = parse_config({"history": {"resample": "srpo"}})
    with pytest.raises(UserError, match=r'history\.resample "off", now "srpo"'):
        is_finished(Work("training", tmp_path / "model", {"seed": 1, **settings_of(other, keys)}))


def test_records_of_earlier_versions_are_whole_sections_and_silent_about_the_rest(tmp_path):
    earlier = tmp_path / "config.json"
    earlier.write_text(json.dumps({"seed": 1, "trainer": to_dict(Config())["trainer"] | {"steps": 9}}))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("w")
    settings = {"seed": 1, "trainer.steps": 9, "history.decay": 0.1, "sha256 data.train": "aa"}
    work = Work("training", tmp_path / "model", settings, earlier=(tmp_path / "none.json", earlier))
    assert is_finished(work)
    with pytest.raises(UserError, match=r"trainer\.steps 9, now 10"):
        is_finished(dataclasses.replace(work, settings={**settings, "trainer.steps": 10}))


def test_a_damaged_record_says_nothing(tmp_path):
    work = work_at(tmp_path)
    make(work)
    work.record.write_text("{")
    assert is_finished(work)
    assert matches(work)


def test_a_product_that_grows_is_finished_when_its_record_says_so(tmp_path):
    work = Work("labels", tmp_path / "labels.jsonl", {"seed": 1})
    begin(work)
    assert not has_mark(work)
    mark_finished(work)
    assert has_mark(work)


def test_settings_are_flat_and_leave_out_what_does_not_count():
    config = parse_config({"data": {"shares": {"1": 1.0}}, "rewards": [{"name": "math"}]})
    found = settings_of(config, ["data", "rewards", "trainer.steps"], ["data.train"])
    assert found["data.shares"] == {"1": 1.0}
    assert found["rewards"] == [{"name": "math"}]
    assert found["trainer.steps"] == 100
    assert "data.train" not in found
    assert "data.test" in found
