"""A rollout whose answer is a program."""

from rollout.types import Problem, Rollout

TESTS = (
    {"call": "double", "args": [2], "expected": 4},
    {"call": "double", "args": ["ab"], "expected": "abab"},
    {"assert": "assert double(0.5) == 1.0"},
    {"assert": "assert double([1]) == [1, 1]"},
)


def rollout(answer_text, tests=TESTS, problem_id="p1", prompt="Double it."):
    return Rollout(
        problem=Problem(id=problem_id, prompt=prompt, tests=tests),
        mode="think",
        forced=None,
        status="ok",
        prompt_ids=(1,),
        completion_ids=(2,),
        answer_text=answer_text,
    )
