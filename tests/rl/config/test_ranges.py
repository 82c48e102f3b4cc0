"""Values that make no sense are refused where they are read, with the key, the value and what is allowed."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from rl.checks.requirements import check_requirements
from rl.config.describe import document, keys
from rl.config.foreign import NAMES_ELSEWHERE
from rl.config.read import parse_config
from rl.config.schema import Config, ConfigError

ROOT = Path(__file__).resolve().parents[3]
NONSENSE = [
    "seed=2147483648",
    "data.seed=99999999999999999999",
    "trainer.adam_beta2=5",
    "trainer.adam_epsilon=0",
    "trainer.weight_decay=-1",
    "trainer.max_grad_norm=-1",
    "trainer.warmup_steps=-3",
    "trainer.micro_batch=-1",
    "trainer.token_budget=-5",
    "trainer.learning_rate=.nan",
    "trainer.learning_rate=.inf",
    "trainer.clip_low=2",
    "trainer.keep_checkpoints=0",
    "trainer.iterations=0",
    "model.lora.dropout=7",
    "model.lora.rank=-1",
    "model.lora.alpha=0",
    "model.attention=nope",
    "model.dtype=int8",
    "protocol.judge_patience=-1",
    "rollout.top_k=-1",
    "rollout.top_p=0",
    "rollout.top_p=1.1",
    "rollout.temperature=-0.1",
    "rollout.max_new_tokens=0",
    "rollout.max_new_tokens_by_mode={maybe: 3}",
    "rollout.max_new_tokens_by_mode.think=0",
    "rollout.vllm.max_model_len=-1",
    "rollout.vllm.server_url=here",
    "rollout.vllm.timeout=0",
    "rollout.forced.decay_steps=-1",
    "rollout.forced.start=1.5",
    "rollout.forced.start=-0.1",
    "rollout.forced.floor=2",
    "rollout.forced.minimum=-1",
    "rollout.forced.minimum_share=0.6",
    "evaluation.max_new_tokens=-7",
    "evaluation.every=-1",
    "wandb.table_rows=0",
    "label.max_new_tokens=-1",
    "label.direct_tokens=-1",
    "label.samples=0",
    "cold_start.max_length=0",
    "cold_start.weight_decay=-1",
    "cold_start.save_every=-1",
    "cold_start.adam_beta2=1",
    "seed=-1",
    "guard.leak_words=2",
    "guard.leak_tokens=-1",
    "data.train_size=0",
    "control.flip_rewards=2",
]


def with_key(dotted: str, value: object) -> dict:
    """A configuration with this one value."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize("setting", NONSENSE)
def test_nonsense_names_its_key_and_what_is_allowed(setting):
    key, _, text = setting.partition("=")
    with pytest.raises(ConfigError) as caught:
        parse_config(with_key(key, yaml.safe_load(text)))
    assert str(caught.value).startswith(f"{key} is ")
    assert "; allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_whole_number_has_a_lowest_value():
    assert [name for name, allowed, _, _ in keys(Config) if allowed == "a whole number"] == []


def test_off_without_quotes_is_off():
    config = parse_config(yaml.safe_load("{guard: {action: off}, history: {resample: off}}"))
    assert (config.guard.action, config.history.resample) == ("off", "off")


def test_false_is_no_choice_where_off_is_none():
    with pytest.raises(ConfigError, match=r"wandb\.mode is False; allowed: online, offline"):
        parse_config({"wandb": {"mode": False}})


@pytest.mark.parametrize(
    ("section", "key", "ours"),
    [
        ("trainer", "beta", "trainer.kl"),
        ("trainer", "epsilon_high", "trainer.clip_high"),
        ("trainer", "loss_type", "algorithm"),
        ("trainer", "gradient_accumulation_steps", "trainer.micro_batch"),
        ("rollout", "num_generations", "rollout.group_size"),
        ("rollout", "max_completion_length", "rollout.max_new_tokens"),
        ("trainer", "max_steps", "trainer.steps"),
    ],
)
def test_another_trainers_name_is_refused_with_the_name_it_has_here(section, key, ours):
    with pytest.raises(ConfigError, match=f"unknown key '{section}.{key}'; .*{ours}"):
        parse_config({section: {key: 1}})


def test_no_key_has_the_name_of_another_trainers_setting_that_means_something_else():
    ours = {name for name, *_ in keys(Config)}
    shared = [name for name in NAMES_ELSEWHERE if any(key.endswith(f".{name}") for key in ours)]
    assert shared == [
        "max_length",
        "delta",
    ]  # of SFT, which cold_start.max_length is; of GRPO, which label.delta is not


def test_a_replaced_value_is_checked_again():
    with pytest.raises(ValueError, match="greater than"):
        dataclasses.replace(Config().trainer, steps=0)


def test_a_date_is_refused_where_it_stands():
    with pytest.raises(ConfigError, match=r"rewards\[0\]\.since is datetime"):
        parse_config(yaml.safe_load("rewards: [{name: math, since: 2026-01-01}]"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"trainer": {"deepspeed": "gone.json"}}, "trainer.deepspeed is 'gone.json'; allowed: a JSON file"),
        ({"trainer": {"deepspeed": "bad.json"}}, "trainer.deepspeed 'bad.json' is no JSON"),
        ({"trainer": {"deepspeed": "other.json"}}, "has no zero_optimization"),
        ({"model": {"chat_template": "gone.jinja"}}, "model.chat_template is 'gone.jinja'; allowed: a file"),
    ],
)
def test_a_file_that_a_run_needs_is_looked_for_before_it_starts(raw, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ConfigError, match=message):
        check_requirements(parse_config(raw))


def test_the_page_of_the_configuration_is_the_code_s():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == document(Config)


def test_every_key_says_what_it_means():
    assert [name for name, _, _, meaning in keys(Config) if not meaning] == []


def test_no_page_of_the_docs_holds_the_marks_of_an_unfinished_merge():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.startswith(("<<<<<<< ", ">>>>>>> "))] == []
