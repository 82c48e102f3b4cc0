"""The innermost part of the answer parser: powers, functions, brackets, matrices and big operators.

`rewards.math_checker.parse.Parser` builds the outer levels (sums, relations, lists) on this class and documents the
nodes.
"""

from __future__ import annotations

from fractions import Fraction

from rewards.math_checker.brackets import BracketParser
from rewards.math_checker.cursor import END, MAX_DEPTH, MINUS_ONE, Node
from rewards.math_checker.lexer import MathTextError, TooLargeError, tokenize
from rewards.math_checker.tables import ENGLISH, FUNCTIONS, SHORT_UNITS

_CONSTANTS = {"pi": "pi", "infty": "inf", "varnothing": "empty"}
_SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C"}
_BIG = {"sum": "sum", "prod": "prod", "int": "int", "lim": "lim"}
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc"}
_INVERSE |= {name: "arc" + name for name in ("sinh", "cosh", "tanh", "coth", "sech", "csch")}
_ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asec": "arcsec", "acsc": "arccsc", "acot": "arccot",
    "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh",
}  # fmt: skip
_VECTORS = {"uniti": "unit i", "unitj": "unit j", "unitk": "unit k"}
_OF_SEVERAL = frozenset({"max", "min", "gcd", "lcm"})
_ACCENTS = frozenset({"bar", "vec", "hat", "overrightarrow", "tilde"})
_FIGURES = frozenset({"angle", "triangle", "partial", "nabla"})
_PREFIX_COMMANDS = (
    FUNCTIONS
    | {"frac", "binom", "lbar", "lfloor", "lceil", "langle", "ldots", "cis"}
    | _VECTORS.keys()
    | _ACCENTS
    | _FIGURES
    | _CONSTANTS.keys()
    | _BIG.keys()
)


class AtomParser(BracketParser):
    """Everything that binds tighter than a product."""

    def atom(self) -> Node:
        self.enter()
        kind, value, _ = self.next()
        if kind == "num":
            node = self.number(value)
        elif kind == "sym":
            node = self.symbol(value)
        elif kind == "cmd":
            node = self.command(value)
        elif kind == "op":
            node = self.bracket(value)
        elif kind == "word" and _is_product(value):
            self.tokens[self.position - 1 : self.position] = [("sym", letter, False) for letter in value]
            node = self.symbol(value[0])
        elif kind == "text" and _number_text(value):
            node = self.number(value)
        elif kind == "begin":
            node = self.environment(value)
        elif kind == "mathbb" and value in _SETS:
            node = ("const", _SETS[value])
        else:
            raise MathTextError(f"unexpected {value or 'end'!r}")
        self.depth -= 1
        return node

    def starts_factor(self) -> bool:
        """Whether the next token can begin a factor written right after another one."""
        kind, value, _ = self.peek()
        if self.integrals and self.differential():
            return False
        if kind == "op":
            return value in ("(", "[", "{", "\\{") or (value == "|" and not self.bars)
        if kind == "word":
            return _is_product(value) and self.letters_ahead(value)
        if kind == "text":
            return _number_text(value)
        return kind in ("num", "sym", "begin", "mathbb") or (kind == "cmd" and value in _PREFIX_COMMANDS)

    def letters_ahead(self, word: str) -> bool:
        """Whether a short run of letters is a product (`2xy`) and not a unit after a value (`5 cm`)."""
        previous = self.tokens[self.position - 1] if self.position else END
        return (
            word not in SHORT_UNITS or not (previous[0] in ("num", "op") or previous[1] == "pi") or previous[1] == "("
        )

    def differential(self) -> bool:
        """Whether `dx` comes next."""
        kind, value, _ = self.peek()
        return (kind == "word" and len(value) == 2 and value[0] == "d") or (
            (kind, value) == ("sym", "d") and self.peek(1)[0] == "sym"
        )

    def power(self) -> Node:
        base = self.postfix(self.atom())
        if self.peek()[1] != "^" or self.at_end():
            return base
        self.position += 1
        if self.degree_sign():
            return self.postfix(("fn", "degree", (base,)))
        node: Node = ("pow", base, self.exponent())
        return self.postfix(node)

    def degree_sign(self) -> bool:
        """Skips `\\circ` or `{\\circ}` after `^`; says whether it was there."""
        braced = self.peek()[1] == "{" and self.peek(1)[1] == "circ" and self.peek(2)[1] == "}"
        if not braced and self.peek()[1] != "circ":
            return False
        self.position += 3 if braced else 1
        return True

    def postfix(self, node: Node) -> Node:
        count = 0
        while not self.at_end():
            count += 1
            if count > MAX_DEPTH:
                raise TooLargeError(f"more than {MAX_DEPTH} signs after one value")
            kind, value, _ = self.peek()
            if kind == "op" and value == "!":
                double = self.peek(1)[:2] == ("op", "!")
                self.position += 2 if double else 1
                node = ("fn", "factorial2" if double else "factorial", (node,))
            elif kind == "op" and value == "%":
                self.position += 1
                node = ("fn", "percent", (node,))
            elif (kind, value) == ("cmd", "circ"):
                self.position += 1
                node = ("fn", "degree", (node,))
            else:
                break
        return node

    def exponent(self) -> Node:
        """What follows `^`: a signed power, right-associative; a brace group is one atom."""
        self.enter()
        sign = 1
        while self.peek()[:2] in (("op", "-"), ("op", "+")):
            sign = -sign if self.next()[1] == "-" else sign
        node = self.power()
        self.depth -= 1
        return node if sign > 0 else ("mul", (MINUS_ONE, node))

    def command(self, name: str) -> Node:
        if name in _CONSTANTS:
            return ("const", _CONSTANTS[name])
        if name in _VECTORS:
            return ("sym", _VECTORS[name])
        if name == "frac":
            top, bottom = self.short_argument(), self.short_argument()
            return ("mul", (top, ("pow", bottom, MINUS_ONE)))
        if name == "binom":
            return ("fn", "binom", (self.short_argument(), self.short_argument()))
        if name == "sqrt":
            return self.root()
        if name in _BIG:
            return self.big_operator(_BIG[name])
        if name == "ldots":
            return ("sym", "...")
        if name in ("lbar", "lfloor", "lceil"):
            return self.enclosed(name)
        if name == "langle":
            return self.bracket_items("(", ("rangle",))
        if name in _ACCENTS:
            return self.accented("vec" if name == "overrightarrow" else name)
        if name in _FIGURES:
            return self.figure(name)
        if name == "cis":
            angle = self.arguments()
            return ("add", (("fn", "cos", angle), ("mul", (("const", "i"), ("fn", "sin", angle)))))
        if name in FUNCTIONS or name in _ALIASES.values():
            return self.function(_ALIASES.get(name, name))
        raise MathTextError(f"command '\\{name}' is not known in an answer")

    def figure(self, name: str) -> Node:
        """`\\angle ABC` and `\\triangle ABC`: one name, whose letters do not commute."""
        letters = ""
        while self.peek()[0] in ("sym", "word"):
            letters += self.next()[1]
        return ("sym", f"{name} {letters}")

    def accented(self, name: str) -> Node:
        """`\\bar{x}`, `\\vec{AB}`; the two points of an arrow do not commute."""
        argument = self.short_argument()
        if name == "vec" and argument[0] == "mul" and all(p[0] == "sym" and p[1][:1].isupper() for p in argument[1]):
            argument = ("sym", "".join(part[1] for part in argument[1]))
        return ("fn", "call " + name, (argument,))

    def root(self) -> Node:
        index: Node = ("num", Fraction(2), None)
        if self.peek()[:2] == ("op", "["):
            self.position += 1
            index = self.sum()
            self.expect("]")
        whole = self.peek()[0] == "num" or self.peek()[:2] == ("op", "(")  # \sqrt12 is meant as \sqrt{12}
        argument = self.atom() if whole else self.short_argument()
        if index[0] == "num" and index[1].denominator == 1 and index[1] % 2 and index[1] > 0:
            return ("fn", "oddroot", (argument, index))
        return ("pow", argument, ("pow", index, MINUS_ONE))

    def function(self, name: str) -> Node:
        """A named function with its base, its power (`\\sin^2 x`) and its argument, bracketed or not."""
        base: tuple[Node, ...] = ()
        exponent: Node | None = None
        while self.peek()[1] in ("_", "^") and self.peek()[0] == "op":
            if self.next()[1] == "_":
                base = (self.short_argument(),)
            else:
                exponent = self.exponent()
        if exponent == ("num", Fraction(-1), None) or exponent == ("mul", (MINUS_ONE, ("num", Fraction(1), None))):
            name, exponent = _INVERSE.get(name, name), None
        if name == "cbrt":
            return ("fn", "oddroot", (self.atom(), ("num", Fraction(3), None)))
        arguments = self.arguments()
        if name in _OF_SEVERAL:
            arguments = arguments[0][3] if len(arguments) == 1 and arguments[0][0] == "seq" else arguments
            if len(arguments) < 2:
                raise MathTextError(f"{name} of one value")
        node: Node = ("fn", name, arguments + base)
        return node if exponent is None else ("pow", node, exponent)

    def arguments(self) -> tuple[Node, ...]:
        """`(a, b)`, `{a}`, or an unbracketed run of factors: `\\sin 2x` reads `\\sin(2x)`."""
        if self.peek()[0] == "op" and self.peek()[1] in ("(", "[", "{"):
            open_bracket = self.next()[1]
            inner = self.comma_list()
            self.expect({"(": ")", "[": "]", "{": "}"}[open_bracket])
            return inner[1] if inner[0] == "list" else (inner,)
        factors = [self.power()]
        while self.starts_factor():
            kind, value, _ = self.peek()
            if (kind == "op" and value in ("(", "[")) or (kind == "cmd" and value in FUNCTIONS and value != "sqrt"):
                break
            factors.append(self.power())
        return (factors[0] if len(factors) == 1 else ("mul", tuple(factors)),)


def _is_product(word: str) -> bool:
    """Whether a run of letters reads as a product of variables."""
    return len(word) <= 3 and (word.isupper() or word.lower() not in ENGLISH)


def _number_text(value: str) -> bool:
    tokens = tokenize(value) if value[:1].isdigit() and len(value) < 40 else []
    return len(tokens) == 1 and tokens[0][0] == "num"
