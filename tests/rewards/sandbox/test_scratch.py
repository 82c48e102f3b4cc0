"""Files of a program: limits that names, depths, modes and removals do not escape, wiping that nothing slows or breaks,
and locks that nobody outside feels."""

import fcntl
import os
import subprocess
import sys
import time

import pytest

from rewards.sandbox import Limits, run_tests
from rewards.sandbox.reaper import wipe

DONE = [{"call": "f", "args": [0], "expected": "done"}]
LITTLE = Limits(files=40, files_mb=4, wall_s=8.0, cpu_s=4.0)

HIDING = {
    "a folder that may not be read": """
    os.mkdir("closed", 0o300)
    for i in range(30):
        with open(f"closed/{i}", "wb") as file: file.write(b"x" * 1_000_000)""",
    "a path too long to name": """
    for _ in range(20):
        os.mkdir("n" * 250); os.chdir("n" * 250)
    for i in range(15):
        with open(str(i), "wb") as file: file.write(b"x" * 1_000_000)""",
    "files that are removed and still open": """
    kept = []
    for i in range(30):
        kept.append(open("gone", "wb")); os.remove("gone")
        kept[-1].write(b"x" * 1_000_000); kept[-1].flush()""",
    "files that are removed, closed and still mapped": """
    kept = []
    for i in range(30):
        with open("gone", "w+b") as file:
            file.write(b"x" * 1_000_000); file.flush()
            kept.append(mmap.mmap(file.fileno(), 4096))
        os.remove("gone")""",
    "very many empty files": """
    for i in range(100_000): open(f"empty{i}", "wb").close()""",
    "very many folders in closed folders": """
    for i in range(5_000):
        os.mkdir("c", 0o300); os.chdir("c")""",
}


@pytest.mark.medium
@pytest.mark.parametrize("how", HIDING)
def test_a_program_cannot_hold_more_than_its_share_in(how, pool):
    code = f"import mmap, os, time\ndef f(x):{HIDING[how]}\n    time.sleep(0.3)\n    return 'done'"
    result = run_tests(code, DONE, LITTLE, pool)
    assert result.passed == [False]
    assert result.status in ("disk", "error")
    assert result.wall_s < 8.0


USING = """
import mmap, os, sqlite3, tempfile
def f(x):
    os.makedirs("a/b/c")
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1_000_000); file.flush()
        with mmap.mmap(file.fileno(), 4096) as view: view[:1]
    db = sqlite3.connect("a/b/data.db")
    db.execute("create table t (x)"); db.execute("insert into t values (1)"); db.commit()
    return "done" if db.execute("select x from t").fetchone() == (1,) else "lost"
"""


def test_a_program_that_uses_its_share_is_not_disturbed(pool):
    assert run_tests(USING, DONE, LITTLE, pool).passed == [True]


NAMES = """
import os
def f(x):
    for i in range(6):
        name = b".lifted by the sandbox %d" % (i + 1)
        os.makedirs(os.path.join(b"deep", name, name))
        open(os.path.join(b"deep", name, b"file"), "w").close()
        os.makedirs(name)
        open(os.path.join(name, b"file"), "w").close()
    os.makedirs(b"\\xff\\xfe\\n\\t" + b"z" * 200)
    for name in (b"-rf", b"*", b"\\xf0\\x9f\\x98\\x80", b"..." , b"\\x1b[31m"):
        open(name, "w").close()
    os.symlink("/", "way"); os.symlink("loop", "loop"); os.mkfifo
    return "done"
"""


def test_no_name_that_a_program_chooses_breaks_the_wiping(pool):
    limits = Limits(files=100)
    with pool.worker() as worker:
        pid = worker.pid
    for _ in range(2):
        assert run_tests(NAMES, DONE, limits, pool).passed == [True]
    with pool.worker() as worker:
        assert worker.pid == pid


def test_wiping_takes_names_modes_and_depths_of_every_kind(tmp_path):
    top = tmp_path / "top"
    (top / "a" / "b" / "a").mkdir(parents=True)
    (top / "a" / "file").write_text("x")
    deep = os.open(top, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, 0o700, dir_fd=deep)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    os.chmod(top / "a" / "b", 0o000)
    wipe(str(top))
    assert os.listdir(top) == []


LOCKING = """
import fcntl, os
def f(path):
    for how in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY):
        try: fd = os.open(path, how)
        except OSError: continue
        for lock in (lambda: fcntl.flock(fd, fcntl.LOCK_EX), lambda: fcntl.lockf(fd, fcntl.LOCK_SH)):
            try: lock()
            except OSError: pass
    return "done"
import time
def hold(path):
    f(path); time.sleep(1.5)
    return "done"
"""


@pytest.mark.medium
def test_a_program_cannot_lock_what_the_host_locks(pool):
    paths = [os.path.dirname(os.__file__), os.__file__]
    tests = [{"call": "hold", "args": [path], "expected": "done"} for path in paths]
    other = "import sys; from rewards.sandbox import *\nprint(run_tests(sys.argv[1], eval(sys.argv[2]), " \
        "pool=Pool(workers=1, tier=int(sys.argv[3]))).passed)"  # fmt: skip
    with pool.worker() as worker:
        command = [sys.executable, "-c", other, LOCKING, repr(tests), str(worker.tier)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        free, until = 0, time.monotonic() + 3.0
        while time.monotonic() < until:
            for path in paths:
                fd = os.open(path, os.O_RDONLY)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(fd)
                free += 1
            time.sleep(0.02)
        assert holder.stdout.read() == "[True, True]\n"
    assert free > 20
