"""The contract of `run_tests`: test forms, verdicts, status, detail, and errors of the data."""

from decimal import Decimal
from fractions import Fraction

import pytest

from rewards.sandbox import Limits, Pool, SandboxUnavailable, run_tests

ADD = "def f(x, y=1):\n    return x + y\n"


def passed(pool, code, *tests):
    return run_tests(code, list(tests), pool=pool).passed


def test_a_right_program_passes_every_form_and_a_wrong_one_none(pool):
    script = "\nif __name__ == '__main__':\n    print(f(int(input())))\n"
    tests = [
        {"call": "f", "args": [2], "kwargs": {"y": 5}, "expected": 7},
        {"stdin": "2\n", "stdout": "3\n"},
        {"assert": "assert f(2) == 3"},
        {"assert": "def check(candidate):\n    assert candidate(4) == 5\ncheck(f)"},
    ]
    right = run_tests(ADD + script, tests, pool=pool)
    wrong = run_tests(ADD.replace("x + y", "x - y") + script, tests, pool=pool)
    assert (right.passed, right.status, right.detail) == ([True] * 4, "ok", "")
    assert (wrong.passed, wrong.status) == ([False] * 4, "ok")


def test_tests_keep_their_order_when_forms_are_mixed(pool):
    tests = [
        {"stdin": "", "stdout": "no"},
        {"call": "f", "args": [2], "expected": 3},
        {"assert": "assert f(2) == 4"},
        {"call": "f", "args": [2], "expected": 4},
        {"assert": "assert f(2) == 3"},
    ]
    assert passed(pool, ADD, *tests) == [False, True, False, False, True]


VALUES = [
    None,
    True,
    3,
    -(10**40),
    10**5000,
    2.5,
    float("inf"),
    "text \u00e9\n",
    "",
    [1, [2, "x"], None],
    (1, (2,)),
    {"a": 1, "b": [True]},
    {1: 2, (1, 2): {3}},
    {1, 2},
    frozenset({"a"}),
    b"\x00\xff",
    1 + 2j,
    {frozenset({1, (2.5,)}), 1 + 2j, None, b"x"},
    {frozenset({frozenset()}): 1, 2j: 2, Decimal("0.1"): 3, Fraction(1, 3): 4},
    Decimal("1E+400000"),
    Fraction(10**3000, 7),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_plain_values_travel_both_ways_exactly(value, pool):
    test = {"call": "f", "args": [value], "expected": value}
    assert passed(pool, "def f(x): return x", test) == [True]
    assert passed(pool, "def f(x): return [x]", test) == [False]


COMPARISONS = [
    ("1", True, False),
    ("True", 1, False),
    ("1.0", 1, True),
    ("0.1 + 0.2", 0.3, False),
    ("float('nan')", float("nan"), True),
    ("(1, 2)", [1, 2], True),
    ("[1, 2]", (1, 2), False),
    ("{1, 2}", [1, 2], False),
    ("[1, 2, 3]", [1, 2], False),
    ("{'a': 1, 'b': 2}", {"b": 2, "a": 1}, True),
    ("{'a': True}", {"a": 1}, False),
    ("{True: 1}", {1: 1}, False),
    ("'3'", 3, False),
    ("__import__('collections').Counter('aab')", {"a": 2, "b": 1}, True),
    ("__import__('collections').namedtuple('P', 'x y')(1, 2)", [1, 2], True),
    ("range(3)", [0, 1, 2], True),
    ("range(3)", (0, 1, 2), False),
    ("iter([1])", [1], True),
    ("(i * i for i in range(3))", [0, 1, 4], True),
    ("(i * i for i in range(3))", [0, 1], False),
    ("{1: 'a', 2: 'b'}.keys()", [1, 2], True),
    ("[{1: 'a', 2: 'b'}.items(), map(str, [1])]", [[[1, "a"], [2, "b"]], ["1"]], True),
    ("__import__('collections').deque([1, 2])", [1, 2], True),
    ("'abc'", ["a", "b", "c"], False),
    ("{1: [2], -3: [4]}", {"1": [2], "-3": [4]}, True),
    ("{True: 1, None: 2, 1.5: 3}", {"true": 1, "null": 2, "1.5": 3}, True),
    ("{1: 2, '3': 4}", {"1": 2, "3": 4}, False),
    ("{1: 2}", {"2": 2}, False),
    ("{frozenset([1, 2])}", {frozenset([2, 1])}, True),
    ("{frozenset([1, 2])}", {frozenset([2, 3])}, False),
    ("{1, 2.0}", {1 + 0j, 2}, True),
    ("{True}", {1}, False),
    ("__import__('fractions').Fraction(1, 2)", 0.5, True),
    ("__import__('decimal').Decimal('sNaN')", 0.5, False),
    ("__import__('decimal').Decimal('0.1')", 0.1, False),
    ("type('I', (int,), {})(3)", 3, False),
    ("__import__('enum').IntEnum('E', 'A').A", 1, False),
]


@pytest.mark.parametrize(("returned", "expected", "equal"), COMPARISONS)
def test_answers_are_compared_with_strict_plain_types(returned, expected, equal, pool):
    assert passed(pool, f"def f(): return {returned}", {"call": "f", "expected": expected}) == [equal]


def test_a_tolerance_holds_for_numbers_at_every_depth(pool):
    code = "def f(): return {'a': [0.1 + 0.2, 1000.5]}"
    near = {"call": "f", "expected": {"a": [0.3, 1000]}}
    assert passed(pool, code, {**near, "tolerance": 1e-3}, {**near, "tolerance": 1e-6}, near) == [True, False, False]


def test_a_tolerance_does_not_apply_to_integers(pool):
    code = "from fractions import Fraction\ndef f(x): return {1: 1001, 2: 1000.0, 3: 1000.5, 4: Fraction(2001, 2)}[x]"
    tests = [{"call": "f", "args": [x], "expected": 1000, "tolerance": 0.1} for x in (1, 2, 3, 4)]
    assert passed(pool, code, *tests) == [False, True, True, True]
    printed = [{"stdin": "", "stdout": text, "tolerance": 0.1} for text in ("1000 2.5", "1001 2.4", "1001.5 2.5")]
    assert passed(pool, "print(1001, 2.5)", *printed) == [False, True, True]


def test_printed_text_is_compared_word_by_word(pool):
    code = "print('1  2 ')\nprint()\nprint('0.333333')\nprint()"
    outputs = ["1  2\n\n0.333333", "1.0 2\n0.333333", "1 2 0.333333", "1  2\n\n0.333334"]
    assert passed(pool, code, *({"stdin": "", "stdout": o} for o in outputs)) == [True, True, False, False]
    assert passed(pool, code, {"stdin": "", "stdout": "1 2\n\n0.333334", "tolerance": 1e-5}) == [True]


def test_a_script_reads_all_its_input_and_each_test_starts_fresh(pool):
    code = "import sys\nseen = sys.stdin.read().split()\nprint(len(seen), file=sys.stdout)\nsys.exit(1)"
    big = "word " * 200_000
    assert passed(pool, code, {"stdin": big, "stdout": "200000"}, {"stdin": "", "stdout": "0"}) == [True, True]


def test_methods_of_a_solution_class_can_be_called(pool):
    code = "class Solution:\n    def solve(self, x): return x * 2"
    assert passed(pool, code, {"call": "Solution.solve", "args": [4], "expected": 8}) == [True]


def test_one_failing_call_does_not_fail_the_others(pool):
    code = "def f(x): return 10 // x"
    calls = [{"call": "f", "args": [x], "expected": e} for x, e in ((5, 2), (0, 1), (2, 5))]
    result = run_tests(code, calls, pool=pool)
    assert (result.passed, result.status) == ([True, False, True], "error")
    assert result.detail == "tests[1]: ZeroDivisionError: integer division or modulo by zero (line 1)"


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        ("def f(:", "error", "loading: SyntaxError: "),
        ("raise ValueError('no')", "error", "loading: ValueError: no (line 1)"),
        ("x = 1", "error", "tests[0]: NameError: name 'f' is not defined"),
        ("import os\nos.abort()", "error", "the program ended early"),
        ("", "refused", "the program is empty"),
        ("#" * 2_000_000, "refused", "the program has 2000000 characters"),
    ],
)
def test_a_broken_program_is_explained(code, status, detail, pool):
    result = run_tests(code, [{"call": "f", "expected": 1}], pool=pool)
    assert (result.passed, result.status) == ([False], status)
    assert result.detail.startswith(detail)


def test_the_ends_of_what_was_printed_are_kept(pool):
    code = "import sys\ndef f():\n    print('x' * 5000 + 'out')\n    print('err', file=sys.stderr)\n    return 1"
    result = run_tests(code, [{"call": "f", "expected": 1}], pool=pool)
    assert result.stdout == "x" * 1996 + "out\n"
    assert result.stderr == "err\n"


def test_the_standard_library_is_there_and_the_program_is_not_main(pool):
    code = """
import ast, csv, dataclasses, decimal, fractions, inspect, json, sqlite3, statistics, typing, unittest, uuid, zoneinfo
import numpy_is_not_there as missing
"""
    result = run_tests(code, [{"call": "f", "expected": 1}], pool=pool)
    assert result.detail.startswith("loading: ModuleNotFoundError: No module named 'numpy_is_not_there'")
    assert passed(pool, "def f(): return __name__", {"call": "f", "expected": "solution"}) == [True]


def test_hashes_and_random_numbers_are_the_same_in_every_run_and_worker(pool):
    code = "import random\ndef f(): return str([list({'a', 'b', 'c', 'd'}), hash('a'), random.random()])"
    other = Pool(workers=1)
    seen = {
        run_tests(code + "\nraise ValueError(f())", [{"call": "f", "expected": 0}], pool=p).detail
        for p in (pool, pool, other)
    }
    other.close()
    assert len(seen) == 1
    assert seen.pop().startswith("loading: ValueError: [[")


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([], "tests is empty"),
        ([{}], r"tests\[0\]: keys \[\]: exactly one of 'call', 'stdin', 'assert' is needed"),
        ([{"call": "f", "stdin": "", "expected": 1}], r"tests\[0\]: .* exactly one of"),
        ([{"call": "f"}], r"tests\[0\]: keys \['call'\]: a 'call' test has \['args', 'call', 'expected'"),
        ([{"stdin": "x"}], r"a 'stdin' test has \['stdin', 'stdout', 'tolerance'\]"),
        ([{"assert": "x", "expected": 1}], r"a 'assert' test has \['assert'\]"),
        ([{"assert": 3}], r"tests\[0\]: assert=3: a string is needed"),
        ([{"stdin": "", "stdout": None}], r"stdout=None: a string is needed"),
        ([{"call": "f", "expected": object()}], r"expected: a value of type object is not plain data"),
        ([{"call": "f", "args": 2, "expected": 1}], r"args must be a list"),
        ([{"call": "f", "expected": 1, "tolerance": -1}], r"tolerance=-1: a number of at least 0 is allowed"),
        ([{"call": "f", "expected": 1}, "x"], r"tests\[1\]: 'x': a mapping is needed"),
    ],
)
def test_a_malformed_test_is_an_error_that_says_where_and_what(tests, message):
    with pytest.raises(ValueError, match=message):
        run_tests(ADD, tests)


def test_code_that_is_no_string_is_an_error():
    with pytest.raises(TypeError, match="code is NoneType: a string is needed"):
        run_tests(None, [{"call": "f", "expected": 1}])


def test_the_weak_tier_runs_only_on_request():
    with pytest.raises(SandboxUnavailable, match="allow_weak=True"):
        run_tests(ADD, [{"call": "f", "args": [1], "expected": 2}], pool=Pool(tier=3))
    weak = Pool(workers=1, tier=3, allow_weak=True)
    result = run_tests(ADD, [{"call": "f", "args": [1], "expected": 2}], Limits(), pool=weak)
    weak.close()
    assert result.passed == [True]


def test_code_tests_and_arguments_may_be_longer_than_what_a_program_may_print(pool):
    limits = Limits(output_kb=8)
    long = "x" * 100_000
    code = f"# {'é' * 50_000}\ndef f(x):\n    return len(x)\nif __name__ == '__main__':\n    print(f(input()))"
    tests = [
        {"call": "f", "args": [long], "expected": 100_000},
        {"assert": f"assert f({long!r}) == 100_000"},
        {"stdin": long + "\n", "stdout": "100000"},
    ]
    result = run_tests(code, tests, limits, pool)
    assert (result.passed, result.detail) == ([True] * 3, "")


@pytest.mark.parametrize("end", ["exit()", "quit(0)", "exit('bye')", "raise SystemExit", "import sys; sys.exit(1)"])
def test_a_script_may_end_itself_in_every_usual_way(end, pool):
    code = f"print(input())\ntry:\n    {end}\nexcept Exception:\n    print('caught')"
    assert passed(pool, code, {"stdin": "7\n", "stdout": "7\n"}) == [True]


@pytest.mark.parametrize(
    "end",
    ["1 / 0", "raise KeyboardInterrupt", "import os; os.abort()", "import os; os._exit(3)", "raise ValueError('x')"],
)
def test_a_script_that_crashes_fails_whatever_it_printed(end, pool):
    result = run_tests(f"print(input(), flush=True)\n{end}", [{"stdin": "7\n", "stdout": "7\n"}], pool=pool)
    assert (result.passed, result.status) == ([False], "error")


def test_a_program_may_begin_with_a_byte_order_mark_and_has_a_file_name(pool):
    code = "\ufeffimport os\ndef f():\n    return os.path.basename(__file__)\nprint(f())"
    tests = [{"call": "f", "args": [], "expected": "program.py"}, {"stdin": "", "stdout": "program.py"}]
    assert passed(pool, code, *tests) == [True, True]
