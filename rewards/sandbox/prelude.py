"""Names that a program may use without importing them, as the judges of LeetCode and LiveCodeBench provide them:
`List`, `defaultdict`, `heapq`, `inf`, `gcd` and their like.

They are put beside the builtins of the program's own process, and only those that its code mentions, so that what the
program itself defines wins and a test never takes one of them for the program's. Not covered: `ListNode` and other
classes that an exercise defines.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from types import CodeType
from typing import Any

# Later modules win, as in a list of star imports; the modules themselves win over what they hold.
_MODULES = """
    string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json
    typing
"""
_RECURSION = 50_000


def collect() -> dict[str, Any]:
    """Every name that is provided; called once, before the programs are forked."""
    names: dict[str, Any] = {}
    modules = {name: importlib.import_module(name) for name in _MODULES.split()}
    for module in modules.values():
        public = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        names |= {name: getattr(module, name) for name in public if hasattr(module, name)}
    names |= modules
    return {name: value for name, value in names.items() if name not in vars(builtins)}


def provide(names: dict[str, Any], code: CodeType) -> None:
    """Make the names that this code mentions known to it, and allow the recursion that those judges allow."""
    sys.setrecursionlimit(_RECURSION)
    stack = [code]
    while stack:
        part = stack.pop()
        vars(builtins).update({name: names[name] for name in part.co_names if name in names})
        stack += [constant for constant in part.co_consts if type(constant) is CodeType]
