"""The math checker among other code: hostile input, threads, what is imported; and the reward around it."""

import subprocess
import sys
import threading
import time

import pytest

from rewards.builtin.math_answer import check, is_readable, math, verify
from rollout.types import Problem, Rollout

LIMIT_S = 0.5
ROOMY_S = 30.0  # for verdicts that must not depend on how busy the machine is
# A busy machine may delay one measurement; a limit that does not hold is late every time.
ATTEMPTS = 6

HOSTILE = [
    "9**9**9**9", "10^8!", "(10^8)!", "((10!)!)!", "2^{2^{2^{2^{2^{2}}}}}", r"\binom{10^9}{5\cdot10^8}", "1e999999999",
    "1" * 1_000_000, "0." + "3" * 1_000_000, r"\frac{1}{" * 3000 + "2" + "}" * 3000, "(" * 5000 + "1" + ")" * 5000,
    r"\begin{pmatrix}" + r"\\".join("&".join("1" for _ in range(300)) for _ in range(300)) + r"\end{pmatrix}",
    r"\begin{vmatrix}" + r"\\".join("&".join(f"x_{{{i}{j}}}" for i in range(9)) for j in range(9)) + r"\end{vmatrix}",
    r"\sum_{n=1}^{\infty}\frac{\sin(n^2)}{n!}", r"\sum_{n=1}^{10^{12}}\frac{1}{n^3+n+1}",
    r"\prod_{k=1}^{10^9}(1+\frac1{k^2})",
    r"\int e^{x^x}\sin(x^3) dx", "(x+y+z)^{1000}", "e^{e^{e^{e^{e}}}}", r"\sin(10^{10^{5}})", "1" + r"\pm1" * 60,
    "__import__('os').system('touch hacked')", "().__class__.__bases__[0]", "\u0430+\u0435", "٣", "\x00", "\ud800",
    r"\boxed{" * 20000,
    "$" * 100_000, "the answer is " * 20_000, "<answer>" * 50_000, "a," * 3000, r"\left(" * 3000, "!" * 5000,
    "|" * 4000,
]  # fmt: skip


@pytest.mark.medium
@pytest.mark.parametrize("hostile", HOSTILE, ids=[f"{text[:20]!r}" for text in HOSTILE])
def test_hostile_text_is_answered_within_the_limit_and_never_equal(hostile):
    verify(r"\cos\frac{\pi}{7}-\cos\frac{2\pi}{7}+\cos\frac{3\pi}{7}", "0.5", ROOMY_S)
    assert check(rf"So it is \boxed{{{hostile}}}.", r"\frac{\sqrt3}{2}", LIMIT_S).equal is False
    assert any(seconds_of_a_refusal(hostile) < LIMIT_S + 0.1 for _ in range(ATTEMPTS))


def seconds_of_a_refusal(hostile: str) -> float:
    begin = time.monotonic()
    assert check(hostile, r"\frac{\sqrt3}{2}", LIMIT_S).equal is False
    return time.monotonic() - begin


@pytest.mark.medium
def test_symbolic_checks_work_from_threads():
    verdicts: list[bool] = []
    pairs = [(r"\sqrt{6+2\sqrt5}", r"1+\sqrt5"), (r"\arctan 1", r"\frac{\pi}{4}"), (r"\sum_{k=1}^{9} k", "45")]
    threads = [threading.Thread(target=lambda pair=pair: verdicts.append(verify(*pair, ROOMY_S))) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True, True, True]


def test_importing_and_easy_verdicts_do_not_load_sympy():
    program = (
        "import sys; from rewards.builtin.math_answer import verify\n"
        "assert verify('1/2', '0.5') and verify('(1,2]', '1<x\\\\le 2') and not verify('\\\\sqrt8', '3')\n"
        "assert verify('\\\\sqrt8', '2\\\\sqrt2') and verify('2 cm', '2') and verify('{1,2}', '\\\\{2,1\\\\}')\n"
        "print('sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def rollout(answer: str | None, text: str) -> Rollout:
    problem = Problem(id="p17", prompt="?", answer=answer)
    return Rollout(problem, "think", False, "ok", (1,), (2,), answer_text=text)


def test_the_reward_is_one_for_the_right_answer_and_zero_for_a_wrong_or_empty_one():
    assert math(rollout("12", r"So it is \boxed{12}.")) == 1.0
    assert math(rollout("12", r"So it is \boxed{13}.")) == 0.0
    assert math(rollout("12", "")) == 0.0


@pytest.mark.parametrize("gold", [None, "", r"\frac{1}{"])
def test_the_reward_names_the_problem_whose_answer_cannot_be_judged(gold):
    with pytest.raises(ValueError, match="p17"):
        math(rollout(gold, "12"))


def test_a_gold_answer_is_readable_or_not():
    assert is_readable(r"\frac{1}{2}") is True
    assert is_readable("Evelyn") is True
    assert is_readable(r"\frac{1}{") is False


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="timeout_s is 0"):
        check("1", "2", timeout_s=0)
