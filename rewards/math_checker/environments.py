r"""Environments of the answer parser: matrices, aligned equations, systems, functions given piece by piece.

A row is cut at `\\`, a cell at `&`, and each is read by a parser of its own; `rewards.math_checker.parse` documents the
nodes. A function given piece by piece is `("cases", ((value, condition), …))`; the condition of "otherwise" is
`("const", "otherwise")`.
"""

from __future__ import annotations

from rewards.math_checker.cursor import Cursor, Node
from rewards.math_checker.lexer import MathTextError, Token, TooLargeError, tokenize

_MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array", "vmatrix", "Vmatrix"})
_STATEMENTS = frozenset(
    {"aligned", "align", "split", "gathered", "gather", "equation", "eqnarray", "alignedat", "multline"}
)
_CASES = frozenset({"cases", "dcases", "rcases"})
_BREAK = ("op", "\\\\")
_SIGNS = frozenset({"=", "<", ">", "leq", "geq", "neq", "approx", "in", "equiv"})
_IF = frozenset({"if", "for", "when", "where", "provided", "provided that", "as long as", "for all", "whenever"})
_OTHERWISE = frozenset({"otherwise", "else", "elsewhere", "for all other", "all other"})
_MAX_CELLS = 1000

Cell = list[Token]


class EnvironmentParser(Cursor):
    """What stands between `\\begin` and `\\end`."""

    def environment(self, name: str) -> Node:
        """The node of an environment whose `\\begin` has been read."""
        plain = name.rstrip("*")
        if plain in ("array", "alignedat") and self.peek()[1] == "{":
            while not self.at_end() and self.next()[1] != "}":
                continue
        rows = self.rows(name)
        if plain in _CASES:
            return self.cases(rows)
        if plain in _STATEMENTS or (plain == "array" and any(_has_sign(cell) for row in rows for cell in row)):
            return self.statements(rows)
        if plain not in _MATRICES:
            raise MathTextError(f"environment {name!r} is not known in an answer")
        return self.matrix(plain, rows)

    def rows(self, name: str) -> list[list[Cell]]:
        """The tokens of every cell, up to the end of the environment."""
        rows: list[list[Cell]] = [[[]]]
        depth = count = 0
        while depth or self.peek()[0] != "end":
            if self.at_end():
                raise MathTextError(f"environment {name!r} is never closed")
            token = self.next()
            depth += {"begin": 1, "end": -1}.get(token[0], 0)
            if token[:2] == _BREAK and not depth:
                rows.append([[]])
            elif token[:2] == ("op", "&") and not depth:
                rows[-1].append([])
            elif token[1] != "hline":
                rows[-1][-1].append(token)
            count += 1
        self.position += 1
        return [row for row in rows if any(row)]

    def sub(self, tokens: Cell) -> Node:
        """The node of some tokens by themselves, one level deeper."""
        parser = type(self)(tokens)
        parser.depth = self.depth
        parser.enter()
        parser.bound = self.bound
        return parser.answer()

    def matrix(self, name: str, rows: list[list[Cell]]) -> Node:
        cells = [[self.sub(cell) for cell in row if cell] for row in rows]
        if not cells or len({len(row) for row in cells}) != 1:
            raise MathTextError("a matrix has rows of unequal length")
        if sum(map(len, cells)) > _MAX_CELLS:
            raise TooLargeError(f"matrix has more than {_MAX_CELLS} entries")
        if any(cell[0] in ("rel", "list") for row in cells for cell in row):
            raise MathTextError("a matrix has a statement in it")
        node: Node = ("matrix", tuple(map(tuple, cells)))
        return ("fn", "det", (node,)) if name.lower() == "vmatrix" else node

    def statements(self, rows: list[list[Cell]]) -> Node:
        """Aligned lines as a list; one that begins with a relation goes on with the line before."""
        lines: list[Cell] = []
        for row in rows:
            line = [token for cell in row for token in cell]
            if lines and line and line[0][1] in _SIGNS:
                lines[-1].extend(line)
            elif line:
                lines.append(line)
        nodes = [self.sub(line) for line in lines]
        if not nodes:
            raise MathTextError("an environment is empty")
        return nodes[0] if len(nodes) == 1 else ("list", tuple(nodes))

    def cases(self, rows: list[list[Cell]]) -> Node:
        """A function piece by piece, where each row has a value and a condition; else a system of statements."""
        pieces = [self.piece(row) for row in rows]
        whole = [piece for piece in pieces if piece is not None]
        if pieces and len(whole) == len(pieces):
            return ("cases", tuple(whole))
        if whole and len(whole) == len(pieces) - 1 and pieces[-1] is None and len(rows[-1]) == 1:
            raise MathTextError("a piece has no condition")
        return self.statements(rows)

    def piece(self, row: list[Cell]) -> tuple[Node, Node] | None:
        """The value and the condition of a row, which `&`, a comma or "if" separates."""
        row = [cell for cell in row if cell]
        if len(row) == 1:
            row = _split(row[0])
        if len(row) != 2 or _has_sign(row[0]):
            return None
        value = row[0][:-1] if row[0][-1][1] in (",", ";") else row[0]
        return (self.sub(value), self.condition(row[1])) if value else None

    def condition(self, tokens: Cell) -> Node:
        """A condition without its "if"; what is no mathematics is kept as words."""
        opened: Cell = []
        for token in tokens:
            words = token[1].strip(" ,.:;").lower()
            if token[0] in ("text", "word") and words in _IF | {""}:
                continue
            first, _, rest = token[1].strip(" ,").partition(" ")
            inside = token[0] == "text" and first.lower() in _IF
            opened.extend(tokenize(rest) if inside else [token])
        while opened and opened[0][1] in (",", ";", ":"):
            opened = opened[1:]
        while opened and opened[-1][1] in (",", ";", "."):
            opened = opened[:-1]
        words = " ".join(token[1].strip(" ,.").lower() for token in opened)
        if words in _OTHERWISE:
            return ("const", "otherwise")
        if not opened:
            raise MathTextError("a piece has no condition")
        try:
            return self.sub(opened)
        except TooLargeError:
            raise
        except MathTextError:
            return ("text", words)


def _has_sign(cell: Cell) -> bool:
    return any(token[1] in _SIGNS and token[0] in ("op", "cmd") for token in cell)


def _split(cell: Cell) -> list[Cell]:
    """A row without `&` at its first comma or "if" outside brackets."""
    depth = 0
    for index, (kind, value, _) in enumerate(cell):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(value, 0) if kind == "op" else 0
        first = value.strip(" ,").partition(" ")[0].lower()
        words = kind in ("text", "word") and (first in _IF or value.strip(" ,.").lower() in _OTHERWISE)
        if depth == 0 and index and (words or (kind == "op" and value == ",")):
            return [cell[:index], cell[index:]]
    return [cell]
