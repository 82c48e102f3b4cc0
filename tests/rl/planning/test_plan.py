"""A plan's parts by hand, its verdict, its advice, its times."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from small_runs import ROOT, script

from rl.config.read import load_config, parse_config
from rl.config.schema import ConfigError
from rl.planning.plan import GIB, make_plan
from rl.planning.rates import Rates, measured_rates, step_time, unlike

WEIGHTS = 8_190_735_360
RECIPES = {
    "qwen3-0.6b-24gb": (1, 24),
    "r1-distill-1.5b-24gb": (1, 24),
    "qwen3-8b-8gpus": (8, 80),
    "qwen3-8b-4-and-4": (4, 80),
    "qwen3-32b-32gpus": (24, 80),
    "kat-40b-64gpus": (56, 80),
}


def eight_billion(**trainer):
    return parse_config(
        {
            "model": {"path": "Qwen/Qwen3-8B", "dtype": "bfloat16"},
            "rollout": {"engine": "vllm_server", "group_size": 8, "max_new_tokens": 3584, "max_prompt_tokens": 512},
            "trainer": {"prompts_per_step": 8, "micro_batch": 1, "bf16": True, **trainer},
        }
    )


def sizes(plan):
    return {part.name: part.bytes for part in plan.parts}


@pytest.mark.medium
def test_zero_shards_what_its_stage_says():
    two, three = (
        sizes(make_plan(eight_billion(deepspeed=f"{ROOT}/configs/deepspeed/zero{stage}.json"), 8, 80 * GIB))
        for stage in (2, 3)
    )
    assert (two["weights"], three["weights"]) == (2 * WEIGHTS, 2 * WEIGHTS // 8)
    # bfloat16 gradients of an eighth, and float32 ones of it in the step.
    assert two["gradients"] == three["gradients"] == 2 * WEIGHTS // 8 + 4 * WEIGHTS // 8
    # The float32 weights and both moments of an eighth.
    assert two["optimizer"] == three["optimizer"] == 12 * WEIGHTS // 8


@pytest.mark.medium
def test_without_sharding_every_gpu_holds_all_of_it():
    found = sizes(make_plan(eight_billion(), 8, 80 * GIB))
    assert (found["weights"], found["gradients"], found["optimizer"]) == (2 * WEIGHTS, 2 * WEIGHTS, 4 * WEIGHTS)
    assert found["buckets of gradients"] == 2 * WEIGHTS


@pytest.mark.medium
def test_a_run_that_does_not_fit_is_told_what_to_change_and_what_it_comes_to():
    config = eight_billion(deepspeed=f"{ROOT}/configs/deepspeed/zero3.json", micro_batch=8)
    plan = make_plan(config, 8, 80 * GIB)
    assert not plan.fits
    checkpointing = next(line for line in plan.advice if line.startswith("model.gradient_checkpointing=true: "))
    assert checkpointing.endswith("(fits)")
    with_it = load_like(config, {"model": {"gradient_checkpointing": True}})
    assert f"{make_plan(with_it, 8, 80 * GIB).peak[0] / GIB:.1f} GiB" in checkpointing
    assert make_plan(with_it, 8, 80 * GIB).fits


def load_like(config, changed):
    import dataclasses

    parts = {name: dataclasses.replace(getattr(config, name), **values) for name, values in changed.items()}
    return dataclasses.replace(config, **parts)


@pytest.mark.medium
def test_vllm_on_the_same_gpu_needs_a_share_that_holds_its_weights():
    raw = {"model": {"path": "Qwen/Qwen3-8B", "lora": {"rank": 8}, "dtype": "bfloat16", "gradient_checkpointing": True}}
    rollout = {"engine": "vllm", "vllm": {"gpu_memory_utilization": 0.1}}
    plan = make_plan(
        parse_config({**raw, "rollout": rollout, "trainer": {"bf16": True, "micro_batch": 1}}), 1, 80 * GIB
    )
    assert plan.peak[0] < 70 * GIB  # but 8 GiB hold no 15.3 of weights
    assert not plan.fits
    assert any("does not hold its copy of the weights, 15.3 GiB" in note for note in plan.notes)


@pytest.mark.medium
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_the_gpus_that_it_names(name):
    gpus, memory = RECIPES[name]
    assert make_plan(load_config(f"{ROOT}/configs/recipes/{name}.yaml", []), gpus, memory * GIB).fits


def test_no_recipe_is_left_out_and_each_says_that_it_was_never_run():
    files = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
    assert {file.stem for file in files} == set(RECIPES)
    assert all("Never run" in file.read_text(encoding="utf-8") for file in files)


def test_the_time_of_a_step_follows_from_rates():
    config = eight_billion(steps=90, iterations=2, save_every=2)
    took = step_time(config, Rates(rollout=100, update=200, reward=4), gpus=4, response=1000)
    # 64 responses of 1000 tokens: 64,000 / 400 s for two steps, 64,000 / 800 s for each.
    assert (took.rollout, took.reward, took.update) == (80, 2, 80)
    assert took.hours == pytest.approx(90 * 162 / 3600)
    assert step_time(config, Rates(100, 200), gpus=4, response=1000, generating=16).rollout == 20


def test_rates_of_another_run_are_told_with_what_differs(tmp_path):
    mine = eight_billion()
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(mine)))
    assert unlike(mine, tmp_path) == []
    other = dataclasses.replace(mine, model=dataclasses.replace(mine.model, path="tiny"))
    (told,) = unlike(other, tmp_path)
    assert f"model.path {mine.model.path}, here tiny" in told


def test_rates_are_read_from_a_run(tmp_path):
    settings = {"trainer": {"prompts_per_step": 2}, "rollout": {"group_size": 4}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    first = {"tokens/total": 1, "time/step": 99, "time/rollout": 90, "step": 1}
    others = [{"tokens/total": 800, "time/step": 15, "time/rollout": 8, "time/reward": 2, "step": k} for k in (2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (first, *others)))
    rates, response = measured_rates(tmp_path, gpus=2)
    assert (rates, response) == (Rates(rollout=50, update=80, reward=2), 100)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "rollout": {**config["rollout"], "ahead": 1}}))
    with pytest.raises(ConfigError, match=r"rollout\.ahead 1"):
        measured_rates(tmp_path, gpus=2)
    with pytest.raises(ConfigError, match="no two steps"):
        measured_rates(tmp_path / "elsewhere", 1)


@pytest.mark.medium
def test_the_script_prints_a_table_or_json_and_exits_with_1_where_it_does_not_fit(tmp_path):
    config = f"{ROOT}/configs/recipes/qwen3-8b-4-and-4.yaml"
    shown = script("plan.py", config, "--gpus", "4", "--rollout-rate", "2000", "--update-rate", "5000")
    assert shown.returncode == 0
    assert "fits: 53.6 of 80 GiB" in shown.stdout
    assert "a step: " in shown.stdout
    small = script("plan.py", config, "--gpus", "4", "--gpu-memory", "40", "--json")
    assert small.returncode == 1
    plan = json.loads(small.stdout)
    assert plan["fits"] is False
    assert plan["advice"]
    assert script("plan.py", config, "--gpus", "3").returncode == 2  # groups would be split


ALSO = [name for name in RECIPES if name != "qwen3-0.6b-24gb"]


@pytest.mark.medium
@pytest.mark.parametrize("name", ["qwen3-0.6b-24gb", *(pytest.param(name, marks=pytest.mark.slow) for name in ALSO)])
def test_the_dry_run_of_a_model_that_is_not_at_hand_says_what_stands_in_for_it(name):
    config, (gpus, memory) = f"{ROOT}/configs/recipes/{name}.yaml", RECIPES[name]
    path = load_config(config, []).model.path
    stand_in = ("--dry-run", "--stand-in", "--gpus", str(gpus), "--gpu-memory", str(memory))
    done = script("train.py", config, *stand_in)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"a step on each of {gpus} rank" in done.stdout
    assert " padded tokens" in done.stdout
    assert re.search(r"stand-in: a Qwen\d\w* of 2 layers", done.stdout)
    assert "model: sizes written down in configs/architectures/" in done.stdout
    assert "on torch's meta device" in done.stdout
    assert f"not checked: weights, tokenizer and template of {path}" in done.stdout
    assert f"of {memory} GiB, a twentieth left free" in done.stdout
    assert not Path(f"runs/{name}").exists()


@pytest.mark.medium
@pytest.mark.parametrize(
    "options", [("--gpus", "8"), ("--dry-run", "--gpu-memory", "40"), ("--dry-run", "--stand-in", "--gpus", "0")]
)
def test_gpus_that_nothing_asks_about_or_that_are_none_are_refused_in_one_line(options):
    done = script("train.py", f"{ROOT}/configs/recipes/qwen3-0.6b-24gb.yaml", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert options[-2] in done.stderr


@pytest.mark.medium
def test_a_stand_in_trains_nothing_but_in_a_dry_run():
    assert script("train.py", f"{ROOT}/configs/recipes/qwen3-0.6b-24gb.yaml", "--stand-in").returncode == 2


@pytest.mark.medium
@pytest.mark.parametrize(
    "numbers", [("1", "nan"), ("1", "inf"), ("99999999999999999999999", "80"), ("1", "-3"), ("0", "8")]
)
def test_a_number_that_no_cluster_has_is_one_line(numbers, tmp_path):
    gpus, memory = numbers
    done = script("plan.py", str(ROOT / "configs" / "demo.yaml"), "--gpus", gpus, "--gpu-memory", memory)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.medium
@pytest.mark.parametrize(
    "options",
    [
        ("--rollout-rate", "0", "--update-rate", "5"),
        ("--rollout-rate", "5", "--update-rate", "-3"),
        ("--rollout-rate", "5", "--update-rate", "nan"),
        ("--response", "100"),
        ("--server-gpus", "-1"),
        ("--measured", "runs/demo", "--measured-gpus", "0"),
        ("--measured", "runs/demo", "--rollout-rate", "5", "--update-rate", "5"),
    ],
)
def test_an_option_of_times_that_would_say_nothing_is_refused(options):
    done = script("plan.py", str(ROOT / "configs" / "demo.yaml"), *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert options[-2] in done.stderr or options[0] in done.stderr


def test_a_run_that_is_being_written_has_rates_and_one_without_settings_is_one_line(tmp_path):
    records = [
        {"step": s, "time/step": 12, "time/rollout": 4, "time/reward": 3, "tokens/total": 400} for s in (1, 2, 3)
    ]
    half = '{"step": 4, "time/st'
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records) + half)
    with pytest.raises(ConfigError, match=r"config\.json"):
        measured_rates(tmp_path, 1)
    (tmp_path / "config.json").write_text('{"trainer": {"prompts_per_step": 2}, "rollout": {"group_size": 2}}')
    assert measured_rates(tmp_path, 1) == (Rates(rollout=100, update=80, reward=3), 100)


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "{}", '{"zero_optimization": 3}', '{"zero_optimization": {"stage": 7}}', None]
)
def test_a_deepspeed_file_that_says_nothing_of_zero_is_one_line(tmp_path, text):
    file = tmp_path / "zero.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=r"zero\.json"):
        make_plan(eight_billion(deepspeed=str(file)), 8, 80 * GIB)
