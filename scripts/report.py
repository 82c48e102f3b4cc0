"""Write RUN_DIR/report.html and RUN_DIR/plots/*.png from what a run recorded, or compare several runs on one page.

python scripts/report.py runs/demo
python scripts/report.py --compare runs/demo runs/demo-seed1 [--out compare.html]
"""

import argparse
import sys
from pathlib import Path

from rollout.errors import UserError


def main() -> None:
    """A folder without a run is one line on stderr and exit code 2."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", type=Path, help="a run folder, such as runs/demo")
    arguments.add_argument("--compare", action="store_true", help="all runs on one page")
    arguments.add_argument("--out", metavar="FILE", type=Path, default=Path("compare.html"), help="that page")
    options = arguments.parse_args()
    from rl.reports.compare import write_comparison
    from rl.reports.report import write_report

    try:
        if options.compare:
            print(f"written: {write_comparison(options.run_dirs, options.out)}")
            return
        for folder in options.run_dirs:
            print(f"written: {write_report(folder)}")
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
