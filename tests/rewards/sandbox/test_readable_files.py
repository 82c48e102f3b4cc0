"""What a program may read of what is installed: the standard library, named packages, and nothing else."""

import os
import sys
import sysconfig

import pytest

from rewards.sandbox import Pool, SandboxUnavailable, configure, run_tests
from rewards.sandbox.readable_files import covered, find_packages, split
from rl.config.read import load_config
from rollout.errors import UserError

READING = """
import os, sys
def files(folder):
    for top, below, names in os.walk(folder):
        for name in names: yield os.path.join(top, name)
def readable(folder, most=2000):
    got = []
    for path, _ in zip(files(folder), range(most)):
        try:
            with open(path, "rb") as file: file.read(1)
            got.append(path)
        except OSError: pass
    return got
def f(kind): return [p for d in sys.path for p in readable(os.path.join(d, kind))]
def g(folder): return readable(folder, 50)
"""


@pytest.mark.parametrize("kind", ["site-packages", "dist-packages", "test"])
def test_a_program_reads_no_installed_package_and_no_test_of_the_library(kind, answer):
    assert answer(READING, kind, expected=[]).passed == [True]


def test_a_program_reads_nothing_else_that_lies_among_the_system_s_libraries(pool):
    elsewhere = ["/usr/lib/python3/dist-packages", "/usr/lib/node_modules", "/usr/lib/git-core", "/usr/share/doc"]
    tests = [{"call": "g", "args": [folder], "expected": []} for folder in elsewhere]
    assert run_tests(READING, tests, pool=pool).passed == [True] * 4


def test_the_whole_standard_library_is_there(answer):
    code = """
import asyncio, bz2, ctypes, curses, decimal, email.message, hashlib, http.client, lzma, multiprocessing, sqlite3, ssl
import unittest.mock, uuid, xml.dom.minidom, zlib, zoneinfo, encodings.cp1252, concurrent.futures, importlib.resources
def f(): return str(sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()[0])
"""
    assert answer(code, expected="2").passed == [True]


@pytest.fixture(scope="module")
def numpy_pool(shared_pool):
    pool = Pool(workers=1, tier=shared_pool.tier, packages=["numpy"])
    try:
        pool.tier  # noqa: B018 - starts the worker
    except SandboxUnavailable as error:
        if "cannot reach the package" in str(error):
            pytest.skip(str(error))
        raise
    yield pool
    pool.close()


def test_a_named_package_can_be_imported_and_others_and_its_tests_cannot(numpy_pool):
    code = """
def f(x):
    import numpy as np
    return np.arange(3) * np.int64(x) + np.linalg.norm([3.0, 4.0])
def g(name):
    try: __import__(name)
    except ImportError: return "missing"
    except OSError: return "missing"
    return "there"
"""
    tests = [
        {"call": "f", "args": [2], "expected": [5.0, 7.0, 9.0]},
        {"assert": "assert f(2)[1] == 7.0 and f(2).sum() == 21"},
        *[
            {"call": "g", "args": [name], "expected": "missing"}
            for name in ("pytest", "numpy.linalg.tests.test_linalg", "torch")
        ],
    ]
    assert run_tests(code, tests, pool=numpy_pool).passed == [True] * 5


def test_scalars_and_arrays_of_numpy_are_numbers_and_lists(numpy_pool):
    code = (
        "import numpy as np\ndef f(x): return [np.float64(2.5), np.int32(3), np.bool_(True), np.eye(2), np.array(7)][x]"
    )
    values = [2.5, 3, True, [[1, 0], [0, 1]], 7]
    calls = [{"call": "f", "args": [i], "expected": value} for i, value in enumerate(values)]
    asserts = [{"assert": f"assert f({i}) == {values[i]}"} for i in (0, 1, 2, 4)]
    assert run_tests(code, [*calls, *asserts], pool=numpy_pool).passed == [True] * 9


def test_a_test_text_may_use_a_named_package_too(numpy_pool):
    test = {"assert": "import numpy as np\nnp.testing.assert_allclose(np.array(f(2)), [1.0, 2.0])"}
    assert run_tests("def f(n): return [1.0, 2.0]", [test], pool=numpy_pool).passed == [True]
    assert run_tests("def f(n): return [1.0, 2.1]", [test], pool=numpy_pool).passed == [False]


def test_a_package_is_found_among_the_installed_ones_of_the_interpreter_itself(shared_pool):
    """As in a container without a virtual environment; `pip` is there in every interpreter."""
    paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_prefix})
    folder = os.path.join(paths["purelib"], "pip")
    if not os.path.isdir(folder):
        pytest.skip("this interpreter has no pip of its own")
    pool = Pool(workers=1, tier=shared_pool.tier)
    pool._packages = [folder]
    code = """
import os
def where(): return __import__("pip").__file__
def beside(folder): return os.listdir(folder)
def get(name):
    try: return str(__import__(name))
    except ImportError: return "missing"
"""
    tests = [
        {"call": "where", "expected": folder + "/__init__.py"},
        {"call": "get", "args": ["setuptools"], "expected": "missing"},
        {"call": "beside", "args": [paths["purelib"]], "expected": ["pip"]},
    ]
    try:
        result = run_tests(code, tests, pool=pool)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    pool.close()
    assert result.passed == [True, True, shared_pool.tier == 1]  # tier 2 can list names


@pytest.mark.parametrize("name", ["no_such_package", "sys", "numpy.linalg", "../x", ""])
def test_a_package_that_is_not_installed_is_refused_before_a_program_runs(name):
    with pytest.raises(UserError, match=r"sandbox\.packages names .*, which is not an installed package"):
        configure(packages=[name])


def test_folders_of_tests_and_data_are_found_and_taken_apart(tmp_path):
    for name in ("a/tests/x.py", "a/b/data/answers.json", "a/b/code.py", "a/utils/data/__init__.py", "c/d.py", "e.py"):
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    top = str(tmp_path / "p")
    whole, listed = split(top)
    assert sorted(os.path.relpath(p, top) for p in covered(top)) == ["a/b/data", "a/tests"]
    assert sorted(os.path.relpath(p, top) for p in whole) == ["a/b/code.py", "a/utils", "c", "e.py"]
    assert sorted(os.path.relpath(p, top) for p in listed) == [".", "a", "a/b"]


def test_the_pages_of_a_package_s_shared_libraries_come_with_it():
    names = [os.path.basename(path) for path in find_packages(["numpy", "typing_extensions"])]
    assert names[0] == "numpy"
    assert names[-1] == "typing_extensions.py"
    assert set(names) <= {"numpy", "numpy.libs", "typing_extensions.py"}


def test_the_environment_of_a_program_is_its_own(answer):
    code = "import os\ndef f(): return sorted(os.environ)"
    assert answer(code, expected=["MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]).passed == [True]


def test_a_configuration_names_packages():
    assert load_config("configs/demo.yaml", ["sandbox.packages=[numpy]"]).sandbox.packages == ["numpy"]
