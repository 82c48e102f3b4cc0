"""Sums of two products, `47 * 6 + 38 * 7 =`: some a language model writes down, others it has to work out.

    python benchmarks/products.py runs/products/seed0/data --seed 0    # train, test and unseen.jsonl

All prompts have one form and one length; what a problem asks lies in the digits:

    zero      47 * 0 + 38 * 1    one product is nothing, the other is its number (either order)
    double    47 * 0 + 38 * 2    ..., the other is twice its number (either order)
    ones      47 * 1 + 38 * 1    a sum of two numbers
    hard      47 * 6 + 38 * 7    digits of 3 or more: two products to work out and to add

`unseen.jsonl` has kinds that training never shows: `times` (47 * 0 + 38 * 7), `one` (47 * 1 + 38 * 7, either order),
`doubles` (47 * 2 + 38 * 2) and `tens` (40 * 6 + 30 * 7). A thought is the two products and their sum:
`47*6=282 38*7=266 282+266=548`. The files share no problem; a row may be that of another file with its two products in
the other order. The kind is an annotation for reports; the policy does not see it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path

Factors = tuple[int, int, int, int]
SHARES = {"zero": 0.2, "double": 0.2, "ones": 0.25, "hard": 0.35}
UNSEEN = dict.fromkeys(("times", "one", "doubles", "tens"), 1.0)
SIZES = {"test": 200, "unseen": 120, "train": 600}
_TRIES = 10_000


def kind_of(factors: Factors) -> str:
    """The kind of a sum of two products, "" where it has none.

    >>> [kind_of(one) for one in [(47, 0, 38, 1), (47, 2, 38, 0), (47, 1, 38, 1), (47, 6, 38, 7), (40, 1, 38, 1)]]
    ['zero', 'double', 'ones', 'hard', '']
    >>> [kind_of(one) for one in [(47, 7, 38, 0), (47, 7, 38, 1), (47, 2, 38, 2), (40, 6, 30, 7), (47, 2, 38, 7)]]
    ['times', 'one', 'doubles', 'tens', '']
    """
    first, by_first, second, by_second = factors
    low, high = sorted((by_first, by_second))
    if first % 10 == 0 or second % 10 == 0:
        return "tens" if first % 10 == second % 10 and low >= 3 else ""
    found: Mapping[str, bool] = {
        "zero": (low, high) == (0, 1),
        "double": (low, high) == (0, 2),
        "ones": (low, high) == (1, 1),
        "times": low == 0 and high >= 3,
        "one": low == 1 and high >= 3,
        "doubles": (low, high) == (2, 2),
        "hard": min(int(digit) for digit in f"{first}{second}{low}") >= 3,
    }
    return next((kind for kind, there in found.items() if there), "")


def thought(factors: Factors) -> str:
    """The two products and their sum.

    >>> thought((47, 6, 38, 7))
    '47*6=282 38*7=266 282+266=548'
    """
    first, by_first, second, by_second = factors
    one, other = first * by_first, second * by_second
    return f"{first}*{by_first}={one} {second}*{by_second}={other} {one}+{other}={one + other}"


def draw(count: int, shares: Mapping[str, float], seen: set[Factors], rng: random.Random) -> list[dict[str, object]]:
    """`count` problems as rows, none of `seen`, in any order; `seen` gets them."""
    rows: list[dict[str, object]] = []
    while len(rows) < count:
        (kind,) = rng.choices(list(shares), list(shares.values()))
        factors = _drawn(rng, kind, seen)
        seen.add(factors)
        rows.append(row_of(factors, kind))
    return rows


def row_of(factors: Factors, kind: str) -> dict[str, object]:
    """A sum of two products in the fields of the format `problems`."""
    first, by_first, second, by_second = factors
    text = f"{first} * {by_first} + {second} * {by_second}"
    return {
        "id": text.replace(" ", ""),
        "prompt": f"{text} =",
        "domain": "math",
        "answer": str(first * by_first + second * by_second),
        "difficulty": kind,
        "metadata": {"solution": thought(factors)},
    }


def _drawn(rng: random.Random, kind: str, seen: set[Factors]) -> Factors:
    for _ in range(_TRIES):
        factors = rng.randint(10, 99), rng.randint(0, 9), rng.randint(10, 99), rng.randint(0, 9)
        if factors not in seen and kind_of(factors) == kind:
            return factors
    raise SystemExit(f"error: no problem of the kind {kind!r} is left; allowed: fewer problems")


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, seen = random.Random(f"products-{options.seed}"), set[Factors]()
    texts = {}
    for name, count in SIZES.items():
        rows = draw(count, UNSEEN if name == "unseen" else SHARES, seen, rng)
        texts[options.folder / f"{name}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        write(texts)
    except OSError as error:
        where = error.filename or options.folder
        raise SystemExit(f"error: {where}: {error.strerror}; allowed: a folder that can be written") from None
    print(f"written or there: {', '.join(map(str, texts))}")


def write(texts: Mapping[Path, str]) -> None:
    """Each file in full or not at all. Ends the program before any where one is there and holds anything else."""
    there = [file for file in texts if file.exists() or file.is_symlink()]
    for file in there:
        if not file.is_file() or file.read_bytes() != texts[file].encode():
            raise SystemExit(f"error: {file} holds something else; allowed: a new folder, one for each seed")
    for file in texts.keys() - there:
        part = file.with_name(f"{file.name}.part")
        part.write_text(texts[file], encoding="utf-8")
        part.replace(file)


if __name__ == "__main__":
    main()
