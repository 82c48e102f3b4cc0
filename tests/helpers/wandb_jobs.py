"""A run log in a process of its own, with W&B in trouble."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rl.config.read import parse_config
from rl.files import wandb_run
from rl.files.run_log import RunLog

KEY = "a1b2c3d4e5" * 4


def log_steps(folder: Path, mode: str, environment: dict[str, str], steps: int, trouble: int, limit_s: int) -> None:
    """Log so many steps; `trouble` is a signal that W&B's own process gets after the first, 0 for none."""
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.pop("WANDB_MODE", None)
    os.environ.pop("WANDB_SERVICE", None)  # what an earlier test started in the test's own process
    os.environ.update(environment)
    wandb_run.START_S = wandb_run.FINISH_S = limit_s
    log = RunLog(parse_config({"run_dir": str(folder / "run"), "wandb": {"mode": mode}}), 0)
    log.log(1, {"loss": 1.0})
    if trouble:
        os.kill(core_process(), trouble)
    for step in range(2, steps + 1):
        log.log(step, {"loss": 1.0 / step, **{f"metric{i}": 0.5 for i in range(20)}})
    log.finish()


def core_process() -> int:
    """The process that W&B has started for this one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                name, _, rest = (entry / "stat").read_text().rpartition(")") if entry.name.isdigit() else ("", "", "")
                if "wandb-core" in name and int(rest.split()[1]) == os.getpid():
                    time.sleep(1)  # it has begun to record
                    return int(entry.name)
        time.sleep(0.05)
    raise RuntimeError("no wandb-core")


@contextlib.contextmanager
def server(kind: str) -> Iterator[str]:
    """Where W&B's server should be: `gone` listens no more, `slow` never answers, `full` answers 507."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if kind == "slow":
                time.sleep(600)
            self.send_response(507)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            """Quiet."""

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    if kind == "gone":
        serving.shutdown()
        serving.server_close()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        if kind != "gone":
            serving.shutdown()
            serving.server_close()


STOP, KILL = int(signal.SIGSTOP), int(signal.SIGKILL)
