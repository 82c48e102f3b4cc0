"""Printed text against the expected one, as LiveCodeBench compares."""

import time

import pytest

from rewards.sandbox.text import same_text

EQUAL = [
    ("3", "3.0"), ("3", " 3 \n\n"), ("1 2 3", "1  2\t3"), ("1\n2\n", "\n1\n\n2"), ("a b", " a  b "), ("1\r\n2", "1\n2"),
    ("0.5", ".50"), ("100", "1e2"), ("-0", "0"), ("", " \n"), ("YES\n1", "YES\n1.000"),
    ("100000000000000000000000000001", "100000000000000000000000000001.0"),
]  # fmt: skip
DIFFERENT = [
    ("3", "3.0000001"), ("1 2", "12"), ("1\n2", "1 2"), ("a", "A"), ("x 3", "x 3.0"), ("1 2", "2 1"), ("3", ""),
    ("nan", "NaN"), ("sNaN", "1"), ("1", "1\n1"), ("1000", "1_000"), ("12", "١٢"),
    ("100000000000000000000000000001", "100000000000000000000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "printed"), EQUAL)
def test_texts_that_a_judge_takes_for_the_same(expected, printed):
    assert same_text(expected, printed)


@pytest.mark.parametrize(("expected", "printed"), DIFFERENT)
def test_texts_that_it_does_not(expected, printed):
    assert not same_text(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed", "equal"),
    [
        ("Case 1: 0.3333", "Case 1: 0.33333", True),
        ("Case 1: 0.3333", "Case 2: 0.3333", False),
        ("1000", "1000.2", True),
        ("1000", "1001", False),
        ("1000.0", "1001", True),
        ("inf", "1e999", True),
        ("a", "b", False),
        ("1000.5", "1_000.5", False),
    ],
)
def test_with_a_tolerance_numbers_may_differ_but_not_two_integers(expected, printed, equal):
    assert same_text(expected, printed, 0.001) is equal


@pytest.mark.parametrize("tolerance", [None, 0.1])
@pytest.mark.parametrize(
    "printed",
    [
        "9" * 1_000_000,
        "1e" + "9" * 1_000_000,
        "0." + "0" * 1_000_000,
        " " * 1_000_000,
        "\n" * 1_000_000,
        "1 " * 500_000,
    ],
)
def test_whatever_was_printed_is_compared_in_linear_time(printed, tolerance):
    begun = time.process_time()
    assert not same_text("3 x 4", printed, tolerance)
    assert not same_text("3", printed, tolerance)
    assert time.process_time() - begun < 1.0  # 0.05 s; a quadratic comparison takes minutes
