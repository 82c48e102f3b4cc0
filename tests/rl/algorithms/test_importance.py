"""`forced_switch: importance`: on a toy policy, where everything can be enumerated, the loss has the exact gradient of
the decision, whoever was forced; the other treatments do not.

The policy is a softmax over two switches and a third token. Its quality is E[q] = Σ_m π(m) q(m) with π over the two.
"""

import dataclasses
import itertools

import pytest
import torch
from factories import make_rollout

from rl.algorithms import build_algorithm
from rl.algorithms.group import group_arrays
from rl.training.batch import step_batch
from rl.training.loss import policy_loss
from rl.training.masks import count_tokens
from rollout.types import RolloutGroup

Q = {"think": 1.0, "no_think": 0.25}
LOGITS = (0.3, -0.8, 0.5)
SIZE = 4


def quality_gradient(logits):
    """∇ Σ_m π(m) q(m), π the softmax over the first two logits."""
    x = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    probs = x[:2].softmax(0)
    (probs[0] * Q["think"] + probs[1] * Q["no_think"]).backward()
    return x.grad.tolist()


def loss_gradient(logits, plan, choices, treatment):
    """−∇ of the loss of one group: `plan` forces its rollouts, `choices` are the modes of the others."""
    algorithm = build_algorithm({"name": "step_srpo", "judge_weight": 1.0, **treatment})
    chosen = iter(choices)
    x = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    logp = x.log_softmax(0)
    probs = tuple(logp[:2].exp().tolist())
    rollouts = []
    for forced in plan:
        mode = forced or next(chosen)
        made = make_rollout(mode, tokens=2, forced=forced is not None, judge_reward=Q[mode], switch_probs=probs)
        rollouts.append(made)
    group = group_arrays(RolloutGroup(rollouts[0].problem, tuple(rollouts)), 0.0)
    judge_G, answer_G = algorithm(group)
    weights = algorithm.switch_weights(group).tolist()
    batch = step_batch(rollouts, judge_G.tolist(), answer_G.tolist(), weights, algorithm.loss, pad_id=0, engine=False)
    # The first token is the switch, the second says nothing. At ratio 1 the policy that generated is the policy.
    switches = torch.stack([logp[0 if r.mode == "think" else 1] for r in rollouts])
    logps_BT = torch.stack([switches, torch.zeros(len(rollouts), dtype=torch.float64)], dim=1)
    exact_BT = torch.tensor([[q * w, q] for q, w in zip(judge_G, weights, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(batch.judge_BT.double(), exact_BT)
    batch = dataclasses.replace(batch, policy_old_BT=logps_BT.detach(), judge_BT=exact_BT)
    loss, _ = policy_loss(
        logps_BT,
        batch.ratio_old(),
        batch.policy_old(),
        None,
        None,
        torch.zeros_like(logps_BT),
        batch.judge_BT,
        batch.answer_B,
        batch.judge_mask_BT,
        batch.answer_mask_BT,
        batch.sampled_BT,
        count_tokens(rollouts, algorithm.loss),
        algorithm.loss,
    )
    (-loss).backward()
    return x.grad.tolist()


def expected_gradient(logits, plan, treatment):
    """The mean over all choices of the free rollouts, each with its probability."""
    free = plan.count(None)
    probs = torch.tensor(logits[:2], dtype=torch.float64).softmax(0).tolist()
    total = torch.zeros(len(logits), dtype=torch.float64)
    for choices in itertools.product(("think", "no_think"), repeat=free):
        weight = 1.0
        for mode in choices:
            weight *= probs[0 if mode == "think" else 1]
        total += weight * torch.tensor(loss_gradient(logits, plan, choices, treatment), dtype=torch.float64)
    return total.tolist()


PLANS = [
    ("think",) * n_think + ("no_think",) * n_direct + (None,) * (SIZE - n_think - n_direct)
    for n_think in (1, 2, 3)
    for n_direct in (1, 2, 3)
    if n_think + n_direct <= SIZE
]
IMPORTANCE = {"forced_switch": "importance", "baseline": "policy"}
UNCORRECTED = {"forced_switch": "uncorrected", "baseline": "policy"}


def test_the_exact_gradient_by_hand():
    # p = softmax of (0, 0): both 1/2. d/dx of p q + (1 - p) q' is p (1 - p) (q - q') = 0.25 * 0.75
    assert quality_gradient((0.0, 0.0)) == pytest.approx([0.1875, -0.1875])


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("logits", [LOGITS[:2], LOGITS, (2.0, -2.0, 1.0)], ids=["two", "three tokens", "nearly sure"])
def test_importance_has_the_exact_gradient_of_the_decision_for_every_plan(plan, logits):
    assert expected_gradient(logits, plan, IMPORTANCE) == pytest.approx(quality_gradient(logits), abs=1e-12)


def test_it_is_exact_for_every_single_outcome_that_has_both_modes():
    for choices in itertools.product(("think", "no_think"), repeat=2):
        found = loss_gradient(LOGITS, ("think", "no_think", None, None), choices, IMPORTANCE)
        assert found == pytest.approx(quality_gradient(LOGITS), abs=1e-12)


@pytest.mark.parametrize(
    "treatment", [UNCORRECTED, {"forced_switch": "uncorrected"}], ids=["policy baseline", "no baseline"]
)
def test_an_uncorrected_forced_switch_pushes_otherwise(treatment):
    plan, exact = ("think", "think", "no_think", "no_think"), quality_gradient(LOGITS[:2])
    found = expected_gradient(LOGITS[:2], plan, treatment)
    assert found != pytest.approx(exact, abs=0.05)


def test_a_masked_forced_switch_does_not_push():
    plan = ("think", "think", "no_think", "no_think")
    assert expected_gradient(LOGITS, plan, {"forced_switch": "masked", "baseline": "policy"}) == [0, 0, 0]


def test_a_dead_mode_stays_dead():
    # The push goes with p (1 - p): at p = 1e-6 it is 0.75e-6.
    logits = (13.815509557963774, 0.0)
    plan = ("think", "think", "no_think", "no_think")
    assert abs(expected_gradient(logits, plan, IMPORTANCE)[0]) == pytest.approx(0.75e-6, rel=1e-4)
