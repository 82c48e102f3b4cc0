"""Assert tests as MBPP and HumanEval write them: what reaches the program through proxies, and what does not."""

import pytest

from rewards.sandbox import run_tests


def passed(pool, code, *texts):
    return run_tests(code, [{"assert": t} for t in texts], pool=pool).passed


TREE = """
class Node:
    def __init__(self, data):
        self.data, self.left, self.right = data, None, None
    def depth(self): return 1 + max([n.depth() for n in (self.left, self.right) if n] or [0])
def balanced(root): return abs((root.left.depth() if root.left else 0) - (root.right.depth() if root.right else 0)) < 2
"""


def test_a_test_builds_objects_of_the_program_s_classes(pool):
    setup = "root = Node(1)\nroot.left = Node(2)\nroot.right = Node(3)\nroot.left.left = Node(4)\n"
    deep = "root.left.left.right = Node(5)\nroot.left.left.right.left = Node(6)\n"
    texts = (
        setup + "assert balanced(root)",
        setup + deep + "assert not balanced(root)",
        setup + "assert root.left.data == 2",
        setup + "assert root.left.data == 3",
        setup + "assert root.left is root.left and root.left == root.left and root.left != root.right",
        setup + "assert root == 1",
    )
    assert passed(pool, TREE, *texts) == [True, True, True, False, True, False]


def test_iterators_containers_and_text_of_the_program_come_as_data(pool):
    code = """
def gen(n):
    for i in range(n): yield i
class Bag:
    def __init__(self, items): self.items = items
    def __iter__(self): return iter(self.items)
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __str__(self): return "Bag" + str(self.items)
"""
    texts = (
        "assert list(gen(3)) == [0, 1, 2]",
        "assert next(gen(3)) == 0 and sum(gen(4)) == 6",
        "assert list(zip(gen(2), Bag([5, 6]))) == [(0, 5), (1, 6)]",
        "assert len(Bag([1, 2])) == 2 and Bag([1, 2])[1] == 2 and str(Bag([1])) == 'Bag[1]'",
        "assert 2 in Bag([1, 2]) and 3 not in Bag([1, 2])",
        "assert list(gen(3)) == [0, 1]",
        "assert gen(3) == [0, 1, 2]",
    )
    assert passed(pool, code, *texts) == [True, True, True, True, True, False, False]


def test_exceptions_of_the_program_can_be_expected_by_their_builtin_name(pool):
    code = "class Odd(Exception): pass\ndef f(x):\n    if x: raise ValueError('bad ' + str(x))\n    raise Odd('odd')"
    expecting = "try:\n    f({})\nexcept {} as e:\n    assert {!r} in str(e)\nelse:\n    assert False"
    texts = (
        expecting.format(1, "ValueError", "bad 1"),
        expecting.format(1, "KeyError", ""),
        expecting.format(0, "Exception", "odd"),
        expecting.format(0, "ValueError", ""),
    )
    assert passed(pool, code, *texts) == [True, False, True, False]


def test_the_program_s_own_exceptions_are_caught_by_their_name_and_by_every_base(pool):
    code = """
import json
class Base(ValueError): pass
class Bad(Base, KeyError):
    def __init__(self, a, b): super().__init__(f"{a} and {b}")
class Other(Exception): pass
def f(x):
    if x == 1: raise Bad("one", "two")
    if x == 2: json.loads("{")
    if x == 4: raise ValueError("no")
    raise Other
"""
    expecting = "import json\ntry:\n    f({})\nexcept {} as e:\n    assert {}\nelse:\n    assert False"
    texts = (
        expecting.format(1, "Bad", "type(e).__name__ == 'Bad'"),
        expecting.format(1, "Base", "'one and two' in str(e)"),
        expecting.format(4, "ValueError", "str(e) == 'no' and e.args == ('no',)"),
        expecting.format(1, "ValueError", "isinstance(e, Base)"),
        expecting.format(1, "(Other, LookupError)", "True"),
        expecting.format(2, "json.JSONDecodeError", "True"),
        expecting.format(2, "ValueError", "True"),
        expecting.format(3, "Base", "True"),
        "import unittest\nclass T(unittest.TestCase):\n"
        "    def test_it(self):\n        with self.assertRaises(Base): f(1)",
    )
    assert passed(pool, code, *texts) == [True, True, True, True, False, True, True, False, True]


def test_a_test_sees_its_own_modules_and_constants_of_the_program(pool):
    code = "import sys, math as m\nLIMIT = 10\nNAMES = ['a']\ndef f(x): return sys.getsizeof(x)"
    texts = (
        "assert f((1, 2)) == sys.getsizeof((1, 2))",
        "assert LIMIT == 10 and NAMES == ['a']",
        "import math\nassert math.floor(2.5) == 2",
        "assert math.isclose(LIMIT, 10)",
        "assert missing == 1",
        "assert LIMIT == 11",
    )
    assert passed(pool, code, *texts) == [True, True, True, True, False, False]


def test_a_function_named_like_a_builtin_can_be_the_one_under_test(pool):
    code = "def sum(a, b): return a + b"
    texts = ("assert sum(10, 15) == 25", "assert sum(10, 15) == 26", "assert abs(sum([2])) == 2")
    assert passed(pool, code, *texts) == [True, False, True]


def test_arguments_are_copies_and_functions_cannot_be_passed(pool):
    code = "def clear(x):\n    x.clear()\n    return x\ndef call(g): return g(1)"
    texts = ("x = [1]\nassert clear(x) == [] and x == [1]", "assert call(lambda v: v + 1) == 2")
    result = run_tests(code, [{"assert": t} for t in texts], pool=pool)
    assert result.passed == [True, False]
    assert result.detail.startswith("tests[1]: TypeError: a test may pass plain data")


def test_the_state_of_the_program_lasts_and_that_of_a_test_does_not(pool):
    code = "count = 0\ndef f():\n    global count\n    count += 1\n    return count"
    texts = ("mine = f()\nassert mine == 1", "assert count == 1 and f() == 2", "assert mine == 1")
    assert passed(pool, code, *texts) == [True, True, False]


@pytest.mark.parametrize(
    "text", ["", "this is no python", "import sys\nsys.exit(0)", "raise SystemExit", "f(2) == 3 or no", "f(2)", "pass"]
)
def test_a_test_that_ends_early_asserts_nothing_or_does_not_parse_fails(text, pool):
    assert passed(pool, "def f(x): return 0", text) == [False]


def test_a_program_that_does_not_load_fails_even_tests_that_need_nothing_of_it(pool):
    result = run_tests("raise KeyError('gone')", [{"assert": "assert True"}], pool=pool)
    assert (result.passed, result.status) == ([False], "error")
    assert result.detail.startswith("loading: KeyError: ")


def test_a_program_that_dies_fails_the_tests_after_it(pool):
    code = "import os\ndef f(x): return os._exit(0) if x == 2 else x"
    catching = "try:\n    f(2)\nexcept Exception:\n    pass"
    assert passed(pool, code, "assert f(1) == 1", catching, "assert True") == [True, False, False]


def test_a_hanging_test_text_is_stopped(pool):
    from rewards.sandbox import Limits

    text = "while f() == 1: pass\nassert f() == 2"
    result = run_tests("def f(): return 1", [{"assert": text}], Limits(cpu_s=0.3), pool=pool)
    assert result.passed == [False]
    assert result.status in ("timeout", "error")  # who sees the limit first, the judge or the kernel
    assert result.wall_s < 5
