"""Labelled pairs of a gold answer and an answer, grouped by what makes them hard, in `math_pairs.jsonl`."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from rewards.builtin.math_answer import check

ROOMY_S = 30.0
PAIRS: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
for _line in (Path(__file__).parent / "math_pairs.jsonl").read_text().splitlines():
    _pair = json.loads(_line)
    PAIRS[_pair["kind"]].append((_pair["gold"], _pair["answer"], _pair["equal"]))


@pytest.mark.medium
@pytest.mark.parametrize("kind", PAIRS)
def test_every_pair_of_a_kind_is_judged_as_its_label_says(kind):
    wrong = [
        (gold, answer, f"should be {equal}")
        for gold, answer, equal in PAIRS[kind]
        if check(answer, gold, ROOMY_S).equal is not equal
    ]
    assert wrong == []
