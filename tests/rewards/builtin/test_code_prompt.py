"""Code that a prompt already holds: completed bodies, helpers, imports, and tests that use the helpers."""

import pytest
from code_answers import rollout

from rewards.builtin.code_prompt import complete, prompt_code, with_helpers
from rewards.builtin.code_tests import code_tests

PROMPT = '''from typing import List


def twice(x: int) -> int:
    """ Double it. """
    return 2 * x


def double_all(xs: List[int]) -> List[int]:
    """ Double every number with `twice`.
    >>> double_all([1, 2])
    [2, 4]
    """
'''
HELPERS = '''from typing import List
def twice(x: int) -> int:
    """ Double it. """
    return 2 * x'''
RIGHT = "def double_all(xs: List[int]) -> List[int]:\n    return [twice(x) for x in xs]"
TESTS = ({"call": "double_all", "args": [[1, 2]], "expected": [2, 4]}, {"assert": "assert double_all([3]) == [6]"})


@pytest.mark.parametrize("prompt", [PROMPT, f"Complete this:\n```python\n{PROMPT}```\nThink first."])
def test_the_helpers_the_target_and_the_header_of_a_prompt_are_found(prompt):
    code = prompt_code(prompt)
    assert (code.target, code.helpers, code.names) == ("double_all", HELPERS, {"twice"})
    assert code.header == PROMPT.rstrip()


@pytest.mark.parametrize(
    "prompt",
    [
        "Double it.",
        "Write a def of life (",
        "```python\nx = 1\n```",
        "def f(x):\n    return x\n",
        "def f(:\n",
        "\0def f(x):",
    ],
)
def test_a_prompt_without_an_unfinished_function_changes_nothing(prompt):
    assert prompt_code(prompt) is None
    assert complete("  x = 1", prompt) == "  x = 1"


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        f"```python\n{RIGHT}\n```",
        f"```python\n{PROMPT}    return [twice(x) for x in xs]\n```",
        "    return [twice(x) for x in xs]",
        "return [twice(x) for x in xs]",
        "doubled = []\n    for x in xs:\n        doubled.append(twice(x))\n    return doubled",
        "```python\n    result = map(twice, xs)\n    return list(result)\n```",
        "from __future__ import annotations\n" + RIGHT,
        "1. So:\n   ```python\n   def double_all(xs):\n       return [twice(x) for x in xs]\n   ```",
        "import functools\n\ndouble_all = lambda xs: [twice(x) for x in xs]",
        "def twice(x):\n    return x + x\n\n" + RIGHT,
    ],
)
def test_an_answer_that_lacks_what_the_prompt_defines_passes(answer):
    assert code_tests(rollout(answer, TESTS, prompt=PROMPT)) == 1.0


@pytest.mark.parametrize(
    "answer",
    ["    return xs", "x = 1", "pass", "I cannot.", "def twice(x):\n    return x\n\n" + RIGHT, '    """ Done. """'],
)
def test_a_wrong_answer_is_not_completed_into_a_right_one(answer):
    assert code_tests(rollout(answer, TESTS, prompt=PROMPT)) == 0.0


def test_an_answer_without_the_target_does_not_pass_as_the_empty_function_of_the_prompt():
    nothing = ({"call": "double_all", "args": [[1]], "expected": None},)
    assert code_tests(rollout("def other(xs):\n    return 1", nothing, prompt=PROMPT)) == 0.0


def test_a_test_uses_the_prompt_s_helper_and_not_the_program_s():
    tests = ({"assert": "assert double_all([3])[0] == twice(3)"},)
    cheat = "def twice(x):\n    return 0\n\ndef double_all(xs):\n    return [0]"
    assert code_tests(rollout(RIGHT, tests, prompt=PROMPT)) == 1.0
    assert code_tests(rollout(cheat, tests, prompt=PROMPT)) == 0.0


def test_only_tests_that_name_a_helper_get_it():
    plain = {"assert": "assert double_all([3]) == [6]"}
    call = {"call": "twice", "args": [1], "expected": 2}
    assert with_helpers(plain, PROMPT) is plain
    assert with_helpers(call, PROMPT) is call
    assert with_helpers({"assert": "assert twice(1) == 2"}, PROMPT) == {
        "assert": HELPERS + "\n\n\nassert twice(1) == 2"
    }


@pytest.mark.parametrize("line", ["import " * 150_000, "double_all " * 90_000, "from " * 200_000, " " * 1_000_000])
def test_a_long_program_is_looked_at_in_linear_time(line):
    assert complete(line + "\n" + RIGHT, PROMPT).endswith(RIGHT)
