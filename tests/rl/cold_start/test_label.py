"""Necessity labels, computed by hand from scored rollouts; and labelling a file with a real engine."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from factories import LETTERS, make_group, make_problem, make_rollout
from small_runs import save_policy, small_config

from rewards.registry import build_rewards
from rl.cold_start.label import is_example, label_problems, label_row, majority_label, summary_lines
from rl.config.cold_start import LabelConfig
from rl.data import load_problems
from rl.files.row_store import RowStore, read_rows
from rl.models.open import open_policy
from rl.statistics.reflection import leaks


def forced_group(modes, correct, forced="", problem=None):
    """A group whose rollouts were forced, into the mode they have unless told."""
    group = make_group(modes, correct, problem=problem)
    told = zip(group.rollouts, forced or modes, strict=True)
    return replace(group, rollouts=tuple(replace(r, forced=LETTERS[letter]) for r, letter in told))


NEVER_RANDOM = LabelConfig(samples=4, random_share=0.0)


@pytest.mark.parametrize(
    ("think", "no_think", "delta", "label"),
    [
        (1.0, 0.0, 0.05, "think"),
        (0.0, 1.0, 0.05, "no_think"),
        (0.55, 0.5, 0.05, "no_think"),  # exactly delta: within, although 0.55 - 0.5 is a little more in floats
        (0.5625, 0.5, 0.05, "think"),
        (1.0, 1.0, 0.0, "no_think"),
        (0.0, 0.0, 0.05, "no_think"),
    ],
)
def test_the_label_is_the_better_mode_and_direct_within_delta(think, no_think, delta, label):
    assert majority_label(think, no_think, delta) == label


def test_a_row_has_pass_rates_tokens_and_complexity_of_its_problem():
    group = forced_group("TTTTNNNN", (1, 1, 1, 0, 1, 0, 0, 0))
    row = label_row(group, NEVER_RANDOM, seed=0)
    assert (row["id"], row["prompt"], row["answer"], row["necessity"]) == ("p1", "12 + 34", "46", "think")
    label = row["label"]
    assert label["complexity"] == 0.5
    assert label["random"] is False
    assert (label["think"]["pass_rate"], label["no_think"]["pass_rate"]) == (0.75, 0.25)
    assert (label["think"]["samples"], label["no_think"]["mean_tokens"]) == (4, 4.0)


def test_a_forced_row_cut_short_before_its_switch_counts_as_wrong_in_its_mode():
    label = label_row(forced_group("T-N-", (1, 0, 1, 0), "TTNN"), NEVER_RANDOM, seed=0)["label"]
    assert (label["think"]["pass_rate"], label["no_think"]["pass_rate"]) == (0.5, 0.5)


def test_the_shortest_correct_answer_of_each_mode_is_kept():
    group = forced_group("TTNN", (1, 1, 0, 0))
    rollouts = (
        make_rollout("think", tokens=9, forced=True, judge_text="hm", think_text="1+1", answer_text="2"),
        make_rollout("think", tokens=6, forced=True, judge_text="so", think_text="two", answer_text="2"),
        make_rollout("no_think", tokens=3, forced=True, correct=0.0),
        make_rollout("no_think", tokens=2, forced=True, status="truncated"),
    )
    label = label_row(type(group)(group.problem, rollouts), NEVER_RANDOM, seed=0)["label"]
    assert label["think"]["shortest"] == {"judge": "so", "thinking": "two", "answer": "2", "tokens": 6}
    assert label["no_think"]["shortest"] is None


@pytest.mark.parametrize(
    ("mode", "text", "cap", "leaking"),
    [
        ("no_think", "46", 0, False),
        ("no_think", "Wait, it is 46", 0, True),
        ("no_think", "Let me see: 46", 0, True),
        ("no_think", "waiting lists: 46", 0, False),
        ("no_think", "46", 2, True),  # three answer tokens
        ("no_think", "46", 3, False),
        ("think", "Wait, it is 46", 1, False),
    ],
)
def test_reasoning_in_a_direct_answer_is_no_example(mode, text, cap, leaking):
    rollout = make_rollout(mode, tokens=4, answer_text=text)
    assert leaks(rollout, cap) == leaking
    assert is_example(rollout, cap) != leaking


def test_a_share_of_the_labels_is_random_and_follows_seed_and_id():
    group = forced_group("TTNN", (1, 1, 0, 0))
    groups = [type(group)(make_problem(id=str(i)), group.rollouts) for i in range(1000)]
    rows = [label_row(g, LabelConfig(random_share=0.2), seed=0) for g in groups]
    chosen = [row for row in rows if row["label"]["random"]]
    assert 150 < len(chosen) < 250
    assert 0.35 < sum(row["necessity"] == "no_think" for row in chosen) / len(chosen) < 0.65
    assert all(row["necessity"] == "think" for row in rows if not row["label"]["random"])
    assert [label_row(g, LabelConfig(random_share=0.2), seed=0) for g in reversed(groups)] == rows[::-1]


@pytest.mark.medium
def test_labelling_goes_on_with_the_rows_that_are_missing_and_comes_to_the_same(tmp_path):
    config = small_config(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        data={"train_size": 6},
        label={"samples": 2, "batch": 8, "random_share": 0.0},
    )
    problems, rewards = load_problems(config, "train"), build_rewards(config.rewards)
    policy = open_policy(config)
    engine, protocol = policy.engine, policy.protocol
    whole = RowStore(tmp_path / "whole.jsonl", {})
    assert label_problems(config, problems, engine, protocol, rewards, whole) == 6
    path = tmp_path / "killed.jsonl"
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    assert label_problems(config, problems, engine, protocol, rewards, RowStore(path, {})) == 4
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert [row["id"] for row in read_rows(path)] == [problem.id for problem in problems]
    assert label_problems(config, problems, engine, protocol, rewards, RowStore(path, {})) == 0
    assert summary_lines(read_rows(path))[0].startswith("labels: 6, mean complexity 1.000")


def test_a_labelled_file_is_a_data_file(tmp_path):
    group = forced_group("TTNN", (1, 1, 0, 0), problem=make_problem(id="x", metadata={"solution": "s"}))
    store = RowStore(tmp_path / "labels.jsonl", {})
    store.append([label_row(group, NEVER_RANDOM, seed=0)])
    config = small_config(tmp_path, tmp_path, data={"path": str(tmp_path), "train": "labels.jsonl"})
    (problem,) = load_problems(config, "train")
    assert (problem.id, problem.necessity, problem.metadata) == ("x", "think", {"solution": "s"})


def test_answers_that_a_reward_broke_on_count_nowhere(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def picky(rollout):\n"
        "    if rollout.problem.id == 'b' or rollout.mode == 'think':\n        raise ConnectionError('gone')\n"
        "    return 0.5\n"
    )
    group = make_group("TTNN", (1, 0, 1, 0))
    forced = [dataclasses.replace(r, forced=r.mode) for r in group.rollouts]
    broken = dataclasses.replace(forced[0], scores={}, broken="gone")
    label = label_row(type(group)(group.problem, (broken, *forced[1:])), NEVER_RANDOM, seed=0)["label"]
    assert (label["think"]["samples"], label["think"]["pass_rate"], label["no_think"]["pass_rate"]) == (1, 0.0, 0.5)
    assert label["complexity"] == pytest.approx(2 / 3)
    config = small_config(
        tmp_path / "run",
        save_policy(tmp_path / "policy"),
        data={"train_size": 2},
        label={"samples": 1, "batch": 4},
        rewards=[{"name": "judge"}, {"name": f"{tmp_path}/mine.py:picky"}],
        reward_errors={"policy": "drop", "max_share": 0.9},
    )
    policy = open_policy(config)
    engine, protocol = policy.engine, policy.protocol
    store = RowStore(tmp_path / "labels.jsonl", {"model": "m"})
    problems = load_problems(config, "train")
    assert label_problems(config, problems, engine, protocol, build_rewards(config.rewards), store) < 2
