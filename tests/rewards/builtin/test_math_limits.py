"""What the math checker spends in the caller's own process: bounded work and flat memory on any text."""

import random
import resource
import time

import pytest

from rewards.builtin.math_answer import check, math
from rewards.math_checker.poly import Budget, Undecided
from rollout.types import Problem, Rollout

CPU_S = 0.1
LIMIT_S = 0.1
ROOMY_S = 30.0
# A busy machine may delay one measurement; work without a bound is late every time.
ATTEMPTS = 4
FUNCTIONS = ("sin", "cos", "tan", "sec", "csc", "sinh", "tanh", "arcsin", "arctan", "ln", "exp")
LEAVES = ("1", "x", r"\pi", "2", "0.3", "e", "i", "10^{9}", r"\frac{1}{3}", r"\sqrt2", "n")


def seconds_in_the_caller(answer: str, gold: str) -> float:
    begin = time.process_time()
    check(answer, gold, LIMIT_S)
    return time.process_time() - begin


def is_bounded(answer: str, gold: str) -> bool:
    return any(seconds_in_the_caller(answer, gold) <= CPU_S for _ in range(ATTEMPTS))


def nested(name: str, levels: int) -> str:
    return f"\\{name}(" * levels + "1" + ")" * levels


@pytest.mark.parametrize("name", ["cos", "sin", "sinh", "exp", "ln"])
@pytest.mark.parametrize("levels", [13, 15, 38])
def test_a_tower_of_functions_costs_the_caller_next_to_nothing(name, levels):
    tower = nested(name, levels)
    assert is_bounded(f"3+{tower}-{tower}", "3")
    assert is_bounded(rf"\arcsin(0.3)+\lfloor x\rfloor+{tower}", r"\frac{\sqrt3}{2}")


def test_the_tower_that_cancels_is_equal_and_one_that_does_not_is_not():
    assert check(f"3+{nested('cos', 13)}-{nested('cos', 13)}", "3", ROOMY_S).reason == "equal"
    assert check(f"3+{nested('cos', 3)}-{nested('cos', 4)}", "3", ROOMY_S).reason == "different"


def random_text(rng: random.Random, depth: int) -> str:
    if depth <= 0:
        return rng.choice(LEAVES)
    inner, other = random_text(rng, depth - 1), rng.choice(LEAVES)
    return rng.choice(
        [
            rf"\{rng.choice(FUNCTIONS)}({inner})",
            rf"\frac{{{inner}}}{{{other}}}",
            rf"\sqrt{{{inner}}}",
            f"({inner})^{{{other}}}",
            f"e^{{{inner}}}",
            rf"\lfloor {inner}\rfloor",
            f"|{inner}|",
            f"{inner}+{other}",
            f"({inner})({other})",
            f"({inner})!",
            rf"\max({inner},{other})",
        ]
    )


@pytest.mark.medium
def test_random_nesting_of_every_function_is_bounded_and_leaves_no_memory_behind():
    rng = random.Random(15)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        text = random_text(rng, rng.randrange(2, 24))[:400]
        assert is_bounded(f"3+{text}-{text}"[:400], rng.choice(["3", "x", r"\sin x"]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


@pytest.mark.parametrize(
    "piece",
    [
        "$", r"\(", "{", "(", "|", r"\boxed{", r"\text{", r"\frac", "^", "1,", "a=", "1e9999+", "answer is ", "**", "&",
        r"\begin{cases}", "3 or ", "not ", "is ", r"\pm1", "!", "%", "°", "½", "¹", r"\mathbb{R}\cup", "x<1,", "1/",
        "A,", "C(5,2)", r"3\text{ and a half}", "5 ft ", r"\hat{i}+", "f(x)=", r"\int ", ";", "...", "since ", "mod ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1000, 6000, 100_000])
def test_a_piece_repeated_costs_the_caller_little(piece, size):
    text = (piece * (size // len(piece) + 1))[:size]
    assert is_bounded(text, r"\{1,2\}")
    assert is_bounded(rf"\boxed{{{text}}}", "x")
    assert is_bounded("The answer is " + text + " 3.", "3")


def test_what_is_too_long_to_read_is_too_large_even_if_its_beginning_is_right():
    assert check("5" + "+0" * 7000, "5").reason == "too_large"
    assert check("5" + " " * 13_000 + "+1", "5").reason == "too_large"
    assert check(r"\boxed{5" + "+0" * 5000 + "}", "5").reason == "too_large"


@pytest.mark.parametrize("gold", [r"\frac{1}{", r"\|x\|_2 \le 1 \text{ a.e.}", "∃x∀y: x∈y"])
def test_an_answer_that_is_the_gold_answer_letter_by_letter_is_right_even_if_nobody_can_read_it(gold):
    assert check(gold, gold).equal is True
    rollout = Rollout(Problem(id="p", prompt="?", answer=gold), "think", False, "ok", (1,), (2,), answer_text=gold)
    assert math(rollout) == 1.0


def test_a_budget_names_equal_atoms_alike_and_ends():
    budget = Budget(10)
    assert budget.atom("sin", ("x", 1)) == budget.atom("sin", ("x", 1))
    assert budget.atom("sin", ("x", 1)) != budget.atom("cos", ("x", 1))
    budget.pay(10)
    with pytest.raises(Undecided):
        budget.pay(1)
