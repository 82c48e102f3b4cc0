"""Parses an answer into a tree of plain tuples, by precedence climbing over the tokens of `rewards.math_checker.lexer`.

Nodes: `("num", Fraction, decimals | None)`, `("sym", name)`, `("const", "pi" | "e" | "i" | "inf" | "empty" | "R" …)`,
`("add", items)`, `("mul", items)`, `("pow", base, exponent)`, `("fn", name, arguments)`, `("pm", x)`, `("mp", x)`,
`("big", "sum" | "prod" | "int" | "lim", variable, low, high, body)`, `("seq", open, close, items)`, `("list", items)`,
`("list", items, "and")` where that word joins them, `("rel", operators, operands)`, `("setop", name, a, b)`,
`("setof", element, condition)`,
`("matrix", rows)`, `("unit", value, unit text)`, `("cases", ((value, condition), …))`.
The parser builds; it never computes, so no text makes it slow. Bounds: nesting, digits and tokens. Left out: logic,
geometry statements: those raise `MathTextError` and are then compared as text by the caller.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rewards.math_checker.atoms import AtomParser
from rewards.math_checker.lexer import MathTextError, TooLargeError, join_digit_groups, to_ascii, tokenize
from rewards.math_checker.tables import MULTIPLIERS
from rewards.math_checker.units import is_unit, known

Node = tuple[Any, ...]

RELATIONS = {
    "=": "=", "<": "<", ">": ">", "leq": "<=", "geq": ">=", "neq": "!=", "approx": "~", "in": "in", "equiv": "==",
    "notin": "notin", "subset": "subset", "subseteq": "subseteq", "rightarrow": "->", "Rightarrow": "=>",
    "sim": "sim", "propto": "propto", "parallel": "parallel", "perp": "perp", "cong": "cong",
}  # fmt: skip
_SET_OPERATORS = {"cup": "cup", "cap": "cap", "setminus": "minus"}
_MAX_ITEMS = 400
_MAX_SETS = 60


class Parser(AtomParser):
    """One text's parser; `parse` is the way in."""

    def answer(self) -> Node:
        """Everything up to the end of the text."""
        if not self.tokens:
            raise MathTextError("answer is empty")
        node = self.comma_list()
        if self.position < len(self.tokens):
            raise MathTextError(f"unexpected {self.peek()[1]!r} after the answer")
        return node

    def comma_list(self) -> Node:
        """Statements separated by `,`, `;`, `and`, `or`; one alone is returned as it is."""
        items, words = [self.statement()], []
        while word := self.separator():
            if self.at_end() or self.peek()[1] in (")", "]", "}", "\\}"):
                break
            words.append(word)
            items.append(self.statement())
            if len(items) > _MAX_ITEMS:
                raise TooLargeError(f"list has more than {_MAX_ITEMS} items")
        if len(items) == 1:
            return items[0]
        if {",", ";"} <= set(words):
            return ("list", _grouped(items, words))
        return ("list", tuple(items), "and") if "and" in words or _narrowed(items) else ("list", tuple(items))

    def separator(self) -> str:
        """Skips one separator, `", and"` included, and returns its last word, or `""` if there is none."""
        found = ""
        while not self.at_end():
            kind, value, _ = self.peek()
            if not ((kind == "op" and value in (",", ";", "and", "or")) or (kind == "text" and _connective(value))):
                break
            self.position += 1
            found = value if value == ";" else value.strip(" ,.").lower() or ","
        return found

    def statement(self) -> Node:
        """An expression, or a chain of relations between expressions."""
        operands, operators = [self.quantity()], []
        while not self.at_end() and self.peek()[1] in RELATIONS and self.peek()[0] in ("op", "cmd"):
            operators.append(RELATIONS[self.next()[1]])
            operands.append(self.quantity())
        return ("rel", tuple(operators), tuple(operands)) if operators else operands[0]

    def quantity(self) -> Node:
        """A set expression with the unit that may stand before (`$`) or after it."""
        currency = self.currency_prefix()
        node = self.set_expression()
        while self.peek()[0] in ("word", "text") and self.peek()[1].lower() in MULTIPLIERS:
            node = ("mul", (node, ("num", Fraction(MULTIPLIERS[self.next()[1].lower()]), None)))
        unit = self.unit_suffix()
        if unit and not is_unit(unit):
            raise MathTextError(f"{unit[:40]!r} is no unit")
        if unit and node[0] in ("sym", "const") and not known(unit):
            raise MathTextError(f"{unit[:40]!r} is no unit of a variable")
        if currency or unit:
            return ("unit", node, currency or unit)
        return node

    def currency_prefix(self) -> str:
        kind, value, _ = self.peek()
        if (kind, value) == ("op", "$") or (kind == "text" and value in ("euro", "pound sterling", "yen", "rupee")):
            self.position += 1
            return "dollar" if value == "$" else value
        return ""

    def unit_suffix(self) -> str:
        """The words after a value, as one string; connectives, separators and closing brackets end it."""
        parts: list[str] = []
        while not self.at_end():
            kind, value, _ = self.peek()
            wordy = kind in ("word", "text") and not _connective(value)
            if not parts and (kind, value) == ("op", "$"):
                wordy, value = True, "dollar"
            if not (wordy or (parts and self.links_units(kind, value, parts))):
                break
            parts.append(value)
            self.position += 1
        return " ".join(parts)

    def links_units(self, kind: str, value: str, parts: list[str]) -> bool:
        """Whether a token goes on with a unit: `/`, `^2`, `m` after another unit; a number only as an exponent."""
        if kind == "num":
            return parts[-1] in ("^", "{") or (parts[-1] == "-" and "^" in parts[-3:])
        if value in (")", "}"):
            return sum(p in "({" for p in parts) > sum(p in ")}" for p in parts)
        return (kind == "op" and value in "/^-.{(*") or (kind == "sym" and known(value))

    def set_expression(self) -> Node:
        node, count = self.sum(), 0
        while not self.at_end() and self.peek()[0] == "cmd" and self.peek()[1] in _SET_OPERATORS:
            count += 1
            if count > _MAX_SETS:
                raise TooLargeError(f"more than {_MAX_SETS} sets are joined")
            operator = _SET_OPERATORS[self.next()[1]]
            node = ("setop", operator, node, self.sum())
        return node

    def sum(self) -> Node:
        terms = [self.signed_term()]
        while not self.at_end():
            kind, value, _ = self.peek()
            if not ((kind == "op" and value in "+-") or (kind == "cmd" and value in ("pm", "mp"))):
                break
            terms.append(self.signed_term())
        return terms[0] if len(terms) == 1 else ("add", tuple(terms))

    def signed_term(self) -> Node:
        """A term with its sign, `+`, `-`, `\\pm` or `\\mp`; several signs in a row multiply."""
        sign, wrap = 1, ""
        while not self.at_end():
            kind, value, _ = self.peek()
            if kind == "op" and value in "+-":
                sign = -sign if value == "-" else sign
            elif kind == "cmd" and value in ("pm", "mp") and not wrap:
                wrap = value
            else:
                break
            self.position += 1
        node = self.term()
        node = negate(node) if sign < 0 else node
        return (wrap, node) if wrap else node

    def term(self) -> Node:
        """Products and quotients, explicit and by juxtaposition, from left to right."""
        factors = [self.power()]
        while not self.at_end():
            kind, value, _ = self.peek()
            if kind == "op" and (value in ("*", "/") or (value == ":" and not self.bars)):
                self.position += 1
                factor = self.signed_factor()
                factors.append(factor if value == "*" else reciprocal(factor))
            elif kind == "cmd" and value in ("pmod", "bmod", "mod"):
                self.position += 1
                factors = [("fn", value, (product(factors), self.power()))]
            elif self.starts_factor():
                self.append_implicit(factors)
            else:
                break
        return product(factors)

    def append_implicit(self, factors: list[Node]) -> None:
        """A factor written next to the last one; `3\\frac12` and `3 1/2` are mixed numbers, `2 3` is nothing."""
        kind, value, spaced = self.peek()
        last = factors[-1]
        whole = len(factors) == 1 and last[0] == "num" and last[1].denominator == 1 and last[2] is None
        if kind == "num" and last[0] == "num":
            if not (whole and spaced and self.slash_fraction_ahead()):
                raise MathTextError(f"two numbers side by side at {value!r}")
            factors[-1] = ("num", last[1] + self.slash_fraction(), None)
            return
        factor = self.power()
        marked = factor[0] == "fn" and factor[1] in ("percent", "degree")
        part = _proper_fraction(factor[2][0] if marked else factor) if whole and value == "frac" else None
        if part is None:
            factors.append(factor)
        else:
            mixed = ("num", last[1] + part, None)
            factors[-1] = ("fn", factor[1], (mixed,)) if marked else mixed

    def slash_fraction_ahead(self) -> bool:
        three = self.tokens[self.position : self.position + 3]
        return len(three) == 3 and three[1][1] == "/" and three[2][0] == "num" and three[2][1].strip("0").isdigit()

    def slash_fraction(self) -> Fraction:
        top, _, bottom = (self.next()[1] for _ in range(3))
        return Fraction(int(top), int(bottom)) if top.isdigit() else Fraction(0)

    def signed_factor(self) -> Node:
        """What follows `*` or `/`, where a sign may stand: `2 * -3`."""
        sign = 1
        while not self.at_end() and self.peek()[0] == "op" and self.peek()[1] in "+-":
            sign = -sign if self.next()[1] == "-" else sign
        return negate(self.power()) if sign < 0 else self.power()


def parse(text: str, commas_group_digits: bool = False) -> Node:
    """The tree of `text`. Raises `MathTextError`, or `TooLargeError` where a bound is passed."""
    cleaned = join_digit_groups(to_ascii(text), commas_group_digits)
    return Parser(tokenize(cleaned)).answer()


def product(factors: list[Node]) -> Node:
    """The product node of `factors`, or the only factor."""
    return factors[0] if len(factors) == 1 else ("mul", tuple(factors))


def reciprocal(node: Node) -> Node:
    """1 / node."""
    return ("pow", node, ("num", Fraction(-1), None))


def negate(node: Node) -> Node:
    """-node; a number keeps its decimals."""
    if node[0] == "num":
        return ("num", -node[1], node[2])
    return ("mul", (("num", Fraction(-1), None), node))


def _proper_fraction(node: Node) -> Fraction | None:
    """The value of `\\frac{1}{2}` between two whole numbers below one, else None."""
    if node[0] != "mul" or len(node[1]) != 2 or node[1][1][0] != "pow":
        return None
    top, bottom = node[1][0], node[1][1][1]
    if top[0] != "num" or bottom[0] != "num" or not bottom[1] or top[2] is not None or bottom[2] is not None:
        return None
    return top[1] / bottom[1] if 0 < top[1] < bottom[1] else None


def _grouped(items: list[Node], words: list[str]) -> tuple[Node, ...]:
    """The items of `p=5, q=2; p=7, q=2`, where the semicolons part lists."""
    groups: list[list[Node]] = [[items[0]]]
    for word, item in zip(words, items[1:], strict=True):
        if word == ";":
            groups.append([])
        groups[-1].append(item)
    return tuple(group[0] if len(group) == 1 else ("list", tuple(group)) for group in groups)


def _narrowed(items: list[Node]) -> bool:
    """Whether values are left out of a range: `-2 < x < 3, x != 0`."""
    ranges = [item for item in items if item[0] == "rel" and item[1] != ("!=",)]
    return (
        all(item[0] == "rel" for item in items) and len(ranges) == 1 and ranges[0][1][0] in ("<", "<=", ">", ">=", "in")
    )


def _connective(value: str) -> bool:
    return value.strip(" ,.").lower() in ("and", "or", "")
