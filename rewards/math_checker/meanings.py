r"""What a pair of readings may mean together, beyond what each says alone.

- `\log` without a base is natural or decimal, for both sides alike.
- The letter that counts the solutions of `\pi/6 + 2k\pi` is a matter of taste, and so is that of a sequence of them.
- A constant of integration, C or K, may have another letter, and two antiderivatives may differ by a constant.
- Of `2x = 6 \Rightarrow x = 3` the conclusion counts, unless the gold answer draws one too.
- `2\mathbf{i} + 3\mathbf{j}` is the vector `(2, 3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from rewards.math_checker.numeric import children, contains_node, letters

Node = tuple[Any, ...]

_ONE: Node = ("num", Fraction(1), None)
_ZERO: Node = ("num", Fraction(0), None)
_COUNTERS = frozenset({"k", "n", "m", "l", "j"})
_CONSTANTS = frozenset({"C", "K", "c", "k", "C_1", "C_0", "c_1", "C_2"})
_OF_INTEGRATION = frozenset({"C", "K", "c", "C_1", "C_0", "c_1", "C_2"})
_VARIABLES = frozenset({"x", "t", "u", "y", "s", "z", "theta", "r", "v", "w"})
_UNITS = ("unit i", "unit j", "unit k")
_PLAIN: dict[Node, Node] = {
    ("sym", _UNITS[0]): ("const", "i"),
    ("sym", "unit j"): ("sym", "j"),
    ("sym", "unit k"): ("sym", "k"),
}


def meanings(answer: Node, gold: Node) -> Iterator[tuple[Node, Node]]:
    """The pairs of trees to compare for one pair of readings."""
    if answer[0] == gold[0] == "num":
        yield answer, gold
        return
    answer, gold = _concluded(answer, gold), _concluded(gold, answer)
    names = letters(answer), letters(gold)
    for x, y in _vectors(answer, gold) if set(_UNITS) & (names[0] | names[1]) else ((answer, gold),):
        if (names[0] - names[1]) & _COUNTERS:
            x = _recounted(x, y)
        yield x, y
        if _has_bare_log(x) or _has_bare_log(y):
            yield _decimal(x), _decimal(y)


def constant_apart(answer: Node, gold: Node) -> tuple[Node, Node, bool] | None:
    """Two sums without their constants of integration, and whether the rest may differ by a constant; else None."""
    x, y = _constant(answer), _constant(gold)
    if x is None or y is None:
        return None
    (name, rest), (other, wanted) = x, y
    if not (name[0].isupper() or other[0].isupper()):
        return None
    free = {name, other} <= _OF_INTEGRATION and bool(letters(rest) & letters(wanted) & _VARIABLES)
    return (rest, wanted, free) if free or name != other else None


def _constant(node: Node) -> tuple[str, Node] | None:
    """The name of a lone constant in a sum, and the rest."""
    if node[0] != "add":
        return None
    found = [item for item in node[1] if item[0] == "sym" and item[1] in _CONSTANTS]
    rest = tuple(item for item in node[1] if item not in found)
    if len(found) != 1 or not rest or found[0][1] in letters(rest):
        return None
    return found[0][1], rest[0] if len(rest) == 1 else ("add", rest)


def replaced(tree: Any, change: Callable[[Node], Node | None]) -> Any:
    """The tree with every node changed for which `change` returns one."""
    if not isinstance(tree, tuple) or not tree:
        return tree
    new = change(tree) if isinstance(tree[0], str) else None
    return new if new is not None else tuple(replaced(child, change) for child in tree)


def _concluded(node: Node, other: Node) -> Node:
    """What stands after the last implication."""
    if node[0] != "rel" or "=>" not in node[1] or (other[0] == "rel" and "=>" in other[1]):
        return node
    cut = len(node[1]) - 1 - node[1][::-1].index("=>")
    operators, operands = node[1][cut + 1 :], node[2][cut + 1 :]
    return ("rel", operators, operands) if operators else operands[0]


def _recounted(answer: Node, gold: Node) -> Node:
    """The answer with the gold answer's letter for the whole number in a general solution."""
    ours, theirs = ((letters(x) - letters(y)) & _COUNTERS for x, y in ((answer, gold), (gold, answer)))
    periodic = all(contains_node(node, ("const", "pi")) or _has_degree(node) for node in (answer, gold))
    if not (periodic and len(ours) == len(theirs) == 1):
        return answer
    (old,), (new,) = ours, theirs
    return replaced(answer, lambda node: ("sym", new) if node == ("sym", old) else None)


def _has_degree(tree: Any) -> bool:
    return isinstance(tree, tuple) and (tree[:2] == ("fn", "degree") or any(_has_degree(child) for child in tree))


def _has_bare_log(tree: Any) -> bool:
    if tree and tree[0] == "fn" and tree[1] == "log" and len(tree[2]) == 1:
        return True
    return any(map(_has_bare_log, children(tree)))


def _decimal(tree: Node) -> Node:
    def change(node: Node) -> Node | None:
        bare = node[:2] == ("fn", "log") and len(node[2]) == 1
        return ("fn", "lg", (_decimal(node[2][0]),)) if bare else None

    return replaced(tree, change)


def _vectors(answer: Node, gold: Node) -> Iterator[tuple[Node, Node]]:
    """Unit vectors as tuples, of two or three entries; where they are no vectors, as the letters that they are."""
    for size in (2, 3):
        x, y = _as_vector(answer, size), _as_vector(gold, size)
        if x is not None and y is not None:
            yield x, y
    yield replaced(answer, _PLAIN.get), replaced(gold, _PLAIN.get)


def _as_vector(node: Node, size: int) -> Node | None:
    """The tuple of a sum of multiples of unit vectors; other nodes as they are."""
    if node[0] == "rel" and set(node[1]) == {"="}:
        value = _as_vector(node[2][-1], size)
        return None if value is None else ("rel", node[1], (*node[2][:-1], value))
    if not letters(node) & set(_UNITS):
        return node
    parts = _parts(node, ())
    if parts is None or any(index >= size for index, _ in parts):
        return None
    return ("seq", "(", ")", tuple(_sum([scale for at, scale in parts if at == index]) for index in range(size)))


def _parts(node: Node, factors: tuple[Node, ...]) -> list[tuple[int, Node]] | None:
    """The multiples of unit vectors in a sum, each with its place; None where something is no multiple of one."""
    if node[0] == "sym" and node[1] in _UNITS:
        scale: Node = ("mul", factors) if len(factors) > 1 else factors[0] if factors else _ONE
        return [(_UNITS.index(node[1]), scale)]
    if node[0] == "add":
        found = [_parts(item, factors) for item in node[1]]
        return None if None in found else [part for parts in found if parts for part in parts]
    inside = [item for item in node[1] if letters(item) & set(_UNITS)] if node[0] == "mul" else []
    if len(inside) != 1:
        return None
    return _parts(inside[0], (*factors, *(item for item in node[1] if item is not inside[0])))


def _sum(parts: list[Node]) -> Node:
    return ("add", tuple(parts)) if len(parts) > 1 else parts[0] if parts else _ZERO
