"""Write RUN_DIR/report.html and RUN_DIR/plots/*.png from what a run recorded, or compare several runs on one page.

python scripts/report.py runs/demo [--open]        # --open: and show it in a browser
python scripts/report.py --compare runs/demo runs/demo-seed1 [--out compare.html]
"""

import os
import sys
import webbrowser
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from rl.cli import run_plain
from rollout.errors import UserError


def show(page: Path) -> None:
    """Open a page in the browser, or say where it is: on a machine without a screen there is none."""
    screen = sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    address = page.resolve().as_uri()
    if screen and webbrowser.open(address):
        print(f"opened: {address}")
    else:
        print(f"no browser on this machine: copy {page} to one that has, the page needs nothing else")


def main(options: Namespace) -> None:
    """Write the pages; with --open show them."""
    from rl.files.outputs import claim
    from rl.reports.compare import COMMAND, write_comparison
    from rl.reports.report import write_report

    if options.compare:
        out = options.out or Path("compare.html")
        claim(out, COMMAND)
        pages = [write_comparison(options.run_dirs, out)]
    elif options.out:
        raise UserError("--out is for --compare; a run's report is RUN_DIR/report.html. allowed: without --out")
    else:
        pages = [write_report(folder) for folder in options.run_dirs]
    for page in pages:
        print(f"written: {page}")
        if options.open:
            show(page)


if __name__ == "__main__":
    arguments = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    arguments.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", type=Path, help="a run folder, such as runs/demo")
    arguments.add_argument("--compare", action="store_true", help="all runs on one page")
    arguments.add_argument("--out", metavar="FILE", type=Path, help="that page (default: compare.html)")
    arguments.add_argument("--open", action="store_true", help="show the page in a browser")
    run_plain(main, arguments)
