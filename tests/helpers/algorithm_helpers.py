"""A group in a line: letters for modes (T think, N no_think, - none), numbers for rewards."""

from factories import LETTERS, make_group

from rewards.builtin.judge import judge
from rl.algorithms import build_algorithm, compute
from rl.algorithms.group import group_arrays


def run(modes, rewards, judge_scores=None, name="step_srpo", **parameters):
    """(A_judge, A_answer) as lists; without `judge_scores` they come from the judge reward itself."""
    if judge_scores is None:
        judge_scores = judge(make_group(modes, rewards))
    arrays = group_arrays(make_group(modes, rewards, judge_scores), progress=0.0)
    judge_G, answer_G = build_algorithm({"name": name, **parameters})(arrays)
    return judge_G.tolist(), answer_G.tolist()


def computed(name, modes, rewards, correct=None, lengths=None, progress=0.0, context=None, **params):
    """(A_judge, A_answer) of `compute` as lists; correctness is the reward and lengths are 1 unless given."""
    judge_G, answer_G = compute(
        name,
        [LETTERS[m] for m in modes],
        rewards,
        rewards if correct is None else correct,
        lengths or [1] * len(modes),
        progress=progress,
        params=params,
        context=context,
    )
    return judge_G.tolist(), answer_G.tolist()


def one_advantage(name, modes, rewards, **options):
    """The advantage of an algorithm that gives both steps the same, checked to be so."""
    judge, answer = computed(name, modes, rewards, **options)
    assert judge == answer
    return answer
