"""Assertions that the judge checks itself: which texts they are, and that the verdict is Python's."""

from decimal import Decimal
from fractions import Fraction

import pytest

from rewards.sandbox import run_tests, wire
from rewards.sandbox.compare import equal_to, truth
from rewards.sandbox.plain_asserts import plain_checks

NAN, INF = float("nan"), float("inf")
LITERALS = [
    None, True, False, 0, 1, -1, 2**70, 10**400, 0.0, -0.0, 1.0, 2.5, 1e300, int(1e300), 1j, 1 + 0j, "", "1", "a", b"",
    b"a", [], [1], [True], [1.0], [1, 2], (), (1,), (1, 2), ((1,), [2]), {}, {1: 2}, {True: 2.0}, {"a": [1]},
    {(1, 2): 3},
    set(), {1}, {True}, {1, 2}, {"a"}, [[]], [()], [None], {1: {2: 3}},
]  # fmt: skip
ANSWERS = [
    *LITERALS, NAN, INF, frozenset(), frozenset({1}), bytearray(b"a"), Decimal("1"), Decimal("1.0"), Decimal("2.5"),
    Decimal("0"), Decimal("0E+3"), Decimal("NaN"), Decimal("Infinity"), Fraction(5, 2), Fraction(1), Fraction(0), int,
    [int],
]  # fmt: skip


def name(value):
    return f"{type(value).__name__} {value!r:.20}"


@pytest.mark.parametrize("expected", LITERALS, ids=name)
def test_a_literal_equals_an_answer_exactly_when_python_says_so(expected):
    verdicts = {name(answer): equal_to(expected)(wire.encode(answer)) for answer in ANSWERS}
    assert verdicts == {name(answer): bool(expected == answer) for answer in ANSWERS}


@pytest.mark.parametrize("answer", ANSWERS, ids=name)
def test_an_answer_is_true_exactly_when_python_says_so(answer):
    assert truth(wire.encode(answer)) is bool(answer)


MALFORMED = [
    [], ["l"], ["i"], ["i", "zz"], ["n", "Fraction", "1/0"], ["n", "Fraction", "1e999999999"], ["n", "x", "1"], ["n"],
    ["c", 1], ["c", "a", "b"], ["b", 1], ["d", 1], ["d", [1]], ["d", [["l"], 2]], ["h", 0, "E"], ["s", ["l"]],
    ["T", "no"],
    [[1]], [1, 2], ["t", ["t", ["t"]]], "x",
]  # fmt: skip


@pytest.mark.parametrize("raw", MALFORMED, ids=repr)
def test_an_answer_that_is_no_value_equals_nothing_and_harms_nothing(raw):
    assert not any(equal_to(expected)(raw) for expected in LITERALS if expected != raw and expected not in ([], ()))
    assert truth(raw) in (True, False)


PLAIN = {
    "assert f(2) == 3": [["call", "f", ["l", 2], ["d"]]],
    "assert 3 == f(x=[1], y={'a': ()})": [["call", "f", ["l"], ["d", ["x", ["l", 1]], ["y", ["d", ["a", ["t"]]]]]]],
    "assert f(-1) and not f(()) and f(0) is None": [
        ["call", "f", ["l", -1], ["d"]], ["call", "f", ["l", ["t"]], ["d"]], ["call", "f", ["l", 0], ["d"]],
    ],
    "import math\nMETADATA = {'author': 'x'}\ndef check(candidate):\n    'doc'\n    assert candidate(1) != 2, 'no'\n"
    "    assert True\ncheck(f)": [["call", "f", ["l", 1], ["d"]]],
    "": [],
    "pass": [],
}  # fmt: skip


@pytest.mark.parametrize("text", PLAIN, ids=repr)
def test_an_assertion_on_literals_becomes_requests(text):
    assert [check.request for check in plain_checks(text)] == PLAIN[text]


@pytest.mark.parametrize(
    "text",
    [
        "assert f(f(2)) == 3", "x = 2\nassert f(x) == 3", "assert f(2) < 3", "assert f(2) == 3 or f(3)", "f(2)",
        "assert f",
        "assert f(2)[0] == 3", "assert f(2) in [3]", "assert abs(f(2) - 3) < 1", "assert sorted([2]) == [2]",
        "assert Solution().f(2) == 3", "assert f(*[2]) == 3", "assert f(2, **{}) == 3",
        "for i in [1]:\n    assert f(i) == 2",
        "from math import f\nassert f(2) == 3", "import numpy\nassert f(2) == 3", "assert f(2) == g(2)",
        "assert 2 == 3",
        "def f(x):\n    return 3\nassert f(2) == 3", "def check(c):\n    assert c(2) == 3\ncheck(f, 2)",
        "assert f(2) is 3",
        "def check(c, d=1):\n    assert c(2) == 3\ncheck(f)", "try:\n    assert f(2) == 3\nexcept E:\n    pass",
        "assert False",
        "assert 1 < f(2) == 3", "def check(c):\n    assert c(2) == 3\n    return 1\ncheck(f)",
        "f = 3\nassert f(2) == 3",
        "assert f(lambda: 2) == 3", "assert f(2) == float('nan')", "assert f(:", "check(f)", "assert f(f'{2}') == 3",
    ],
)  # fmt: skip
def test_any_other_text_is_left_to_the_second_interpreter(text):
    assert plain_checks(text) is None


def test_both_ways_of_judging_agree(pool):
    code = """
calls = 0
def f(x):
    if x == 9: raise ValueError("nine")
    return {1: True, 2: [1, (2,)], 3: None, 4: object(), 5: float("nan"), 6: {1: 2}, 7: 10 ** 30}[x]
"""
    conditions = [
        "f(1) == 1", "f(1) is True", "f(2) == [1, (2,)]", "f(2) == [1, [2]]", "f(3) is None", "not f(3)", "f(4)",
        "f(4) == 1",
        "f(5) == f(5)", "f(5) != 1", "f(6) == {True: 2.0}", "f(7) == 1e30", "f(7) == 10000000000000000000000000000000",
        "f(8) == 1", "f(9) == 1", "f(1) == 1 and f(3) is None", "f(1) == 1 and f(3)", "f(1, 2) == 1", "f(x=1) == 1",
    ]  # fmt: skip
    plain = [{"assert": f"assert {c}"} for c in conditions if c != "f(5) == f(5)"]
    second = [{"assert": f"ok = 1\nassert {test['assert'][7:]}"} for test in plain]
    assert all(plain_checks(test["assert"]) is not None for test in plain)
    assert all(plain_checks(test["assert"]) is None for test in second)
    assert run_tests(code, plain, pool=pool).passed == run_tests(code, second, pool=pool).passed


def test_a_failed_assertion_is_named(pool):
    result = run_tests(
        "def f(x): return x", [{"assert": "assert f(1) == 1"}, {"assert": "assert f(2) == 3"}], pool=pool
    )
    assert (result.passed, result.status) == ([True, False], "ok")
    assert result.detail == "tests[1]: AssertionError: f(2) == 3"


PEEKING = """
import os, json, select
def f(x):
    seen = b""
    while select.select([3], [], [], 0.05)[0]:
        data = os.read(3, 65536)
        if not data: break
        seen += data
    return json.loads(seen[4:])[2][1] if seen[4:] else 0
"""


def test_a_program_cannot_read_the_next_test_before_it_has_answered(pool):
    calls = [{"call": "f", "args": [i], "expected": i + 1} for i in range(1, 5)]
    asserts = [{"assert": f"assert f({i}) == {i + 1}"} for i in range(1, 5)]
    assert run_tests(PEEKING, calls, pool=pool).passed == [False] * 4
    assert run_tests(PEEKING, asserts, pool=pool).passed == [False] * 4


def test_a_program_that_dies_in_one_assertion_fails_those_after_it(pool):
    code = "import os\ndef f(x): return os._exit(0) if x == 2 else x"
    texts = ("assert f(1) == 1", "assert f(2) == 2", "assert f(3) == 3", "pass")
    result = run_tests(code, [{"assert": text} for text in texts], pool=pool)
    assert (result.passed, result.status) == ([True, False, False, False], "error")
