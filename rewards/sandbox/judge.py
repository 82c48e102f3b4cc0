"""`run_tests`: run a program on tests, judged in this process.

Call tests: one child, one request and one frame per test, compared here. Assert tests: the same where they only compare
calls on literals (`plain_asserts.py`), else two children, the program and a checker that runs the test text and reaches
the program through proxies. Stdin tests: one child per test, its standard output compared here. Nothing that the
program controls, its exit code included, makes a test pass. Not covered: a program whose tests need packages beyond the
standard library.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rewards.sandbox import compare, forms
from rewards.sandbox.collected import NO_ASSERTION
from rewards.sandbox.limits import Limits, Result
from rewards.sandbox.plain_asserts import Check, plain_checks
from rewards.sandbox.pool import Pool, default_pool
from rewards.sandbox.session import Child, Session
from rewards.sandbox.text import same_text
from rewards.sandbox.worker import Worker

Tests = Sequence[Mapping[str, Any]]

_MAX_CODE = 1 << 20
_TAIL = 2000
_LIMITS = Limits()
_SECRET = os.urandom(32)
_PATIENCE_S = 0.005  # for a program that was given leave to end to do so
_LAST_WORDS_S = 0.2  # for the report of one that seems to have ended
_REASONS = {"wall": "timeout", "cpu": "timeout", "disk": "disk", "threads": "error"}


@dataclass
class _Verdict:
    """The result while it is being reached; the first failure gives status and detail."""

    passed: list[bool]
    status: str = "ok"
    detail: str = ""
    printed: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})

    def explain(self, status: str, detail: str) -> None:
        """Keep the gravest status and the first detail."""
        if self.status == "ok":
            self.status = status
        self.detail = self.detail or detail[:_TAIL]

    def keep_output(self, child: Child) -> None:
        """Tails of what the child printed, for people."""
        for name, data in child.printed.items():
            text = bytes(data[-4 * _TAIL :]).decode("utf-8", "replace")
            self.printed[name] = (self.printed[name] + text)[-_TAIL:]

    def note_end(self, child: Child) -> None:
        """Explain a child that ended before it answered."""
        report = child.report or {}
        if child.overflow:
            self.explain("output", "the program printed or returned more than output_kb")
        elif report.get("reason") in _REASONS:
            self.explain(_REASONS[report["reason"]], f"the program exceeded its limit: {report['reason']}")
        elif report.get("reason") != "killed":
            tail = bytes(child.printed["stderr"][-_TAIL:]).decode("utf-8", "replace")
            self.explain("error", f"the program ended early (wait status {report.get('status')}) {tail}".strip())


def run_tests(code: str, tests: Tests, limits: Limits | None = None, pool: Pool | None = None) -> Result:
    """Run `code` on `tests` in a sandbox of `pool` (default: the process's own) within `limits`.

    A program that is wrong in any way yields a `Result`. Malformed tests raise `ValueError`, a machine without a
    sandbox `SandboxUnavailable`, broken machinery `SandboxError`.
    """
    forms.validate(tests)
    refusal = _refusal(code)
    if refusal:
        return Result([False] * len(tests), "refused", refusal)
    with (pool or default_pool()).worker() as worker:
        return judge_on(worker, code, tests, limits or _LIMITS)


def judge_on(worker: Worker, code: str, tests: Tests, limits: Limits) -> Result:
    """`run_tests` on a worker, for tests and a program that can be run."""
    verdict = _Verdict([False] * len(tests))
    numbered = [(i, t, forms.form_of(t)) for i, t in enumerate(tests)]
    with Session(worker, limits) as session:
        for form, judge in (("call", _judge_calls), ("assert", _judge_asserts), ("stdin", _judge_scripts)):
            chosen = [(i, t) for i, t, f in numbered if f == form]
            if chosen:
                judge(session, code, chosen, verdict)
        cpu_s, wall_s = session.cpu_used(), session.elapsed()
    return Result(verdict.passed, verdict.status, verdict.detail, **verdict.printed, cpu_s=cpu_s, wall_s=wall_s)


def _refusal(code: str) -> str:
    if not isinstance(code, str):
        raise TypeError(f"code is {type(code).__name__}: a string is needed")
    if not code.strip():
        return "the program is empty"
    if len(code) > _MAX_CODE:
        return f"the program has {len(code)} characters: at most {_MAX_CODE} are run"
    return ""


Chosen = list[tuple[int, Mapping[str, Any]]]


def _judge_calls(session: Session, code: str, chosen: Chosen, verdict: _Verdict) -> None:
    checks = []
    for index, test in chosen:
        holds = partial(compare.same, test["expected"], tolerance=test.get("tolerance"))
        checks.append((index, Check(forms.call_request(test), holds, "")))
    _judge_checks(session, code, checks, verdict)


def _judge_checks(session: Session, code: str, checks: Sequence[tuple[int, Check]], verdict: _Verdict) -> bool:
    """Whether the program loaded and answered every check; a test passes if all of its checks hold."""
    failed: set[int] = set()
    answered, going_on = _judge_some(session, code, checks, 0, failed, verdict)
    while going_on:  # the program was lost
        answered, going_on = _judge_some(session, code, checks, answered, failed, verdict)
    failed.update(index for index, _ in checks[answered:])
    for index, _ in checks:
        verdict.passed[index] = index not in failed
    return answered == len(checks)


def _judge_some(
    session: Session, code: str, checks: Sequence[tuple[int, Check]], first: int, failed: set[int], verdict: _Verdict
) -> tuple[int, bool]:
    """Judge the checks from `first` on in one program: how many are answered then, and whether to begin again there."""
    requests = deque([check.request for _, check in checks[first:]])
    tests = len({index for index, _ in checks})
    child = session.start("program", [["load", code], *_next(requests)], tests=tests)
    reply = session.frame(child)
    if not _is_value(reply):
        _explain_reply(verdict, reply, "loading")
        _finish(session, child, verdict, complete=reply is not None)
        return first, False
    for position in range(first, len(checks)):
        index, check = checks[position]
        if position > first and index != checks[position - 1][0]:
            session.next_test()
        reply = session.ask(child, *_next(requests)) if position > first else session.frame(child)
        if reply is None:
            lost = session.lost(child)
            _finish(session, child, verdict, complete=lost)
            return position, lost
        if not (_is_value(reply) and check.holds(reply[1])):
            failed.add(index)
            _explain_reply(verdict, reply, f"tests[{index}]")
            if check.source:
                verdict.detail = verdict.detail or f"tests[{index}]: AssertionError: {check.source}"[:_TAIL]
    _finish(session, child, verdict, True, _PATIENCE_S)
    return len(checks), False


def _next(requests: deque[list[Any]]) -> list[list[Any]]:
    """The next request, and after the last one leave to end. One at a time: a later one may give an answer away."""
    frames = [requests.popleft()] if requests else []
    return frames if requests else [*frames, ["end"]]


def _is_value(reply: Any) -> bool:
    return type(reply) is list and len(reply) == 2 and reply[0] == "v"


def _explain_reply(verdict: _Verdict, reply: Any, where: str) -> None:
    """Note an exception that the program reported; its words are for people only."""
    if type(reply) is list and len(reply) == 5 and reply[0] == "e" and all(type(part) is str for part in reply[1:4]):
        kind, text = reply[1][:_TAIL], (reply[2] + reply[3])[:_TAIL]
        verdict.explain("memory" if kind == "MemoryError" else "error", f"{where}: {kind}: {text}")
    elif reply is not None and not _is_value(reply):
        verdict.explain("error", f"{where}: the program wrote something else than an answer into its channel")


def _finish(session: Session, child: Child, verdict: _Verdict, complete: bool, patience_s: float = 0.0) -> None:
    """End a child; explain how it ended unless it gave every answer before."""
    session.end(child, patience_s)
    if child.overflow or not complete:
        verdict.note_end(child)
    verdict.keep_output(child)


def _judge_asserts(session: Session, code: str, chosen: Chosen, verdict: _Verdict) -> None:
    """Assertions on plain data like calls; if a single test is anything else, all by the checker, in one program."""
    plain = [(index, plain_checks(test["assert"])) for index, test in chosen]
    if any(checks is None for _, checks in plain):
        _judge_with_checker(session, code, chosen, verdict)
        return
    flat = [(index, check) for index, checks in plain for check in checks or ()]
    _judge_checks(session, code, flat, verdict)
    for index, checks in plain:
        if not checks:
            verdict.detail = verdict.detail or f"tests[{index}]: AssertionError: {NO_ASSERTION}"


def _judge_with_checker(session: Session, code: str, chosen: Chosen, verdict: _Verdict) -> None:
    answered, going_on = 0, True
    while going_on and answered < len(chosen):
        answered, going_on = _judge_some_with_checker(session, code, chosen, answered, verdict)


def _judge_some_with_checker(
    session: Session, code: str, chosen: Chosen, first: int, verdict: _Verdict
) -> tuple[int, bool]:
    """As `_judge_some`, with a second interpreter that runs the tests' texts."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        program = session.start("program", [], link=ours, tests=len(chosen))
        checker = session.start("checker", [code], link=theirs, tests=len(chosen))
    reply: Any = session.frame(checker)
    if type(reply) is list and not reply[0]:
        _explain_failure(verdict, program, f"loading: {reply[1]}")
    position, lost = first, False
    for position, (index, test) in enumerate(chosen[first:], first):
        if position > first:
            session.next_test()
        reply = session.ask(checker, [test["assert"], _seed_of(test["assert"])])
        session.settle(program)
        if type(reply) is not list or program.overflow or reply[2]:
            lost, reply = session.lost(checker), None
            break
        verdict.passed[index] = reply[0] is True
        if not verdict.passed[index]:
            verdict.detail = verdict.detail or f"tests[{index}]: {reply[1]}"
    complete = lost or (reply is not None and program.report is None)
    _finish(session, program, verdict, complete, 0.0 if complete else _LAST_WORDS_S)
    session.end(checker)
    if reply is None and not lost and (checker.report or {}).get("reason") in _REASONS:
        verdict.note_end(checker)
    return position, lost


def _seed_of(test: str) -> str:
    """The random seed of a test, the same for every program in this process, and out of a program's reach."""
    return hashlib.blake2b(test.encode("utf-8", "surrogatepass"), key=_SECRET).hexdigest()


def _explain_failure(verdict: _Verdict, program: Child, detail: str) -> None:
    if program.report is None:
        verdict.explain("error", detail)


def _judge_scripts(session: Session, code: str, chosen: Chosen, verdict: _Verdict) -> None:
    for index, test in chosen:
        child = session.start("script", [code], stdin=test["stdin"].encode("utf-8", "surrogatepass"))
        session.told_all(child)
        session.wait(child, _PATIENCE_S)
        printed = bytes(child.printed["stdout"]).decode("utf-8", "replace")
        report = child.report or {}
        reason = report.get("reason")
        orderly = not child.overflow and reason == "exit" and report["status"] == 0
        verdict.passed[index] = orderly and same_text(test["stdout"], printed, test.get("tolerance"))
        if not orderly:
            verdict.note_end(child)
        elif not verdict.passed[index]:
            error = bytes(child.printed["stderr"][-_TAIL:]).decode("utf-8", "replace")
            verdict.detail = verdict.detail or f"tests[{index}]: printed {printed[:200]!r} {error}".strip()
        verdict.keep_output(child)
        if _REASONS.get(reason or "") == "timeout":  # those after it might take as long
            return
