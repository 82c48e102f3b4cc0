"""What `--record` writes of a test run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
import pytest

def test_passes(): pass

def test_fails(): assert False

@pytest.mark.skip
def test_skipped(): pass

@pytest.fixture
def bad(): raise OSError

def test_breaks(bad): pass
"""


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "/dev/null", "--rootdir", str(folder)]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.medium
def test_a_record_has_every_outcome_and_a_run_without_tests_keeps_the_last_one(tmp_path):
    tests, out = tmp_path / "test_few.py", tmp_path / "results" / "few.json"
    tests.write_text(TESTS)
    assert pytest_run(tmp_path, str(tests), "--record", str(out)).returncode == 1
    result = json.loads(out.read_text())
    assert result["counts"] == {"failed": 2, "passed": 1, "skipped": 1}
    assert {name.partition("::")[2]: outcome for name, (outcome, _) in result["tests"].items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_breaks": "failed",
    }
    assert pytest_run(tmp_path, str(tests), "--record", str(out), "-k", "nothing").returncode == 5
    assert json.loads(out.read_text()) == result
