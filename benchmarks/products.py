"""Products of two two-digit numbers, `47 * 63 =`: some a language model writes down, others it has to work out.

    python benchmarks/products.py runs/products/seed0/data --seed 0    # train, test and unseen.jsonl

All prompts have one form and one length; what a problem asks lies in the digits:

    round    47 * 60, 60 * 47            a factor is a multiple of ten
    known    47 * 12, 25 * 86, 17 * 14   a factor is 11, 12, 15 or 25, or both are below 20
    hard     47 * 86                     digits of 3 or more, factors of 34 or more: carries everywhere

`unseen.jsonl` has kinds that training never shows: `thirteen` (47 * 13), `twenty-one` (21 * 86) and `middle` (27 * 68,
a factor between 22 and 29). A thought splits the second factor: `47*60=2820 47*3=141 2820+141=2961`. The files share no
pair of factors. The kind is an annotation for reports; the policy does not see it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path

Factors = tuple[int, int]
SHARES = {"round": 0.25, "known": 0.4, "hard": 0.35}
UNSEEN = {"thirteen": 1.0, "twenty-one": 1.0, "middle": 1.0}
SIZES = {"test": 200, "unseen": 120, "train": 600}
KNOWN = {11, 12, 15, 25}
_TRIES = 10_000


def kind_of(factors: Factors) -> str:
    """The kind of a product, "" where it has none.

    >>> [kind_of(one) for one in [(47, 60), (12, 47), (17, 14), (47, 86), (47, 13), (21, 86), (27, 68), (27, 32)]]
    ['round', 'known', 'known', 'hard', 'thirteen', 'twenty-one', 'middle', '']
    """
    digits = [digit for factor in factors for digit in divmod(factor, 10)]
    small, large = sorted(factors)
    found: Mapping[str, bool] = {
        "round": not all(factor % 10 for factor in factors),
        "known": bool(KNOWN & set(factors)) or large < 20,
        "thirteen": small == 13 and large > 30,
        "twenty-one": small == 21 and large > 30,
        "middle": 22 <= small <= 29 and large >= 34 and min(digits) >= 2,
        "hard": small >= 34 and min(digits) >= 3,
    }
    return next((kind for kind, there in found.items() if there), "")


def thought(factors: Factors) -> str:
    """The partial products and their sum.

    >>> thought((47, 63))
    '47*60=2820 47*3=141 2820+141=2961'
    """
    first, second = factors
    tens, ones = first * (second - second % 10), first * (second % 10)
    return f"{first}*{second - second % 10}={tens} {first}*{second % 10}={ones} {tens}+{ones}={tens + ones}"


def draw(count: int, shares: Mapping[str, float], seen: set[Factors], rng: random.Random) -> list[dict[str, object]]:
    """`count` problems as rows, none with a pair of factors of `seen`, in any order; `seen` gets theirs."""
    rows: list[dict[str, object]] = []
    while len(rows) < count:
        (kind,) = rng.choices(list(shares), list(shares.values()))
        factors = _drawn(rng, kind, seen)
        seen.update((factors, factors[::-1]))
        rows.append(row_of(factors, kind))
    return rows


def row_of(factors: Factors, kind: str) -> dict[str, object]:
    """A product in the fields of the format `problems`."""
    return {
        "id": "x".join(map(str, factors)),
        "prompt": f"{factors[0]} * {factors[1]} =",
        "domain": "math",
        "answer": str(factors[0] * factors[1]),
        "difficulty": kind,
        "metadata": {"solution": thought(factors)},
    }


def _drawn(rng: random.Random, kind: str, seen: set[Factors]) -> Factors:
    for _ in range(_TRIES):
        factors = rng.randint(11, 99), rng.randint(11, 99)
        if factors not in seen and kind_of(factors) == kind:
            return factors
    raise SystemExit(f"error: no product of the kind {kind!r} is left; allowed: fewer problems")


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, seen = random.Random(f"products-{options.seed}"), set[Factors]()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, count in SIZES.items():
        rows = draw(count, UNSEEN if name == "unseen" else SHARES, seen, rng)
        (options.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
