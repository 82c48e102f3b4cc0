"""The field in docs/algorithms.md: its tables are those of the committed runs."""

from __future__ import annotations

import subprocess
import sys

from small_runs import ROOT


def test_every_row_of_the_two_tables_stands_in_the_document():
    command = [sys.executable, str(ROOT / "benchmarks" / "field_quotes.py")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [line for line in printed.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 1 + 6 + 5 + 1 + 3
    document = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in document] == []
