"""What labels, the cold start and RL depend on: a change of any of it is refused, by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_runs import save_policy, settings

from rl.cold_start.work import automatic_work, cold_start_work, first_work, gate_work, label_work
from rl.config.read import parse_config
from rl.files.finished import begin, is_finished, mark_finished, matches
from rl.files.row_store import RowStore
from rl.training.work import machine_settings, training_work
from rollout.errors import UserError

PLUG_IN = "def right(rollout):\n    return 1.0\n"


@pytest.fixture
def raw(tmp_path) -> dict:
    """A run on files: data, template, plug-in and model."""
    for split in ("train", "test"):
        rows = [{"id": str(n), "prompt": f"{n} + 1", "answer": str(n + 1)} for n in range(4)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "plug_in.py").write_text(PLUG_IN)
    (tmp_path / "chat.jinja").write_text("{{ messages[-1]['content'] }} <judge>")
    data = {"path": str(tmp_path), "train": "train.jsonl", "test": "test.jsonl", "shares": {}}
    return settings(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        data={**data, "train_size": None, "test_size": None},
        model={"chat_template": str(tmp_path / "chat.jinja")},
        rewards=[{"name": f"{tmp_path}/plug_in.py:right"}, {"name": "judge"}],
    )


def changed(raw: dict, key: str, value) -> dict:
    copy = json.loads(json.dumps(raw))
    *sections, last = key.split(".")
    node = copy
    for section in sections:
        node = node.setdefault(section, {})
    node[last] = value
    return copy


def labels(raw: dict, tmp_path: Path) -> RowStore:
    work = label_work(parse_config(raw), tmp_path / "labels.jsonl")
    return RowStore(work.product, work.settings, free=work.free)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 3),
        ("rollout.top_p", 0.5),
        ("rollout.top_k", 7),
        ("protocol.system", "Be brief."),
        ("rewards", [{"name": "exact"}]),
        ("label.delta", 0.2),
        ("data.train_size", 3),
    ],
)
def test_labels_of_other_settings_are_not_mixed(raw, tmp_path, key, value):
    labels(raw, tmp_path).append([{"id": "0"}])
    assert list(labels(raw, tmp_path).rows) == ["0"]
    with pytest.raises(UserError, match=key.removeprefix("label.")):
        labels(changed(raw, key, value), tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("train.jsonl", '{"id": "0", "prompt": "other", "answer": "1"}\n', "data.train has other contents"),
        ("plug_in.py", PLUG_IN.replace("1.0", "0.5"), "plug_in.py has other contents"),
        ("chat.jinja", "{{ messages[0]['content'] }} <judge>", "model.chat_template has other contents"),
        ("policy/config.json", "{}", "model has other contents"),
    ],
)
def test_labels_of_other_file_contents_are_not_mixed_whatever_the_row_numbers(raw, tmp_path, file, text, named):
    labels(raw, tmp_path).append([{"id": "0"}])
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=named):
        labels(raw, tmp_path)


def test_more_problems_may_be_labelled_and_a_moved_folder_is_the_same_work(raw, tmp_path):
    store = labels(changed(raw, "label.problems", 2), tmp_path)
    store.append([{"id": "0"}, {"id": "1"}])
    work = label_work(parse_config(changed(raw, "label.problems", 2)), store.path)
    mark_finished(work)
    assert is_finished(work)
    more = parse_config(changed(raw, "label.problems", 3))
    assert not is_finished(label_work(more, store.path))
    assert list(labels(changed(raw, "label.problems", 3), tmp_path).rows) == ["0", "1"]
    (tmp_path / "policy").rename(tmp_path / "elsewhere")
    assert is_finished(
        label_work(
            parse_config(changed(changed(raw, "label.problems", 2), "model.path", str(tmp_path / "elsewhere"))),
            store.path,
        )
    )


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("trainer.learning_rate", 0.5, True),
        ("algorithm", {"name": "grpo"}, True),
        ("rewards", [{"name": "exact"}], True),
        ("trainer.schedule", "linear", True),
        ("model.lora", {"rank": 4}, True),
        ("data.test", "train.jsonl", False),
        ("trainer.steps", 99, False),
        ("trainer.save_every", 1, False),
        ("trainer.keep_checkpoints", 9, False),
        ("trainer.micro_batch", 4, False),
        ("rollout.save_every", 7, False),
        ("evaluation.every", 1, False),
        ("wandb.project", "other", False),
        ("rollout.engine", "vllm_server", False),
        ("reward_errors.policy", "drop", False),
        ("cold_start.steps", 7, False),
    ],
)
def test_what_training_refuses_and_what_may_change(raw, key, value, refused):
    begin(work := training_work(parse_config(raw)))
    work.product.mkdir(parents=True)
    (work.product / "model.safetensors").write_text("w")
    other = training_work(parse_config(changed(raw, key, value)))
    if refused:
        with pytest.raises(UserError, match=key):
            is_finished(other)
    else:
        assert is_finished(other) == (key != "trainer.steps")


def test_a_file_that_a_stage_of_the_curriculum_has_of_its_own_is_known_by_its_contents(raw, tmp_path):
    (tmp_path / "more.jsonl").write_text((tmp_path / "train.jsonl").read_text())
    raw["stages"] = [{"steps": 1}, {"steps": raw["trainer"]["steps"] - 1, "train": "more.jsonl"}]
    begin(work := training_work(parse_config(raw)))
    (work.product.parent / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    assert not is_finished(training_work(parse_config(raw)))
    (tmp_path / "more.jsonl").write_text('{"id": "0", "prompt": "other", "answer": "1"}\n')
    with pytest.raises(UserError, match=r"stages\[1\].train has other contents"):
        is_finished(training_work(parse_config(raw)))


def test_ranks_devices_and_micro_batches_are_named_when_a_run_goes_on(raw):
    config = parse_config(raw)
    begin(work := training_work(config), **machine_settings(config, 1, "cpu"))
    (work.product.parent / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    other = parse_config(changed(raw, "trainer.micro_batch", 4))
    told = begin(training_work(other), **machine_settings(other, 2, "cuda"))
    assert sorted(told) == [
        'device is "cuda" now, "cpu" before',
        "ranks is 2 now, 1 before",
        "trainer.micro_batch is 4 now, 0 before",
    ]


def test_the_gears_depend_on_their_own_part_of_the_section(raw):
    gears = {"manual_steps": 2, "automatic_steps": 3}
    raw["protocol"]["tags"] = {"think": "/think", "no_think": "/no_think"}
    both = parse_config(changed(raw, "cold_start.gears", gears))
    longer = parse_config(changed(raw, "cold_start.gears", {**gears, "automatic_steps": 9}))
    assert first_work(both).product == Path(both.run_dir) / "cold_start" / "manual" / "model"
    assert first_work(both).settings == first_work(longer).settings
    assert automatic_work(both).settings != automatic_work(longer).settings
    assert automatic_work(both).product == Path(both.run_dir) / "cold_start" / "model"


def finished(work) -> None:
    begin(work)
    work.product.mkdir(parents=True)
    (work.product / "model.safetensors").write_text("w")


@pytest.mark.parametrize("key", ["label.samples", "label.max_new_tokens", "rollout.temperature"])
def test_the_second_gear_depends_on_how_its_answers_were_sampled(raw, key):
    raw["cold_start"]["gears"] = {"automatic_steps": 3}
    finished(automatic_work(parse_config(raw)))
    assert is_finished(automatic_work(parse_config(raw)))
    with pytest.raises(UserError, match=key.rpartition(".")[2]):
        is_finished(automatic_work(parse_config(changed(raw, key, 2))))


@pytest.mark.parametrize(
    "gears", [{"manual_steps": 2}, {"manual_steps": 2, "automatic_steps": 3}, {"automatic_steps": 3}]
)
def test_gears_that_are_taken_out_leave_another_cold_start(raw, gears):
    raw["protocol"]["tags"] = {"think": "/think", "no_think": "/no_think"}
    finished(cold_start_work(parse_config(changed(raw, "cold_start.gears", gears))))
    assert is_finished(cold_start_work(parse_config(changed(raw, "cold_start.gears", gears))))
    with pytest.raises(UserError, match=r"cold_start.gears.(manual|automatic)_steps"):
        is_finished(cold_start_work(parse_config(raw)))


@pytest.mark.parametrize("now", [{}, {"automatic_steps": 3}, {"manual_steps": 2}])
@pytest.mark.parametrize("is_whole", [False, True], ids=["begun", "finished"])
def test_a_manual_gear_that_lies_there_is_told_when_its_gears_are_taken_out(raw, now, is_whole):
    raw["protocol"]["tags"] = {"think": "/think", "no_think": "/no_think"}
    both = parse_config(changed(raw, "cold_start.gears", {"manual_steps": 2, "automatic_steps": 3}))
    finished(first_work(both)) if is_whole else (begin(first_work(both)), make_checkpoint(first_work(both)))
    assert is_finished(first_work(both)) is is_whole
    less = parse_config(changed(raw, "cold_start.gears", now))
    with pytest.raises(UserError, match=r"automatic gear follows|manual_steps"):
        is_finished(cold_start_work(less))
    begin(work := cold_start_work(less), "never")
    assert not (work.product.parent / "manual").exists()


def make_checkpoint(work) -> None:
    folder = work.product.parent / "checkpoints" / "checkpoint-1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("w")


def test_a_gate_is_measured_anew_with_a_longer_response(raw):
    begin(work := gate_work(parse_config(raw)))
    work.product.parent.mkdir(parents=True, exist_ok=True)
    work.product.write_text("{}")
    same = parse_config(changed(raw, "evaluation.max_new_tokens", raw["rollout"]["max_new_tokens"]))
    longer = parse_config(changed(raw, "evaluation.max_new_tokens", 500))
    assert [matches(gate_work(config)) for config in (parse_config(raw), same, longer)] == [True, True, False]
