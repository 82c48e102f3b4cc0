"""Configuration: typed sections, overrides, and errors that name the nearest key."""

import json
from pathlib import Path

import pytest

from rl.config.contradictions import warmup_lines
from rl.config.read import load_config, parse_config, save_config, to_dict
from rl.config.schema import Config, ConfigError

ROOT = Path(__file__).resolve().parents[3]


def load(tmp_path, text, *overrides):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def test_an_empty_file_gives_the_defaults(tmp_path):
    assert load(tmp_path, "") == Config()


def test_a_warm_up_as_long_as_the_run_is_told():
    assert warmup_lines("trainer", 4, 5) == warmup_lines("trainer", 0, 0) == []
    (told,) = warmup_lines("trainer", 5, 5)
    assert told.startswith("trainer.warmup_steps is 5 of 5 steps")


def test_values_reach_their_typed_sections(tmp_path):
    text = """
    seed: 3
    rollout: {group_size: 4, forced: {start: 0.5, minimum: 1}}
    trainer: {learning_rate: 1e-4, weight_decay: 0}
    model: {lora: {rank: 8, target_modules: [q_proj, v_proj]}}
    data: {train_size: 20, shares: {1: 0.5, "2": 1}}
    rewards: [{name: math}]
    """
    config = load(tmp_path, text)
    assert (config.seed, config.rollout.group_size) == (3, 4)
    assert (config.rollout.forced.start, config.rollout.forced.minimum) == (0.5, 1)
    assert config.trainer.learning_rate == 1e-4  # YAML reads 1e-4 as text
    assert isinstance(config.trainer.weight_decay, float)
    assert config.model.lora.target_modules == ["q_proj", "v_proj"]
    assert config.data.shares == {"1": 0.5, "2": 1.0}
    assert (config.data.train_size, config.data.test_size) == (20, None)
    assert config.rewards == [{"name": "math"}]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=7", ("seed",), 7),
        ("trainer.steps=5", ("trainer", "steps"), 5),
        ("trainer.learning_rate=3e-5", ("trainer", "learning_rate"), 3e-5),
        ("rollout.forced.floor=0.5", ("rollout", "forced", "floor"), 0.5),
        ("run_dir=runs/a=b", ("run_dir",), "runs/a=b"),
        ("wandb.name=", ("wandb", "name"), ""),
        ("data.easy=['1','2']", ("data", "easy"), ["1", "2"]),
        ("rewards.1.weight=0.5", ("rewards",), [{"name": "math"}, {"name": "format", "weight": 0.5}]),
        ("algorithm.kappa=2.0", ("algorithm",), {"name": "step_srpo", "kappa": 2.0}),
    ],
)
def test_an_override_replaces_one_value(tmp_path, override, path, value):
    text = "seed: 1\nrewards: [{name: math}, {name: format}]\nalgorithm: {name: step_srpo}\ntrainer: {}\n"
    found = load(tmp_path, text, override)
    for part in path:
        found = getattr(found, part)
    assert found == value


def test_the_last_override_wins(tmp_path):
    assert load(tmp_path, "seed: 1", "seed=2", "seed=3").seed == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainr: {}", r"unknown key 'trainr'; did you mean 'trainer'\?"),
        ("trainer: {learning_rat: 1}", r"unknown key 'trainer\.learning_rat'; did you mean 'learning_rate'\?"),
        ("rollout: {forced: {florr: 1}}", r"unknown key 'rollout\.forced\.florr'; did you mean 'floor'\?"),
        ("history: {zzz: 1}", r"unknown key 'history\.zzz'; allowed: decay"),
        ("1: 2", r"unknown key '1'; allowed: run_dir"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_the_forced_share_can_fall_in_pieces(tmp_path):
    config = load(tmp_path, "rollout: {forced: {points: [[0, 1], [0.5, 0.4]], minimum_share: 0.25}}")
    forced = config.rollout.forced
    assert [forced.at(0, progress) for progress in (0.0, 0.49, 0.5)] == [1.0, 1.0, 0.4]
    assert forced.least(6) == 2


def test_an_unknown_key_in_an_override_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown key 'trainer\.step'; did you mean 'steps'\?"):
        load(tmp_path, "", "trainer.step=5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: one", "seed is 'one'; allowed: a whole number"),
        ("seed: 1.5", "seed is 1.5; allowed: a whole number"),
        ("seed: true", "seed is True; allowed: a whole number"),
        ("seed:", "seed is None; allowed: a whole number"),
        ("seed: 2147483648", "seed is 2147483648; allowed: a whole number, 0 to 2147483647"),
        ("run_dir: 3", "run_dir is 3; allowed: text"),
        ("run_dir: ''", "run_dir is ''; allowed: a folder"),
        ("run_dir: ' '", "run_dir is ' '; allowed: a folder"),
        ("trainer: {learning_rate: fast}", "trainer.learning_rate is 'fast'; allowed: above 0, up to 10"),
        ("trainer: {bf16: 1}", "trainer.bf16 is 1; allowed: true or false"),
        ("trainer: 5", "trainer is 5; allowed: a section of keys"),
        ("data: {easy: [1]}", r"data.easy\[0\] is 1; allowed: text"),
        ("data: {easy: '1'}", "data.easy is '1'; allowed: a list"),
        ("data: {shares: {a: x}}", "data.shares.a is 'x'; allowed: 0 or more"),
        ("data: {shares: [1]}", r"data.shares is \[1\]; allowed: a section of keys"),
        ("data: {train_size: many}", "data.train_size is 'many'; allowed: a whole number, above 0, or null"),
        ("model: {lora: {target_modules: 3}}", "model.lora.target_modules is 3; allowed: a list or text"),
        ("rewards: {name: math}", "rewards is .*; allowed: a list"),
        ("rewards: [math]", r"rewards\[0\] is 'math'; allowed: a section of keys"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_is_allowed(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol: {name: kot}", r"protocol.name is 'kot'; allowed: kat, .* \(did you mean 'kat'\?\)"),
        ("wandb: {mode: ofline}", r"wandb.mode is 'ofline'; .* \(did you mean 'offline'\?\)"),
        ("reward_errors: {policy: ignore}", "reward_errors.policy is 'ignore'; allowed: stop, drop"),
        ("reward_errors: {max_share: 1}", "reward_errors.max_share is 1; allowed: 0 to 0.99"),
        ("sandbox: {tier: 4}", "sandbox.tier is 4; allowed: a whole number, 1 to 3, or null"),
        ("sandbox: {tier: 3}", "sandbox.tier is 3, which is weak; allowed: with sandbox.allow_weak: true"),
        ("sandbox: {workers: 0}", "sandbox.workers is 0; allowed: a whole number, above 0, or null"),
        ("resume: always", "resume is 'always'; allowed: auto, never"),
        ("model: {dtype: int8}", "model.dtype is 'int8'; allowed: float32, bfloat16, float16"),
        ("trainer: {schedule: magic}", "trainer.schedule is 'magic'"),
        ("trainer: {warmup_steps: 9}", "trainer.warmup_steps is 9 with trainer.schedule 'constant', .* no warm-up"),
        ("cold_start: {schedule: constant}", "cold_start.warmup_steps is 20 with cold_start.schedule 'constant'"),
        ("trainer: {steps: 0}", "trainer.steps is 0; allowed: a whole number, above 0"),
        ("trainer: {learning_rate: -1}", "trainer.learning_rate is -1; allowed: above 0, up to 10"),
        ("rollout: {group_size: 0}", "rollout.group_size is 0; allowed: a whole number, above 0"),
        ("trainer: {keep_checkpoints: 1}", "trainer.keep_checkpoints is 1; allowed: a whole number, 2 or more"),
        ("rollout: {group_size: 3}", "rollout.forced.minimum is 2; allowed: at most half of rollout.group_size, 1"),
        ("rollout: {forced: {start: 1.5}}", "rollout.forced.start is 1.5; allowed: 0 to 1"),
        ("trainer: {save_every: 5, iterations: 2}", r"trainer.save_every is 5; .* a multiple of trainer.iterations"),
        ("cold_start: {gate: {min_switch_probability: 0.6}}", "min_switch_probability is 0.6; allowed: at most 0.5"),
        ("cold_start: {gears: {labels: some.jsonl}}", "cold_start.gears.labels is 'some.jsonl' and is for the second"),
        ("cold_start: {gears: {manual_share: 0.5}}", "cold_start.gears.manual_share is 0.5 and is for the second gear"),
        ("trainer: {steps: 5, iterations: 2}", r"trainer.steps is 5; .* a multiple of trainer.iterations"),
        ("trainer: {kl: -1}", "trainer.kl is -1; allowed: 0 to 100 or null"),
        ("rollout: {forced: {minimum_share: 0.6}}", r"rollout.forced.minimum_share is 0.6; allowed: 0 to 0.5"),
        ("rollout: {forced: {points: [[0, 2]]}}", r"rollout.forced.points\[0\]\[1\] is 2; allowed: 0 to 1"),
    ],
)
def test_a_value_out_of_range_says_what_is_allowed(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "override 'seed' is not of the form section.key=value"),
        ("=3", "override '=3' is not of the form"),
        ("seed.x=1", "override 'seed.x': 'seed' is a value, not a section"),
        ("rewards.4.weight=1", "override 'rewards.4.weight': '4' is no index; allowed: 0 to 0"),
        ("rewards.first.weight=1", "'first' is no index"),
        ("data.easy=[1", r"override 'data.easy=\[1': the value is not valid YAML"),
    ],
)
def test_a_broken_override_is_named(tmp_path, override, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "seed: 1\nrewards: [{name: math}]\n", override)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "is not valid YAML"), ("- 1", "holds a list; allowed: a mapping"), ("word", "holds a str")],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_with_the_folder_it_was_looked_for_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"no configuration file 'gone.yaml' .looked in {tmp_path}"):
        load_config("gone.yaml")


def test_a_saved_configuration_is_the_resolved_one_and_loads_again(tmp_path):
    config = load(tmp_path, "seed: 5\nrollout: {forced: {floor: 0.5}}\nrewards: [{name: math}]\n")
    save_config(config, tmp_path / "run" / "config.json")
    saved = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert saved["rollout"]["forced"] == {
        "start": 1.0,
        "floor": 0.5,
        "decay_steps": 20,
        "minimum": 2,
        "minimum_share": 0.0,
        "points": [],
    }
    assert saved == to_dict(config)
    assert parse_config(saved) == config
    assert load_config(tmp_path / "run" / "config.json") == config


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path):
    config = load_config(path)
    assert {entry["name"] for entry in config.rewards} & {"math", "code", "exact", "reasoning_gym"}


def test_a_key_that_stands_twice_is_named_with_its_lines(tmp_path):
    text = "seed: 1\ntrainer:\n  steps: 3\n  learning_rate: 0.1\n  steps: 4\n"
    with pytest.raises(ConfigError, match=r"the key 'steps' stands twice, in lines 3 and 5"):
        load(tmp_path, text)
    with pytest.raises(ConfigError, match=r"the key 'think' stands twice"):
        load(tmp_path, "seed: 1", "protocol.tags={think: a, think: b}")


def test_a_configuration_may_begin_with_a_byte_order_mark_and_merge_keys(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfdata: &a {max_bad_share: 0.1}\n")
    assert load_config(path).data.max_bad_share == 0.1


def test_an_anchor_that_holds_itself_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"holds itself|nested too deeply"):
        load(tmp_path, "stages: &s [*s]")
