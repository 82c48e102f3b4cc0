"""`preset: published`: what the authors' own code does differently, as far as it is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rl.algorithms import SHIPPED, build_algorithm
from rl.algorithms.autothink import advantages as autothink
from rl.algorithms.group import GroupArrays, standardise
from rollout.errors import UserError

VERL = {"clip_low": 0.2, "clip_high": 0.2, "entropy": 0.001}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("grpo", {"answer_mean": "sequences", "clip_low": 0.2, "clip_high": 0.2, "kl": 0.04}),
        ("dr_grpo", {"clip_low": 0.2, "clip_high": 0.2}),
        ("adaptthink", {"clip_low": 0.2, "clip_high": 0.2}),
        ("degrpo", VERL),
        ("ada_grpo", {**VERL, "kl": 0.001}),
        ("autothink", VERL),
        ("hipo", {}),
    ],
)
def test_the_published_preset_changes_these_loss_options_and_no_others(name, changed):
    plain, published = (build_algorithm({"name": name, "preset": preset}) for preset in ("none", "published"))
    assert published.loss == dataclasses.replace(plain.loss, **changed)
    assert plain == build_algorithm({"name": name})
    assert published.plan == plain.plan


def test_two_presets_change_a_parameter():
    assert build_algorithm({"name": "hipo", "preset": "published"}).parameters == {"answer_scale": "std"}
    assert build_algorithm({"name": "autothink", "preset": "published"}).parameters == {"unreadable": "zero"}


def test_ones_own_settings_come_after_the_preset():
    made = build_algorithm({"name": "degrpo", "preset": "published", "clip_high": 0.3, "alpha": 0.5})
    assert (made.loss.clip_low, made.loss.clip_high, made.loss.judge_weight) == (0.2, 0.3, 0.5)


@pytest.mark.parametrize("settings", [{"name": "bpo", "preset": "published"}, {"name": "grpo", "preset": "paper"}])
def test_a_preset_that_is_not_there_is_refused(settings):
    with pytest.raises(UserError, match=r"algorithm.preset is '(published|paper)'"):
        build_algorithm(settings)


def test_algorithms_without_code_to_follow_have_no_preset():
    without = {name for name, one in SHIPPED.items() if one.published is None}
    assert without == {"step_srpo", "hgpo", "bpo", "paired_routing"}


def test_an_unreadable_direct_answer_costs_nothing_where_autothinks_own_code_says_so():
    group = GroupArrays(
        modes=("think", "no_think", "no_think", "no_think"),
        rewards_G=np.zeros(4),
        judge_G=np.zeros(4),
        correct_G=np.array([1.0, 1.0, 0.0, 0.0]),
        lengths_G=np.ones(4),
        switch_probs_GM=np.full((4, 2), 0.5),
        forced_G=np.zeros(4),
        truncated_G=np.zeros(4),
        readable_G=np.array([1.0, 1.0, 1.0, 0.0]),
    )
    # Right think 1, right direct 2, wrong direct −1, and the unreadable one −1 or 0.
    assert autothink(group, stage=2)[0] == pytest.approx(standardise(np.array([1.0, 2.0, -1.0, -1.0])))
    assert autothink(group, stage=2, unreadable="zero")[0] == pytest.approx(
        standardise(np.array([1.0, 2.0, -1.0, 0.0]))
    )
