"""What the sandbox tests share: a trivial program and a look at the processes below a pid."""

import os

TRIVIAL = "def f(x):\n    return x + 1\n"


def descendants_of(pid):
    """Pids of all live processes below this one."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found, stack = [], [pid]
    while stack:
        below = children.get(stack.pop(), [])
        found += below
        stack += below
    return found
