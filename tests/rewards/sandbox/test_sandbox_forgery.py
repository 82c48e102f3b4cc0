"""Programs that do not solve the problem and try to pass. Not one may."""

import pytest

from rewards.sandbox import run_tests

EVERYTHING_EQUAL = """
class Equal(BASE):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __sub__(self, other): return self
    def __abs__(self): return self
    def __hash__(self): return 3
    def __bool__(self): return True
    def __contains__(self, other): return True
    def __instancecheck__(self, other): return True
"""

FORGERIES = {
    "exit code 0 at load": "import os\nos._exit(0)",
    "exit code 0 in the call": "import os\ndef f(x): os._exit(0)",
    "sys.exit at load": "import sys\nsys.exit(0)",
    "SystemExit in the call": "def f(x): raise SystemExit(0)",
    "printed verdicts": "import sys\nfor out in (sys.stdout, sys.stderr):\n"
    "    print('PASSED ok True {\"passed\": [true]} 1 passed', file=out, flush=True)\ndef f(x): return True",
    "always-equal object": EVERYTHING_EQUAL.replace("BASE", "object") + "def f(x): return Equal()",
    "always-equal int": EVERYTHING_EQUAL.replace("BASE", "int") + "def f(x): return Equal(0)",
    "always-equal float": EVERYTHING_EQUAL.replace("BASE", "float") + "def f(x): return Equal(0)",
    "always-equal str": EVERYTHING_EQUAL.replace("BASE", "str") + "def f(x): return Equal()",
    "always-equal list": EVERYTHING_EQUAL.replace("BASE", "list") + "def f(x): return Equal()",
    "always-equal dict": EVERYTHING_EQUAL.replace("BASE", "dict") + "def f(x): return Equal()",
    "always-equal tuple with fields": EVERYTHING_EQUAL.replace("BASE", "tuple")
    + "Equal._fields = ()\ndef f(x): return Equal()",
    "equal by metaclass": "class M(type):\n    def __eq__(c, o): return True\n    __hash__ = type.__hash__\n"
    "class C(metaclass=M): pass\ndef f(x): return C",
    "frames of the callers": "import sys\ndef f(x):\n    frame = sys._getframe(1)\n    while frame:\n"
    "        for name in list(frame.f_locals): frame.f_locals[name] = True\n        frame = frame.f_back\n    return 0",
    "writing verdict frames everywhere": "import os\ndef f(x):\n    for fd in range(256):\n"
    '        for body in (b\'["v", true]\', b"[true, \\"\\"]", b"true", b\'{"passed": true}\'):\n'
    "            try: os.write(fd, len(body).to_bytes(4, 'big') + body)\n            except OSError: pass\n"
    "    return 0",
    "patched builtins": "import builtins, operator\nbuiltins.AssertionError = type('Never', (BaseException,), {})\n"
    "builtins.all = builtins.any = builtins.bool = builtins.isinstance = lambda *a, **k: True\n"
    "operator.eq = lambda a, b: True\ndef f(x): return 0",
    "patched json": "import json, json.encoder\njson.dumps = json.loads = lambda *a, **k: [True]\n"
    "json.JSONEncoder.encode = json.JSONEncoder.iterencode = lambda *a, **k: '[true, \"\"]'\ndef f(x): return 0",
    "patched machinery": "import gc, types\nfor m in gc.get_objects():\n"
    "    if isinstance(m, dict) and 'MAX_DEPTH' in m: m['encode'] = lambda *a, **k: True\n"
    "import sys\ng = sys._getframe(1)\nwhile g:\n    for k in ('encode', 'same', 'reply'):\n"
    "        if k in g.f_globals: g.f_globals[k] = lambda *a, **k: True\n    g = g.f_back\ndef f(x): return 0",
    "an object that unpickles itself": "class P:\n    def __reduce__(self): return (int, (3,))\ndef f(x): return P()",
    "exit handlers": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    "a closed channel": "import os\ndef f(x): os.closerange(0, 512)",
    "a killed process": "import os\ndef f(x): os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_call_test_cannot_be_forged_by(name, pool):
    tests = [{"call": "f", "args": [2], "expected": 3}, {"call": "f", "args": [7], "expected": 8, "tolerance": 1e-3}]
    assert run_tests(FORGERIES[name], tests, pool=pool).passed == [False, False]


@pytest.mark.parametrize("name", FORGERIES)
def test_an_assert_test_cannot_be_forged_by(name, pool):
    check = "def check(candidate):\n    assert candidate(2) == 3\n    assert abs(candidate(7) - 8) < 1e-6\ncheck(f)"
    tests = [{"assert": "assert f(2) == 3"}, {"assert": check}, {"assert": "assert 3 in [f(2)]"}]
    assert run_tests(FORGERIES[name], tests, pool=pool).passed == [False, False, False]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_script_test_cannot_be_forged_by(name, pool):
    tests = [{"stdin": "2\n", "stdout": "3\n"}]
    assert run_tests(FORGERIES[name] + "\nf(2)\n", tests, pool=pool).passed == [False]


HUNT = """
import gc, sys
def f(x):
    needle = "nee" + "dle-"
    seen = [o for o in gc.get_objects() if needle in repr(o)[:100000] and "HUNT" not in repr(o)[:10]]
    frame, texts = sys._getframe(), []
    while frame:
        texts.append(repr(frame.f_locals)); frame = frame.f_back
    texts = [t for t in texts + [repr(sys.modules.keys())] if "needle-7431" in t]
    try:
        with open("/proc/self/mem", "rb") as memory: texts.append("memory is open")
    except OSError: pass
    return "needle-7431" if texts or any("needle-7431" in repr(o)[:100000] for o in seen) else "nothing found"
"""


def test_the_expected_value_is_nowhere_in_the_program_s_process(pool):
    hunt = HUNT.replace('"needle-7431"', '"needle-" + str(7430 + 1)')
    tests = [{"call": "f", "args": [2], "expected": "needle-7431"}, {"assert": "assert f(2) == 'needle-7431'"}]
    assert run_tests(hunt, tests, pool=pool).passed == [False, False]


SHADOWED = {
    "abs": ("def abs(x): return 0\ndef f(x): return 99", "assert abs(f(2) - 3) < 1e-6"),
    "isinstance": ("def isinstance(a, b): return True\ndef f(x): return 'no'", "assert isinstance(f(2), int)"),
    "all": ("def all(x): return True\ndef f(x): return 0", "assert all(f(i) == i + 1 for i in range(3))"),
    "sorted": ("def sorted(x): return 0\ndef f(x): return [9]", "assert sorted(f(2)) == sorted([3])"),
    "the math module": (
        "class math:\n    isclose = lambda *a, **k: True\ndef f(x): return 99",
        "assert math.isclose(f(2), 3)",
    ),
    "the helper that the test defines": (
        "def same(a, b): return True\ndef f(x): return 99",
        "def same(a, b):\n    return a == b\nassert same(f(2), 3)",
    ),
    "StopIteration inside map": (
        "def f(x): raise StopIteration",
        "assert all(map(lambda pair: f(pair[0]) == pair[1], [(2, 3)]))",
    ),
    "an exception of the test's own kind": ("def f(x): raise AssertionError('3 == 3')", "assert f(2) == 3"),
    "a container that has everything": (
        "class C:\n    def __contains__(self, x): return True\n    def __iter__(self): return iter([0])\n"
        "def f(x): return C()",
        "assert 3 in f(2)",
    ),
    "a length of a wrong kind": (
        "class C:\n    def __len__(self): return True\ndef f(x): return C()",
        "assert len(f(2)) == 3",
    ),
}


@pytest.mark.parametrize("name", SHADOWED)
def test_an_assert_test_is_not_fooled_by(name, pool):
    program, test = SHADOWED[name]
    assert run_tests(program, [{"assert": test}], pool=pool).passed == [False]
