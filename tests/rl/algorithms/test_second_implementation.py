"""Random groups: each algorithm agrees with plain loops over its formula (plain_algorithms.py)."""

import functools
import random

import plain_algorithms
import pytest
from algorithm_helpers import computed

from rl.algorithms import SHIPPED

GROUPS = 150
CASES = [(name, {}, getattr(plain_algorithms, name)) for name in SHIPPED if name != "autothink"]
CASES += [("step_srpo", {"preset": "none"}, plain_algorithms.step_srpo_formula)]
CASES += [("autothink", {"stage": s}, functools.partial(plain_algorithms.autothink, stage=s)) for s in (1, 2, 3)]


def random_group(rng):
    """Mixed groups of up to 12, single modes and groups without any mode among them; rewards repeat or do not."""
    size = rng.randint(1, 12)
    letters = rng.choice(["TN", "TN", "TN-", "TTTTN", "T", "N", "T-", "-"])
    modes = "".join(rng.choice(letters) for _ in range(size))
    correct = [0.0 if m == "-" else rng.choice([0.0, 1.0, 1.0, rng.random()]) for m in modes]
    format_weight = rng.choice([0.0, 0.2])
    rewards = [0.0 if m == "-" else c + format_weight * rng.randint(0, 1) for m, c in zip(modes, correct, strict=True)]
    return {
        "modes": modes,
        "c": correct,
        "r": rewards,
        "l": [rng.randint(1, 30) for _ in modes],
        "q": [0.0 if m == "-" else rng.choice([0.0, 1.0]) for m in modes],
        "p": rng.random(),
        "ref": rng.random(),
        "share": rng.random(),
        "target": rng.random(),
    }


@pytest.mark.parametrize(("name", "params", "plain"), CASES, ids=[f"{name}{p or ''}" for name, p, _ in CASES])
def test_the_algorithm_agrees_with_plain_loops(name, params, plain):
    rng = random.Random(name)
    for _ in range(GROUPS):
        group = random_group(rng)
        batch = {"batch_think_share": group["share"], "batch_target_share": group["target"]}
        known = {"judge_scores": group["q"], "reference": group["ref"], "known": batch}
        found = computed(name, group["modes"], group["r"], group["c"], group["l"], group["p"], **known, **params)
        for ours, theirs in zip(found, plain(group), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-9), group
