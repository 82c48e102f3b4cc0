"""Watch a run in the terminal, from RUN_DIR/metrics.jsonl alone.

python scripts/watch.py runs/demo            # Ctrl-C ends the watching, not the run
python scripts/watch.py runs/demo --once
"""

import argparse
import sys
import time
from pathlib import Path

from rollout.errors import UserError


def main() -> None:
    """A folder without metrics is one line on stderr and exit code 2."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="a run folder, such as runs/demo")
    arguments.add_argument("--once", action="store_true", help="show it once and exit")
    arguments.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between looks")
    options = arguments.parse_args()
    from rich.console import Console
    from rich.live import Live

    from rl.reports.watch import view

    try:
        if options.once:
            Console().print(view(options.run_dir))
            return
        with Live(view(options.run_dir), refresh_per_second=4) as live:
            while True:
                time.sleep(max(options.every, 0.2))
                live.update(view(options.run_dir))
    except KeyboardInterrupt:
        return
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
