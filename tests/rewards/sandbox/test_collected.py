"""Tests that leave their functions to a runner, and tests that assert nothing."""

import pytest

from rewards.sandbox import run_tests
from rewards.sandbox.collected import holds_assertion
from rewards.sandbox.forms import problem_when_read

RIGHT, WRONG = "def f(x): return x + 1\n", "def f(x): return x - 1\n"

LEFT_TO_A_RUNNER = {
    "a function": "def test_f():\n    assert f(2) == 3",
    "a function with a candidate": "def check(candidate):\n    assert candidate(2) == 3",
    "an async function": "async def test_f():\n    assert f(2) == 3",
    "the main guard": "def main():\n    assert f(2) == 3\nif __name__ == '__main__':\n    main()",
    "a case of unittest": "import unittest\nclass F(unittest.TestCase):\n    def setUp(self): self.x = 2\n"
    "    def test_f(self): self.assertEqual(f(self.x), 3)",
    "a case and unittest's main": "from unittest import TestCase, main\nclass F(TestCase):\n"
    "    def test_f(self): self.assertEqual(f(2), 3)\nif __name__ == '__main__':\n    main()",
    "a class of pytest": "class TestF:\n    def setup_method(self): self.x = 2\n"
    "    def test_f(self): assert f(self.x) == 3",
    "the second of two": "def test_a():\n    assert f(0) != 5\ndef test_b():\n    assert f(2) == 3",
    "a helper that raises": "def same(a, b):\n    if a != b: raise ValueError(a)\ndef test_f(): same(f(2), 3)",
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_TO_A_RUNNER)
def test_what_a_text_leaves_to_a_runner_is_run(name, pool):
    test = {"assert": LEFT_TO_A_RUNNER[name]}
    assert problem_when_read(test) == ""
    assert [run_tests(code, [test], pool=pool).passed for code in (RIGHT, WRONG)] == [[True], [False]]


def test_what_a_text_calls_itself_is_called_once(pool):
    code = "calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls)"
    test = {"assert": "def test_f():\n    assert f(0) == 1\ntest_f()\nassert f(0) == 2"}
    assert run_tests(code, [test], pool=pool).passed == [True]


VACUOUS = [
    "", "pass", "f(2)", "assert True", "x = 1", "'assert f(2) == 3'", "# assert f(2) == 3",
    "def helper():\n    assert f(2) == 3", "if False:\n    assert f(2) == 3", "def test_f():\n    pass",
    "def test_f():\n    return\n    assert f(2) == 3", "import sys\nsys.exit(0)\nassert f(2) == 3",
    "class Helper:\n    def check_it(self): assert f(2) == 3", "import unittest\nclass F(unittest.TestCase):\n    pass",
    "def test_f():\n    def inner(): assert f(2) == 3", "while False:\n    assert f(2)",
    "import unittest\nunittest.main()",
    "assert (f(2) == 3, 'why')", "assert 1 == 1\nf(2) == 3",
    "try:\n    assert f(2) == 3\nexcept AssertionError:\n    pass",
    "try:\n    assert f(2) == 3\nexcept:\n    print('no')",
    "def test_f():\n    try:\n        assert f(2) == 3\n    except (ValueError, Exception) as e:\n        print(e)",
]  # fmt: skip


@pytest.mark.parametrize("text", VACUOUS)
def test_a_text_in_which_no_assertion_can_run_is_named_and_no_program_passes_it(text, pool):
    assert "a text is needed in which an assertion can run" in problem_when_read({"assert": text})
    result = run_tests(RIGHT, [{"assert": text}, {"assert": "assert f(2) == 3"}], pool=pool)
    assert result.passed == [False, True]


ASSERTING = [
    "assert f(2) == 3", "for i in range(3):\n    assert f(i) == i + 1", "if f(2) != 3:\n    raise ValueError",
    "try:\n    f(2)\nexcept ValueError:\n    pass\nelse:\n    assert False", "with open('x') as x:\n    assert f(2)",
    "def a():\n    b()\ndef b():\n    assert f(2)\na()",
    "list(map(lambda x: check(x), [1]))\ndef check(x):\n    assert f(x)",
    "import sys\nif f(2) != 3: sys.exit(1)", "import numpy as np\nnp.testing.assert_allclose(f(2), 3)",
    "try:\n    assert f(2) == 3\nexcept AssertionError as e:\n    raise ValueError from e",
    "try:\n    assert f(2) == 3\nexcept Exception:\n    import sys\n    sys.exit(1)",
    "try:\n    f(0)\n    assert False\nexcept ValueError:\n    pass",
    "try:\n    x = f(2)\nexcept Exception:\n    x = 0\nassert x == 3",
    "try:\n    if f(2) != 3: exit(1)\nexcept Exception:\n    pass",
    "try:\n    f(2)\nexcept Exception:\n    assert False",
    "match f(2):\n    case 3: pass\n    case _: assert False", "if True:\n    assert f(2)",
]  # fmt: skip


@pytest.mark.parametrize("text", ASSERTING)
def test_an_assertion_that_can_run_is_found_wherever_it_stands(text):
    assert holds_assertion(text)


def test_a_text_that_is_no_python_is_named_when_it_is_read():
    assert problem_when_read({"assert": "assert f(2) =="}).startswith("assert='assert f(2) ==': Python code is needed")
