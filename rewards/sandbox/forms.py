"""The three test forms, checked before anything runs.

`{"call": "f", "args": [2], "kwargs": {}, "expected": 3, "tolerance": 1e-6}`, `{"stdin": "…", "stdout": "…",
"tolerance": 1e-6}` and `{"assert": "assert f(2) == 3"}`. A test that is none of these is the data's error, not the
program's: `ValueError`, which names the test and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.sandbox import wire
from rewards.sandbox.collected import holds_assertion

_REQUIRED = {"call": {"expected"}, "stdin": {"stdout"}, "assert": set()}
_OPTIONAL = {"call": {"args", "kwargs", "tolerance"}, "stdin": {"tolerance"}, "assert": set()}


def form_of(test: Mapping[str, Any]) -> str:
    """ "call", "stdin" or "assert"."""
    return next(form for form in _REQUIRED if form in test)


def validate(tests: Sequence[Mapping[str, Any]]) -> None:
    """Raise `ValueError` for the first test that is malformed."""
    if not tests:
        raise ValueError("tests is empty: at least one test is needed")
    for index, test in enumerate(tests):
        problem = _problem(test)
        if problem:
            raise ValueError(f"tests[{index}]: {problem}")


def problem_when_read(test: Mapping[str, Any]) -> str:
    """What is wrong with a test of a data set, or "": besides a malformed one, an `assert` text in which no assertion
    can run. It would fail every program here, and pass every program elsewhere."""
    problem = _problem(test)
    if problem or "assert" not in test:
        return problem
    try:
        reached = holds_assertion(test["assert"])
    except (SyntaxError, ValueError) as error:
        return f"assert={test['assert']!r:.80}: Python code is needed ({error})"
    return "" if reached else f"assert={test['assert']!r:.80}: a text is needed in which an assertion can run"


def _problem(test: Mapping[str, Any]) -> str:
    if not isinstance(test, Mapping):
        return f"{test!r:.80}: a mapping is needed"
    forms = [form for form in _REQUIRED if form in test]
    if len(forms) != 1:
        return f"keys {sorted(map(str, test))}: exactly one of 'call', 'stdin', 'assert' is needed"
    form = forms[0]
    missing = _REQUIRED[form] - set(test)
    unknown = set(test) - _REQUIRED[form] - _OPTIONAL[form] - {form}
    if missing or unknown:
        allowed = sorted({form} | _REQUIRED[form] | _OPTIONAL[form])
        return f"keys {sorted(map(str, test))}: a {form!r} test has {allowed}"
    texts = [key for key in (form, *_REQUIRED[form]) if key != "expected" and not isinstance(test[key], str)]
    if texts:
        return f"{texts[0]}={test[texts[0]]!r:.80}: a string is needed"
    return _problem_of_call(test) if form == "call" else _problem_of_tolerance(test)


def _problem_of_call(test: Mapping[str, Any]) -> str:
    if not isinstance(test.get("args", []), list | tuple) or not isinstance(test.get("kwargs", {}), Mapping):
        return "args must be a list and kwargs a mapping"
    for key in ("args", "kwargs", "expected"):
        try:
            wire.encode(_plain(test.get(key)))
        except wire.WireError as error:
            return f"{key}: {error}"
    return _problem_of_tolerance(test)


def _problem_of_tolerance(test: Mapping[str, Any]) -> str:
    tolerance = test.get("tolerance")
    if tolerance is None or (type(tolerance) in (int, float) and tolerance >= 0):
        return ""
    return f"tolerance={tolerance!r}: a number of at least 0 is allowed"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def call_request(test: Mapping[str, Any]) -> list[Any]:
    """The frame that asks a program for this test's answer; the expected value is not in it."""
    args, kwargs = wire.encode(list(test.get("args", []))), wire.encode(dict(test.get("kwargs", {})))
    return ["data", test["call"], args, kwargs]
