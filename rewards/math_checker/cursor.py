"""The token cursor of the answer parser, and its numerals, letters and subscripts.

`rewards.math_checker.atoms` and `rewards.math_checker.parse` build the outer levels on this class; the latter documents
the nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Any

from rewards.math_checker.lexer import MathTextError, Token, TooLargeError

Node = tuple[Any, ...]

MAX_DEPTH = 40
MINUS_ONE: Node = ("num", Fraction(-1), None)
END: Token = ("end", "", False)
_MAX_EXPONENT_DIGITS = 4
_MAX_DIGITS = 20_000
_APPLIED = frozenset("fgh")


class Cursor(ABC):
    """The tokens, the place in them, and what can be read without looking at other levels."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.bars = 0
        self.integrals = 0
        self.bound: set[str] = set()
        self.digits = 0

    @abstractmethod
    def answer(self) -> Node:
        """Read everything up to the end; an outer level of the parser defines it."""

    @abstractmethod
    def comma_list(self) -> Node:
        """Read one comma list; an outer level of the parser defines it."""

    @abstractmethod
    def sum(self) -> Node:
        """Read one sum; an outer level of the parser defines it."""

    @abstractmethod
    def atom(self) -> Node:
        """Read one atom; an outer level of the parser defines it."""

    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else END

    def next(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, value: str) -> None:
        found = self.next()[1]
        if found != value:
            raise MathTextError(f"expected {value!r}, found {found or 'the end'!r}")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLargeError(f"nesting is deeper than {MAX_DEPTH}")

    def number(self, text: str) -> Node:
        """A numeral with a repeating part (`0.\\overline{3}`) or a base (`204_5`) if one is attached."""
        mantissa, _, exponent = text.lower().partition("e")
        self.digits += len(mantissa) + (abs(int(exponent)) if 0 < len(exponent) < 8 else 0)
        if self.digits > _MAX_DIGITS:
            raise TooLargeError(f"the numbers have more than {_MAX_DIGITS} digits together")
        if self.peek()[:2] == ("cmd", "bar") and text.count(".") <= 1 and self.peek(1)[1] == "{":
            return self.repeating(text)
        if self.peek()[:2] == ("op", ".") and self.peek(1)[:2] in (("cmd", "bar"), ("op", "(")) and text.isdigit():
            self.position += 1
            return self.repeating(text + ".")
        if self.peek()[:2] == ("op", "_"):
            self.position += 1
            return _in_base(text, self.short_argument())
        return parse_number(text)

    def repeating(self, text: str) -> Node:
        close = ")" if self.peek()[1] == "(" else "}"
        self.position += 1 if close == ")" else 2
        period = self.next()[1]
        self.expect(close)
        if not period.isdigit() or "e" in text.lower():
            raise MathTextError(f"{period!r} cannot repeat in a decimal")
        head, _, tail = text.partition(".")
        scale = 10 ** len(tail)
        fixed = Fraction(int(head or "0") * scale + int(tail or "0"), scale)
        return ("num", fixed + Fraction(int(period), (10 ** len(period) - 1) * scale), None)

    def short_argument(self) -> Node:
        """A brace group, or the one token that TeX would take: one digit, one letter, one command."""
        kind, value, spaced = self.peek()
        if kind == "op" and value == "{":
            return self.atom()
        if kind == "num" and len(value) > 1 and value[0].isdigit():
            self.tokens[self.position] = ("num", value[1:], spaced)
            return parse_number(value[0])
        return self.atom()

    def symbol(self, name: str) -> Node:
        if name in ("e", "i") and name not in self.bound and self.peek()[1] != "_":
            return ("const", name)
        primes = self.subscript()
        while self.peek()[:2] == ("op", "'"):
            self.position += 1
            primes += "'"
        if name in _APPLIED:
            primes += self.inverse_or_order()
        if self.peek()[:2] == ("op", "(") and (name in _APPLIED or self.defined_here()):
            self.position += 1
            arguments = self.comma_list()
            self.expect(")")
            return ("fn", "call " + name + primes, arguments[1] if arguments[0] == "list" else (arguments,))
        return ("sym", name + primes)

    def inverse_or_order(self) -> str:
        """Skips the `^{-1}` or `^{(4)}` of `f^{-1}(x)`, where brackets follow, and returns it for the name."""
        for inside in (["-", "1"], ["(", "#", ")"]):
            span = self.tokens[self.position : self.position + len(inside) + 4]
            values = ["#" if token[0] == "num" and "#" in inside else token[1] for token in span]
            if values == ["^", "{", *inside, "}", "("]:
                self.position += len(inside) + 3
                return "^" + "".join(token[1] for token in span[2:-2])
        return ""

    def defined_here(self) -> bool:
        """Whether `P(x) =` comes next: letters or numbers in brackets, and what they are worth."""
        ahead = self.position + 1
        while ahead < len(self.tokens) and (self.tokens[ahead][0] in ("num", "sym") or self.tokens[ahead][1] == ","):
            ahead += 1
        end = [token[1] for token in self.tokens[ahead : ahead + 2]]
        return ahead > self.position + 1 and end == [")", "="]

    def subscript(self) -> str:
        """The subscript after a letter, flattened into its name."""
        if self.peek()[:2] != ("op", "_"):
            return ""
        self.position += 1
        if self.peek()[:2] != ("op", "{"):
            return "_" + self.next()[1]
        self.position += 1
        parts = []
        while self.peek()[1] != "}":
            if self.at_end():
                raise MathTextError("a subscript is never closed")
            parts.append(self.next()[1])
        self.position += 1
        return "_" + "".join(parts)


def parse_number(text: str) -> Node:
    """A numeral as an exact rational, with the count of its decimals where it has a point."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-")) > _MAX_EXPONENT_DIGITS:
        raise TooLargeError(f"exponent of {text[:40]!r} is beyond {_MAX_EXPONENT_DIGITS} digits")
    head, point, tail = mantissa.partition(".")
    value = Fraction(int((head + tail) or "0"), 10 ** len(tail))
    if exponent:
        value *= Fraction(10) ** int(exponent)
    return ("num", value, len(tail) if point or exponent else None)


def _in_base(digits: str, base: Node) -> Node:
    """`204_5`; the base is a whole number from 2 to 36 and the digits must exist in it."""
    whole, _, tail = digits.partition(".")
    if base[0] != "num" or base[1].denominator != 1 or not 2 <= base[1] <= 36 or not (whole + tail).isdigit():
        raise MathTextError(f"{digits!r} has no such subscript")
    try:
        return ("num", Fraction(int(whole + tail, int(base[1])), base[1].numerator ** len(tail)), None)
    except ValueError as error:
        raise MathTextError(f"{digits!r} is no number in base {base[1]}") from error
