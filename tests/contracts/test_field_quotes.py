"""The field in docs/algorithms.md: its tables are those of the committed runs."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys

import pytest
from small_runs import ROOT

from rollout.errors import UserError

RESULTS = ROOT / "benchmarks" / "results" / "field.json"
quotes = runpy.run_path(str(ROOT / "benchmarks" / "field_quotes.py"))
told = quotes["told"]


@pytest.mark.parametrize(("name", "algorithms"), [("field.json", 4), ("field_second.json", 6)])
def test_every_row_of_the_two_tables_stands_in_the_document(name, algorithms):
    command = [sys.executable, str(ROOT / "benchmarks" / "field_quotes.py"), "--file", str(RESULTS.with_name(name))]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [line for line in printed.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 1 + algorithms + 5 + 1 + 3
    document = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in document] == []


def damaged(change) -> str:
    """The committed results with something done to the first run."""
    found = json.loads(RESULTS.read_text())
    change(found["cells"][0])
    return json.dumps(found)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"cells": [',
        "[]",
        "{}",
        '{"cells": []}',
        '{"cells": "none"}',
        '{"cells": [1]}',
        damaged(lambda cell: cell.pop("utility")),
        damaged(lambda cell: cell.update(utility="high")),
        damaged(lambda cell: cell.update(utility=float("nan"))),
        damaged(lambda cell: cell.update(seed=[0])),
        damaged(lambda cell: cell.update(reach="soon")),
    ],
)
def test_a_damaged_file_of_results_is_told_in_one_line(tmp_path, content):
    file = tmp_path / "field.json"
    file.write_text(content)
    with pytest.raises(UserError, match=str(file)):
        told(file, "")


def test_a_run_that_failed_is_counted_and_left_out(tmp_path, capsys):
    file = tmp_path / "field.json"
    found = json.loads(RESULTS.read_text())
    failed = {"world": "thin", "seed": 99, "algorithm": "grpo", "seconds": 1.0, "error": "no memory"}
    file.write_text(json.dumps({**found, "cells": [*found["cells"], failed]}))
    assert told(file, "") == told(RESULTS, "")
    assert "1 of " in capsys.readouterr().out


def test_a_lead_is_read_where_as_much_is_taken_as_the_peer_takes_in_all():
    cells = []
    for world in quotes["WORLDS"]:
        shared = {"world": world, "seed": 0}
        curve = [[0.0, 0.5], [100.0, 0.6], [200.0, 0.75], [400.0, 0.9]]
        cells.append({**shared, "algorithm": "step_srpo", "curve": curve, "cpu_seconds": 20.0})
        cells.append({**shared, "algorithm": "grpo", "curve": [[0.0, 0.5], [390.0, 0.7]], "cpu_seconds": 10.0})
    assert quotes["lead"](cells, "grpo", "cpu_seconds") == pytest.approx(0.05)  # at 200 of 400 tokens: 0.75 - 0.7
    cells[1]["cpu_seconds"] = 30.0  # in one of the six worlds to the end: 0.9 - 0.7
    assert quotes["lead"](cells, "grpo", "cpu_seconds") == pytest.approx((5 * 0.05 + 0.2) / 6)
