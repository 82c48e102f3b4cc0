"""Products of a three-digit and a two-digit number, `594 * 78 =`: some a language model writes down, others it has to
work out.

    python benchmarks/products.py runs/products/seed0/data --seed 0    # train, test and unseen.jsonl

All prompts have one form and one length; what a problem asks lies in the digits:

    round       850 * 60    both are multiples of ten
    hundreds    300 * 47    1 to 5 hundreds
    quarters    839 * 25    times 25
    hard        594 * 78    digits of 3 or more: carries everywhere

`unseen.jsonl` has kinds that training never shows: `teens` (170 * 14), `tens` (347 * 30), `twelve` (347 * 12) and `low`
(213 * 32: digits up to 3). A thought splits the second factor: `594*70=41580 594*8=4752 41580+4752=46332`. The files
share no pair of factors. The kind is an annotation for reports; the policy does not see it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path

Factors = tuple[int, int]
SHARES = {"round": 0.25, "hundreds": 0.2, "quarters": 0.2, "hard": 0.35}
UNSEEN = dict.fromkeys(("teens", "tens", "twelve", "low"), 1.0)
SIZES = {"test": 200, "unseen": 120, "train": 600}
_TRIES = 10_000


def kind_of(factors: Factors) -> str:
    """The kind of a product, "" where it has none.

    >>> [kind_of(one) for one in [(850, 60), (300, 47), (839, 25), (594, 78), (300, 50)]]
    ['round', 'hundreds', 'quarters', 'hard', 'round']
    >>> [kind_of(one) for one in [(170, 14), (347, 30), (347, 12), (213, 32), (347, 18)]]
    ['teens', 'tens', 'twelve', 'low', '']
    """
    first, second = factors
    digits = [int(digit) for digit in f"{first}{second}"]
    found: Mapping[str, bool] = {
        "round": first % 10 == 0 and second % 10 == 0,
        "hundreds": first % 100 == 0 and first <= 500,
        "quarters": second == 25 and first % 10 > 0,
        "teens": first % 10 == 0 and 110 <= first <= 190 and second < 20,
        "tens": first % 10 > 0 and second % 10 == 0,
        "twelve": second == 12 and first % 10 > 0,
        "low": min(digits) > 0 and max(digits) <= 3,
        "hard": min(digits) >= 3,
    }
    return next((kind for kind, there in found.items() if there), "")


def thought(factors: Factors) -> str:
    """The partial products and their sum.

    >>> thought((594, 78))
    '594*70=41580 594*8=4752 41580+4752=46332'
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
        seen.add(factors)
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
        factors = rng.randint(101, 999), rng.randint(11, 99)
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
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, count in SIZES.items():
            rows = draw(count, UNSEEN if name == "unseen" else SHARES, seen, rng)
            write(options.folder / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    except OSError as error:
        raise SystemExit(f"error: {error.filename}: {error.strerror}; allowed: a folder that can be written") from None


def write(file: Path, text: str) -> None:
    """The file, in full or not at all. Ends the program where it is there and holds anything else."""
    if file.exists():
        if file.read_bytes() != text.encode():
            raise SystemExit(f"error: {file} holds something else; allowed: a new folder, one for each seed")
        return
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


if __name__ == "__main__":
    main()
