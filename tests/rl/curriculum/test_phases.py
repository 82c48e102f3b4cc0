"""Staged curricula: which step has which settings, which data, and what is refused."""

from __future__ import annotations

import json

import pytest

from rl.config.read import parse_config
from rl.config.schema import ConfigError, longest_response
from rl.curriculum.phases import load_training_problems, mixes, rollout_at, stage_at, stage_index
from rl.training.run_state import RunState
from rollout.types import Problem

STAGES = [
    {"steps": 4, "weights": {"math": 1.0}, "max_new_tokens": 64},
    {"steps": 6, "weights": {"math": 0.5, "code": 0.5}, "max_new_tokens": 300, "forced_share": 0.9},
    {"steps": 2},
]


def make(stages=STAGES, steps=12, **trainer):
    return parse_config({"stages": stages, "trainer": {"steps": steps, "prompts_per_step": 2, **trainer}})


def problems():
    return [Problem(f"{domain}{k}", "", domain, difficulty=str(k)) for domain in ("math", "code") for k in range(3)]


def test_each_step_has_its_stage():
    config = make()
    assert [stage_index(config, step) for step in range(13)] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2]
    assert [rollout_at(config, step).max_new_tokens for step in (0, 3, 4, 9, 10)] == [64, 64, 300, 300, 256]
    assert [stage_at(config, step).forced_share for step in (3, 4, 10)] == [None, 0.9, None]


def test_no_stages_change_nothing():
    config = parse_config({})
    assert rollout_at(config, 50) is config.rollout
    assert longest_response(config) == 256
    (mix,) = mixes(config, problems())
    assert (mix.start, list(mix.pools.values())) == (0, [[p.id for p in problems()]])
    assert RunState(make(stages=[], steps=5), problems(), []).forced_share(0.3, 2) == 0.3


def test_the_longest_response_is_over_all_stages():
    assert longest_response(make()) == 300


def test_a_stage_draws_its_domains_by_weight():
    one, two, three = mixes(make(), problems())
    assert (one.start, one.pools, one.weights) == (0, {"domain math": ["math0", "math1", "math2"]}, {"domain math": 1})
    assert (two.start, two.weights) == (4, {"domain math": 0.5, "domain code": 0.5})
    assert (three.start, list(three.pools)) == (10, [""])


def test_a_stage_draws_its_difficulties_by_share():
    (mix,) = mixes(make([{"steps": 12, "shares": {"0": 1.0, "2": 3.0, "1": 0.0}}]), problems())
    assert mix.pools == {"difficulty 0": ["math0", "code0"], "difficulty 2": ["math2", "code2"]}
    assert mix.weights == {"difficulty 0": 1.0, "difficulty 2": 3.0}


def test_a_stage_may_bring_a_file_of_its_own(tmp_path):
    for name, count in (("a.jsonl", 3), ("b.jsonl", 4)):
        rows = [json.dumps({"prompt": f"{name} {k}", "answer": "1", "domain": "math"}) for k in range(count)]
        (tmp_path / name).write_text("\n".join(rows))
    raw = {"stages": [{"steps": 3}, {"steps": 3, "train": "b.jsonl"}], "trainer": {"steps": 6, "prompts_per_step": 2}}
    config = parse_config({**raw, "data": {"path": str(tmp_path), "train": "a.jsonl"}})
    loaded = load_training_problems(config)
    assert [p.id for p in loaded] == ["1", "2", "3", "b.jsonl#1", "b.jsonl#2", "b.jsonl#3", "b.jsonl#4"]
    one, two = mixes(config, loaded)
    assert (one.pools[""], two.pools["b.jsonl"]) == (["1", "2", "3"], [f"b.jsonl#{k}" for k in range(1, 5)])


def test_a_source_of_its_own_may_hold_the_mark_that_ends_a_source():
    task = "reasoning_gym:chain_sum?min_terms=2&max_terms=2#easy"
    config = make([{"steps": 6}, {"steps": 6, "train": task}])
    own, deeper = (Problem(name, "", "math") for name in (f"{task}#1", "reasoning_gym:chain_sum#1"))
    one, two = mixes(config, [*problems(), own, deeper])
    assert list(two.pools.values()) == [[own.id]]
    assert own.id not in one.pools[""]
    assert deeper.id in one.pools[""]


def test_stages_count_steps_and_rounds_count_generations():
    config = make([{"steps": 4}, {"steps": 8}], iterations=2, save_every=2)
    assert [mix.start for mix in mixes(config, problems())] == [0, 2]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"step": 3}], r"unknown key 'stages\[0\]\.step'; did you mean 'steps'\?"),
        ([{"steps": 12, "max_new_token": 3}], r"unknown key 'stages\[0\]\.max_new_token'; did you mean 'max_new_tok"),
        ([{"steps": 4}, {"steps": 7}], "stages make up 11 steps; allowed: trainer.steps, 12"),
        ([{"steps": 0}, {"steps": 12}], r"stages\[0\]\.steps is 0; allowed: above 0"),
        ([{"steps": 12, "max_new_tokens": 0}], r"stages\[0\]\.max_new_tokens is 0; allowed: a whole number, above 0"),
        ([{"steps": 12, "forced_share": 1.5}], r"stages\[0\]\.forced_share is 1.5; allowed: 0 to 1 or null"),
        (
            [{"steps": 12, "weights": {"math": 0}}],
            r"stages\[0\]\.weights is .*; allowed: numbers of 0 or more, not all",
        ),
        ([{"steps": 12, "weights": {"a": 1}, "shares": {"1": 1}}], r"stages\[0\] has both weights and shares"),
    ],
)
def test_stages_that_cannot_be_run_are_refused(stages, message):
    with pytest.raises(ConfigError, match=message):
        make(stages)


def test_a_stage_that_would_split_an_iteration_is_refused():
    with pytest.raises(
        ConfigError, match=r"stages\[0\].steps is 3; allowed: above 0, a multiple of trainer.iterations"
    ):
        make([{"steps": 3}, {"steps": 9}], iterations=2, save_every=2)


def test_a_domain_that_the_data_does_not_have_names_the_nearest():
    config = make([{"steps": 12, "weights": {"maths": 1.0}}])
    with pytest.raises(ConfigError, match=r"stages\[0\]\.weights names the domain 'maths'; did you mean 'math'\?"):
        mixes(config, problems())
