"""The first code of a fork server: descriptors, preloaded modules, set-up at a tier, warm-up, then serving.

`worker.py` execs an interpreter that calls `main`. Not covered: what the server does (`server.py`).
"""

from __future__ import annotations

import _socket
import builtins
import gc
import json
import os
import random
import sys
from collections.abc import Sequence

from rewards.sandbox import checker, program, readable_files, wire
from rewards.sandbox import syscalls as sc
from rewards.sandbox.server import Server

_FIRST_FREE = 10  # received descriptors land here or above, so that a child's 0 to 4 can be set in any order
_CONTROL = 200
_WARM_UP_ROUNDS, _TRIAL_BYTES = 20, 1 << 16
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # a program has one processor
_PRELOADED = """
    abc array atexit bisect cmath collections copy datetime functools heapq itertools json math operator random re
    string time types typing
"""


def _warm_up() -> None:
    """Run what every child runs, so that it is specialised and cached before the forks and not after each; then take
    our modules out of a program's reach."""
    requests = (["load", "def f(x):\n    return [x]"], ["names", ["f"]], ["call", "f", ["l", 1], ["d"]], ["end"])
    frames = b"".join(wire.pack(request) for request in requests)
    ours, theirs = _socket.socketpair()
    main_module = sys.modules["__main__"]
    for _ in range(_WARM_UP_ROUNDS):
        os.dup2(theirs.fileno(), program.CHANNEL)
        ours.send(frames)
        program.serve(_TRIAL_BYTES)
        ours.recv(_TRIAL_BYTES)
        checker.names_wanted("assert f(2) == 3")
        ours.send(wire.pack("x = input\nprint(end='')"))
        program.run_script(_TRIAL_BYTES)  # closes the channel
    os.dup2(_FIRST_FREE - 1, program.CHANNEL)  # where /dev/null still is
    sys.modules["__main__"] = main_module
    for name in [m for m in sys.modules if m.split(".")[0] == "rewards"]:
        del sys.modules[name]
    del sys.modules["solution"]


def main(control_fd: int, tier: int, scratch: str, packages: Sequence[str]) -> None:
    """Set up and serve. A set-up that fails is reported to the parent as the reason."""
    os.dup2(control_fd, _CONTROL, inheritable=False)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(_FIRST_FREE):
        os.dup2(null, fd)
    os.closerange(_FIRST_FREE, _CONTROL)
    control = _socket.socket(fileno=_CONTROL)
    os.environ.clear()
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    sys.meta_path.append(readable_files.Packages(packages))
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as the `site` module does, which is not loaded
    sc.limit_malloc_arenas()
    for name in _PRELOADED.split():
        __import__(name)
    try:
        server = Server(control, tier, scratch, packages)
    except Exception as error:
        control.sendall(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        return
    _warm_up()
    random.seed(0)  # the same program must get the same verdict
    gc.collect()
    gc.freeze()
    sc.return_free_memory()
    server.run()
