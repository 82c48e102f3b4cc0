"""The reader's version of the algorithm against the trainer: two statements of one objective.

Both replay the same rollouts with plain gradient descent. scripts/minimal.py has its own masks, rewards, advantages,
loss and history and shares none of the trainer's.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
from small_runs import ROOT, script, small_config, write_rollouts
from trainer_setups import quiet_setup
from transformers import AutoModelForCausalLM, TrainerCallback

from rl.models.loading import load_tokenizer
from rl.models.protocols import build_protocol
from rl.training.run import build_trainer
from rl.worlds.model import build_small_tokenizer, model_of
from rollout.collect import make_rollout
from rollout.engines.base import Completion
from rollout.types import Problem, Rollout

RATE, STEPS = 0.3, 3
# (forced mode, response) of each rollout of a group; {a} is the right answer, {b} a wrong one.
RESPONSES = (
    ("think", "<think> a 5 c {a} </think> {a} <eos>"),
    ("think", "<think> a {b} </think> {b} <eos>"),
    ("no_think", "<no_think> {a} <eos>"),
    ("no_think", "<no_think> {b} <eos>"),
    (None, "hm <no_think> {a} <eos>"),
    (None, "<think> c {a} b {a} </think> {a} <eos>"),
    (None, "so 3 a <eos>"),  # no switch
    (None, "<think> a 5 b 2 c 4 a"),  # cut off
)


def load_minimal():
    spec = importlib.util.spec_from_file_location("minimal", ROOT / "scripts" / "minimal.py")
    module = sys.modules["minimal"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    tokenizer = build_small_tokenizer()
    model_of("tiny:32x1", tokenizer, 0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def configured(tmp_path, policy, iterations, algorithm=None, **sections):
    # The reader's version is the formula.
    algorithm = {"name": "step_srpo", "preset": "none", **(algorithm or {})}
    shape = {"steps": STEPS + 1, "iterations": iterations, "prompts_per_step": 4, "micro_batch": 8}
    rest = {"learning_rate": RATE, "max_grad_norm": 1e9, "save_every": 12 * iterations}
    return small_config(
        tmp_path / "run",
        policy,
        protocol={"name": "one_token"},
        rollout={"replay": str(tmp_path / "recorded.jsonl"), "group_size": 8, "forced": {"start": 0.5}},
        rewards=[{"name": "judge", "margin": 0.25}, {"name": "exact"}, {"name": "format", "weight": 0.2}],
        trainer={**shape, **rest},
        algorithm=algorithm,
        **sections,
    )


def recorded(config) -> list[list[Rollout]]:
    """Groups in which thinking wins, direct wins, both are as good, and nobody is right."""
    protocol = build_protocol(config, load_tokenizer(config))
    wins = ((0, 1, 2), (2, 3, 5), (0, 1, 2, 3), ())
    groups = []
    for number, right in enumerate(wins):
        problem = Problem(f"p{number}", f"{number} a c", "math", answer=str(number + 1))
        rows = []
        for place, (forced, text) in enumerate(RESPONSES):
            good, bad = (str(number + 1), "7") if place in right or (place > 3 and right) else ("6", "7")
            ids = protocol.encode(text.format(a=good, b=good if place in right else bad))
            sampled = tuple(int(not (forced and t == 0)) for t in range(len(ids)))
            completion = Completion(ids, (-1.0,) * len(ids), sampled, {"think": 0.5, "no_think": 0.5})
            rows.append(make_rollout(problem, protocol.render(problem.prompt), completion, forced, protocol))
        groups.append(rows)
    return groups


@dataclasses.dataclass
class Descent:
    """The gradient of every optimizer step and the weights after it, each as one long vector."""

    gradients: list[torch.Tensor]
    weights: list[torch.Tensor]


def vector(values) -> torch.Tensor:
    return torch.cat([value.detach().double().reshape(-1).clone() for value in values])


class Watched(TrainerCallback):
    def __init__(self, model) -> None:
        self.parameters, self.path = [p for _, p in sorted(model.named_parameters())], Descent([], [])

    def on_pre_optimizer_step(self, *args, **kwargs) -> None:
        self.path.gradients.append(vector(p.grad for p in self.parameters))

    def on_optimizer_step(self, *args, **kwargs) -> None:
        self.path.weights.append(vector(self.parameters))


class WatchedSGD(torch.optim.SGD):
    def __init__(self, model) -> None:
        super().__init__(model.parameters(), RATE)
        self.watched = Watched(model)

    def step(self, closure=None) -> None:
        self.watched.on_pre_optimizer_step()
        super().step(closure)
        self.watched.on_optimizer_step()


def trained(config) -> Descent:
    trainer = build_trainer(quiet_setup(config), 1)
    trainer.args.optim = "sgd"
    watched = Watched(trainer.model)
    trainer.add_callback(watched)
    trainer.train()
    return watched.path


def read_by_itself(minimal, config, groups, iterations) -> Descent:
    model = AutoModelForCausalLM.from_pretrained(config.model.path)
    optimizer = WatchedSGD(model)
    minimal.ITERATIONS, minimal.MAX_NORM = iterations, 1e9
    seen = [{} for _ in groups]
    for _ in range((STEPS + iterations) // iterations):
        rows = [
            [minimal.graded(r.problem, list(r.completion_ids), r.mode if r.forced else None) for r in group]
            for group in groups
        ]
        minimal.update(model, optimizer, rows, seen)
    return optimizer.watched.path


def distances(ours: Descent, theirs: Descent, start: torch.Tensor) -> tuple[float, float]:
    """The largest error of a gradient over its norm, and of a weight after three steps over the largest move."""
    pairs = zip(ours.gradients[:STEPS], theirs.gradients[:STEPS], strict=True)
    gradient = max(((a - b).norm() / b.norm()).item() for a, b in pairs)
    moved = (theirs.weights[STEPS - 1] - start).abs().max()
    return gradient, ((ours.weights[STEPS - 1] - theirs.weights[STEPS - 1]).abs().max() / moved).item()


@pytest.fixture
def compare(tmp_path, policy):
    def made(iterations, change=lambda minimal: None, **sections):
        config = configured(tmp_path, policy, iterations, **sections)
        groups = recorded(config)
        write_rollouts(tmp_path / "recorded.jsonl", groups)
        minimal = load_minimal()
        change(minimal)
        start = vector(p for _, p in sorted(AutoModelForCausalLM.from_pretrained(policy).named_parameters()))
        return distances(trained(config), read_by_itself(minimal, config, groups, iterations), start)

    return made


@pytest.mark.medium
@pytest.mark.parametrize("iterations", [1, 2])
def test_gradients_and_weights_of_both_agree(compare, iterations):
    gradient, weights = compare(iterations)
    assert gradient < 1e-5
    assert weights < 1e-4


def wrong_sign(minimal):
    minimal.JUDGE_WEIGHT = -minimal.JUDGE_WEIGHT


def answer_mean_over_rollouts(minimal):
    right = minimal.loss

    def wrong(new, old, rollouts, both):
        tokens = sum(len(r.response) - (len(r.response) if r.switch is None else r.switch + 1) for r in rollouts)
        judge = right(new, old, rollouts, [(a, 0.0) for a, _ in both])
        return judge + right(new, old, rollouts, [(0.0, a) for _, a in both]) * tokens / len(rollouts)

    minimal.loss = wrong


@pytest.mark.medium
@pytest.mark.parametrize("change", [wrong_sign, answer_mean_over_rollouts])
def test_a_wrong_sign_or_mean_in_the_readers_version_is_caught(compare, change):
    assert compare(1, change)[0] > 0.05


@pytest.mark.medium
@pytest.mark.parametrize(
    "algorithm",
    [{"answer_mean": "sequences"}, {"forced_switch": "masked"}],
)
def test_a_wrong_mean_or_mask_in_the_trainer_is_caught(compare, algorithm):
    assert compare(1, algorithm=algorithm)[0] > 0.05


@pytest.mark.medium
def test_clipping_is_felt_in_the_second_pass_over_the_same_rollouts(compare):
    def unclipped(minimal):
        minimal.CLIP_LOW = minimal.CLIP_HIGH = 1e9

    gradient, _ = compare(2, unclipped)
    assert gradient > 0.01


def test_it_is_at_most_two_hundred_lines_and_knows_nothing_but_the_world():
    text = (ROOT / "scripts" / "minimal.py").read_text()
    assert len(text.splitlines()) <= 200
    ours = {
        line.split()[1] for line in text.splitlines() if line.startswith(("from rl", "from rewards", "from rollout"))
    }
    assert ours == {"rl.worlds.model", "rl.worlds.worlds"}
    assert "trl" not in text.replace("TRL", "").split()


@pytest.mark.slow
def test_alone_it_separates_its_world():
    """A minute of one core; the last line is that of the end."""
    done = script("minimal.py", timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    first, *_, last = [line for line in done.stdout.splitlines() if "P(think)" in line]
    before, after = ([int(share) for share in re.findall(r"(\d+)%", line)] for line in (first, last))
    assert all(40 <= share <= 60 for share in before)
    assert after[0] < 15
    assert after[3] > 85
