"""A group in a line: letters for modes (T think, N no_think, - none), numbers for rewards."""

from factories import LETTERS, make_problem, make_rollout

from rewards.builtin.judge import judge
from rl.algorithms import build_algorithm
from rl.algorithms.base import group_advantages
from rollout.types import RolloutGroup


def computed(
    name,
    modes,
    rewards,
    correct=None,
    lengths=None,
    progress=0.0,
    judge_scores=None,
    reference=None,
    known=None,
    **params,
):
    """(A_judge, A_answer) as lists, as training computes them. Correctness is the reward unless given, and the judge
    scores are those of the judge reward; `known` is what `group_arrays` takes besides."""
    problem = make_problem(metadata={} if reference is None else {"reference_accuracy": reference})
    correct, lengths = correct or rewards, lengths or [4] * len(modes)
    rollouts = [
        make_rollout(LETTERS[m], correct=float(c), answer_reward=float(r), tokens=n, problem=problem)
        for m, r, c, n in zip(modes, rewards, correct, lengths, strict=True)
    ]
    if judge_scores is None:
        judge_scores = judge(RolloutGroup(problem, tuple(rollouts)))
    scored = [r.with_scores(judge_reward=float(q)) for r, q in zip(rollouts, judge_scores, strict=True)]
    group, algorithm = RolloutGroup(problem, tuple(scored)), build_algorithm({"name": name, **params})
    judge_G, answer_G, _ = group_advantages(algorithm, group, progress=progress, **(known or {}))
    return judge_G.tolist(), answer_G.tolist()


def run(modes, rewards, judge_scores=None, name="step_srpo", **parameters):
    """The same with the algorithm last."""
    return computed(name, modes, rewards, judge_scores=judge_scores, **parameters)


def one_advantage(name, modes, rewards, **options):
    """The advantage of an algorithm that gives both steps the same, checked to be so."""
    judge, answer = computed(name, modes, rewards, **options)
    assert judge == answer
    return answer
