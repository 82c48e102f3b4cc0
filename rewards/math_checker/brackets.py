"""Brackets and big operators of the answer parser: everything that reads up to a closing mark.

`rewards.math_checker.atoms` builds on this class; `rewards.math_checker.parse` documents the nodes.
"""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction

from rewards.math_checker.cursor import Node
from rewards.math_checker.environments import EnvironmentParser
from rewards.math_checker.lexer import MathTextError


class BracketParser(EnvironmentParser):
    """What stands between two marks."""

    @abstractmethod
    def term(self) -> Node:
        """Read one term; an outer level of the parser defines it."""

    @abstractmethod
    def differential(self) -> bool:
        """Whether `dx` comes next; an outer level of the parser defines it."""

    def bracket(self, value: str) -> Node:
        if value == "{":
            inner = self.comma_list()
            if self.peek()[:2] == ("cmd", "choose"):
                self.position += 1
                inner = ("fn", "binom", (inner, self.sum()))
            self.expect("}")
            return inner
        if value == "|":
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.expect("|")
            return ("fn", "abs", (inner,))
        closers = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "]": ("[", "]", ")")}.get(value)
        if closers is None:
            raise MathTextError(f"unexpected {value!r}")
        return self.bracket_items("(" if value == "]" else value.lstrip("\\"), closers)

    def bracket_items(self, opener: str, closers: tuple[str, ...]) -> Node:
        """A group, an interval, a tuple or a set, by its brackets and the number of its items."""
        if opener == "{" and self.peek()[1] == "\\}":
            self.position += 1
            return ("const", "empty")
        bars, self.bars = self.bars, int(opener == "{")
        inner = self.comma_list()
        if opener == "{" and self.peek()[1] in ("|", ":"):
            self.position += 1
            condition = self.comma_list()
            self.bars = bars
            self.expect("\\}")
            return condition if _is_any_real(inner) else ("setof", inner, condition)
        self.bars = bars
        closer = self.next()[1]
        if closer not in closers:
            raise MathTextError(f"bracket {opener!r} is closed by {closer or 'nothing'!r}")
        if opener in "([" and inner[0] == "list" and all(_is_statement(item) for item in inner[1]):
            return inner
        if inner[0] != "list" and opener != "{":
            if {"(": ")", "[": "]"}[opener] != closer and closer != "rangle":
                raise MathTextError(f"bracket {opener!r} is closed by {closer!r} around one value")
            return inner
        items = inner[1] if inner[0] == "list" else (inner,)
        return ("seq", opener, {"rangle": ")", "\\}": "}", "[": ")"}.get(closer, closer), items)

    def enclosed(self, name: str) -> Node:
        close, function = {"lbar": ("rbar", "abs"), "lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}[name]
        inner = self.sum()
        self.expect(close)
        return ("fn", function, (inner,))

    def big_operator(self, name: str) -> Node:
        """`\\sum_{k=1}^{n} …`, `\\prod`, `\\int_a^b … dx`, `\\lim_{x \\to a} …`."""
        low: Node | None = None
        high: Node | None = None
        variable = ""
        while self.peek()[0] == "op" and self.peek()[1] in ("_", "^"):
            if self.next()[1] == "^":
                high = self.short_argument()
            elif name == "int":
                low = self.short_argument()
            else:
                variable, low = self.binding()
                self.bound.add(variable)
        if name != "int":
            return ("big", name, variable, low, high, self.term())
        self.integrals += 1
        body = ("num", Fraction(1), None) if self.differential() else self.sum()
        self.integrals -= 1
        kind, value, _ = self.next()
        variable = value[1] if kind == "word" else self.next()[1]
        return ("big", "int", variable, low, high, body)

    def binding(self) -> tuple[str, Node]:
        """`{k=1}` or `{x \\to a}`."""
        self.expect("{")
        kind, variable, _ = self.next()
        link = self.next()[1]
        if kind != "sym" or link not in ("=", "rightarrow"):
            raise MathTextError("a big operator needs `variable = start` below it")
        low = self.sum()
        self.expect("}")
        return variable, low


def _is_any_real(head: Node) -> bool:
    """`x` or `x \\in \\mathbb{R}` before the bar of a set: what stands behind it says everything."""
    if head[0] == "rel" and head[1] == ("in",):
        return bool(head[2][1] == ("const", "R"))
    return head[0] == "sym" or (head[0] == "seq" and all(item[0] == "sym" for item in head[3]))


def _is_statement(node: Node) -> bool:
    """Whether a bracket's item is an equation or inequality, or several: `(x=1 and y=2) or (x=2 and y=1)`."""
    return node[0] == "rel" or (node[0] == "list" and all(_is_statement(item) for item in node[1]))
