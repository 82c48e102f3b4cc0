"""Write RUN_DIR/report.html and RUN_DIR/plots/*.png from what a run recorded.

python scripts/report.py runs/demo
"""

import argparse
import sys

from rollout.errors import UserError


def main() -> None:
    """A folder without a run is one line on stderr and exit code 2."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run_dir", metavar="RUN_DIR", help="a run folder, such as runs/demo")
    options = arguments.parse_args()
    from rl.reports.report import write_report

    try:
        print(f"written: {write_report(options.run_dir)}")
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
