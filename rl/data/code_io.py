"""Tests as inputs and outputs, the way APPS (arXiv 2105.09938), TACO (arXiv 2312.14852), LiveCodeBench (arXiv
2403.07974) and verl's code data write them, as tests of the sandbox."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from rl.data.records import Record, is_absent
from rl.files.json_lines import json_once

Test = dict[str, Any]
LARGEST = 256 * 2**20


def input_output(record: Record, value: Any, is_method: bool) -> tuple[Test, ...]:
    """The tests of `{"inputs": […], "outputs": […], "fn_name": …}`, an object or its JSON text. With `fn_name` an input
    is the list of a call's arguments, else what is read from standard input; lists of lines are joined. Raises
    `DataError`."""
    if isinstance(value, str):
        try:
            value = json_once(value)
        except (ValueError, RecursionError) as error:
            raise record.error(f"its inputs and outputs are not valid JSON ({error})") from error
    if not isinstance(value, Mapping) or not isinstance(value.get("inputs"), list | tuple):
        raise record.error("its tests have no lists 'inputs' and 'outputs'")
    inputs, outputs, name = value["inputs"], value.get("outputs"), value.get("fn_name")
    if not isinstance(outputs, list | tuple) or len(inputs) != len(outputs) or not inputs:
        wanted = len(outputs) if isinstance(outputs, list | tuple) else 0
        raise record.error(f"it has {len(inputs)} inputs and {wanted} outputs; allowed: as many of each, and some")
    if is_absent(name) or not name:
        return tuple(
            {"stdin": lines_of(given), "stdout": lines_of(out)} for given, out in zip(inputs, outputs, strict=True)
        )
    if any(not isinstance(args, list | tuple) for args in inputs):
        raise record.error(f"an input of the function {name!r} is no list of arguments")
    called = f"Solution.{name}" if is_method else str(name)
    expected = _unwrapped(outputs)
    return tuple({"call": called, "args": list(a), "expected": e} for a, e in zip(inputs, expected, strict=True))


def lines_of(value: Any) -> str:
    """Text as it is read or printed: a list is one line an element."""
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _unwrapped(outputs: Sequence[Any]) -> list[Any]:
    """APPS and TACO put what a function returns into a list of one; where every output is such a list, it is that."""
    wrapped = all(isinstance(output, list | tuple) and len(output) == 1 for output in outputs)
    return [output[0] for output in outputs] if wrapped else list(outputs)


def livecodebench_tests(record: Record, name: str, function: str | None) -> tuple[Test, ...]:
    """The tests of a LiveCodeBench column: JSON text of `{input, output, testtype}`, packed or not. A functional test
    has one argument a line, each as JSON; `function` is its name. Raises `DataError`."""
    cases = record.fields.get(name)
    if isinstance(cases, str) and cases.strip() and not cases.lstrip().startswith("["):
        cases = _unpacked(record, name, cases)
    if isinstance(cases, str):
        try:
            cases = json_once(cases) if cases.strip() else []
        except (ValueError, RecursionError) as error:
            raise record.error(f"{name!r} is not valid JSON ({error})") from error
    tests = []
    for case in cases or ():
        if not isinstance(case, Mapping) or "input" not in case or "output" not in case:
            raise record.error(f"{name!r} holds a test without input and output")
        tests.append(_livecodebench_test(record, case, function))
    return tuple(tests)


def _livecodebench_test(record: Record, case: Mapping[str, Any], function: str | None) -> Test:
    if case.get("testtype") != "functional":
        return {"stdin": str(case["input"]), "stdout": str(case["output"])}
    if not function:
        raise record.error("it has a functional test and metadata.func_name is missing")
    try:
        args = [json.loads(line) for line in str(case["input"]).split("\n") if line.strip()]
        return {"call": f"Solution.{function}", "args": args, "expected": json.loads(str(case["output"]))}
    except ValueError as error:
        raise record.error(f"a functional test has an argument or a result that is no JSON ({error})") from error


class _TextOnly(pickle.Unpickler):
    """Reads plain data alone: a pickle may name any function to call, and this file came from elsewhere."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"names {module}.{name}")


def _unpacked(record: Record, name: str, text: str) -> str:
    """The JSON text in base64 of zlib of a pickled string, as the set's private tests are stored; bounded."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), LARGEST)
        value = _TextOnly(io.BytesIO(data)).load()
    except (ValueError, zlib.error, pickle.UnpicklingError, EOFError, IndexError, KeyError) as error:
        raise record.error(f"{name!r} is neither JSON nor packed as the set packs it ({error})") from error
    if not isinstance(value, str):
        raise record.error(f"{name!r} holds a packed {type(value).__name__}; allowed: text")
    return value
