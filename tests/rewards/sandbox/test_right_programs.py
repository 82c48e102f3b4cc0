"""Right programs that reach their answer in another way than the plainest. Each passes, and a wrong answer fails."""

import pytest

from rewards.sandbox import Limits, run_tests

INPUT, OUTPUT = "3\n1 2 3\n", "6\n"

SCRIPTS = {
    "print": "input()\nprint(sum(map(int, input().split())))",
    "the stream of old": "import sys\ninput()\nx = sum(map(int, input().split()))\nsys.stdout = None\n"
    "print(x, file=sys.__stdout__)",
    "a file on descriptor 1": "out = open(1, 'w')\ninput()\nprint(sum(map(int, input().split())), file=out)",
    "a file that is out of sight": "import os\ndef main():\n    out = os.fdopen(1, 'w')\n    input()\n"
    "    out.write(str(sum(map(int, input().split()))))\nmain()",
    "a binary file": "out = open(1, 'wb')\ninput()\nout.write(b'%d' % sum(map(int, input().split())))",
    "a descriptor": "import os\nos.write(1, b'%d' % sum(map(int, os.read(0, 1000).split()[1:])))",
    "a stream made anew": "import sys\nsys.stdout.reconfigure(line_buffering=True)\n"
    "sys.stdin.reconfigure(encoding='utf-8')\ninput()\nprint(sum(map(int, input().split())))",
    "a stream around a buffer": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n"
    "input()\nprint(sum(map(int, input().split())))",
    "a stream around a raw file": "import io, sys\nsys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)))\n"
    "sys.stdin.readline()\nsys.stdout.write(str(sum(map(int, sys.stdin.read().split()))))",
    "the buffer of the stream": "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split()[1:])))",
    "the path of the input": "print(sum(map(int, open('/dev/stdin').read().split()[1:])))",
    "the path of both": "import os\nfd = os.open('/dev/stdin', os.O_RDONLY)\n"
    "open('/dev/stdout', 'w').write(str(sum(map(int, os.read(fd, 99).split()[1:]))))",
    "a path object": "import pathlib\nprint(sum(map(int, pathlib.Path('/dev/stdin').read_text().split()[1:])))",
    "the size of the input": "import os\nprint(sum(map(int, os.read(0, os.fstat(0).st_size).split()[1:])))",
    "a map of the input": "import mmap\n"
    "print(sum(map(int, mmap.mmap(0, 0, access=mmap.ACCESS_READ).read().split()[1:])))",
    "lines of the input": "import sys\nlines = sys.stdin.readlines()\nprint(sum(map(int, lines[1].split())))",
    "fileinput": "import fileinput\nprint(sum(map(int, list(fileinput.input())[1].split())))",
    "the input read twice": "import sys\nfirst = sys.stdin.read()\nsys.stdin.seek(0)\n"
    "print(sum(map(int, sys.stdin.read().split()[1:])))",
    "a deep thread": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\ndef main():\n"
    "    input()\n    print(sum(map(int, input().split())))\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "an exit handler": "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))\ninput()",
    "names not imported": "n = int(stdin.readline())\n"
    "print(reduce(lambda a, b: a + b, map(int, stdin.readline().split())))",
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_passes_that_uses(name, pool):
    tests = [{"stdin": INPUT, "stdout": OUTPUT}, {"stdin": INPUT, "stdout": "7\n"}]
    result = run_tests(SCRIPTS[name], tests, pool=pool)
    assert (result.passed, result.status) == ([True, False], "ok")


def test_a_script_without_input_finds_the_end_of_it(pool):
    code = "import sys, os\nprint(len(sys.stdin.read()), os.fstat(0).st_size, repr(open('/dev/stdin').read()))"
    assert run_tests(code, [{"stdin": "", "stdout": "0 0 ''"}], pool=pool).passed == [True]


def test_the_input_cannot_be_changed_by_the_program(pool):
    code = """
import os
for attempt in (lambda: os.write(0, b"x"), lambda: os.ftruncate(0, 1), lambda: os.ftruncate(0, 9999)):
    try: attempt(); print("changed")
    except OSError: print("denied")
"""
    assert run_tests(code, [{"stdin": "abc", "stdout": "denied\n" * 3}], pool=pool).passed == [True]


SOLUTION = """
class Solution:
    def shortest(self, edges: List[List[int]], goal: Optional[int] = None) -> int:
        graph = defaultdict(list)
        for a, b, cost in edges:
            graph[a].append((b, cost))
        best, heap = defaultdict(lambda: inf), [(0, 0)]
        while heap:
            cost, node = heapq.heappop(heap)
            for other, more in graph[node]:
                if cost + more < best[other]:
                    best[other] = cost + more
                    heappush(heap, (cost + more, other))
        return best[goal] if math.isfinite(best[goal]) else -gcd(4, 6)
"""
BARE = SOLUTION.replace("class Solution:\n", "").replace("self, ", "").replace("\n    ", "\n")
EDGES = [[[0, 1, 4], [0, 2, 1], [2, 1, 2]], 1]


@pytest.mark.parametrize("code", [SOLUTION, BARE], ids=["a class", "a bare function"])
def test_leetcode_s_names_are_there_and_class_or_function_are_as_good(code, pool):
    asked = "[[0, 1, 4], [0, 2, 1], [2, 1, 2]]"
    tests = [
        {"call": "Solution.shortest", "args": EDGES, "expected": 3},
        {"call": "shortest", "args": EDGES, "expected": 3},
        {"call": "shortest", "args": [[], 5], "expected": -2},
        {"assert": f"assert shortest({asked}, 1) == 3"},
        {"assert": f"assert Solution().shortest({asked}, goal=1) == 3"},
        {"assert": f"def check(candidate):\n    assert candidate({asked}, 1) == 3\ncheck(Solution().shortest)"},
        {"assert": f"def check(candidate):\n    assert candidate({asked}, 1) == 3"},
        {"call": "shortest", "args": EDGES, "expected": 4},
        {"assert": "assert longest([]) == 3"},
    ]
    assert run_tests(code, tests, pool=pool).passed == [True] * 7 + [False] * 2


@pytest.mark.parametrize("name", ["gcd", "comb", "reduce", "sqrt", "deepcopy", "defaultdict"])
def test_a_name_that_the_program_did_not_define_does_not_answer_a_test(name, pool):
    tests = [{"call": name, "args": [4, 6], "expected": 2}, {"assert": f"assert {name}(4, 6) == 2"}]
    for code in ("x = 1", f"def other(): return {name}(1)", "class Solution: pass"):
        assert run_tests(code, tests, pool=pool).passed == [False, False]
    assert run_tests(f"def {name}(a, b): return 2", tests, pool=pool).passed == [True, True]


def test_a_recursion_as_deep_as_other_judges_allow_works(pool):
    code = "def f(n): return n and 1 + f(n - 1)\n@cache\ndef g(n): return n and 1 + g(n - 1)"
    tests = [{"call": "f", "args": [20_000], "expected": 20_000}, {"call": "g", "args": [12_000], "expected": 12_000}]
    assert run_tests(code, tests, pool=pool).passed == [True, True]


def test_an_endless_generator_is_stopped_and_one_that_raises_explains_itself(pool):
    code = "def f(x):\n    while x: yield x\n    raise KeyError('done')"
    limits = Limits(cpu_s=1.0, memory_mb=128)
    endless = run_tests(code, [{"call": "f", "args": [1], "expected": [1]}], limits, pool)
    assert endless.passed == [False]
    assert endless.status in ("timeout", "memory", "error")
    raising = run_tests(code, [{"call": "f", "args": [0], "expected": []}], limits, pool)
    assert (raising.passed, raising.status) == ([False], "error")
    assert "KeyError: 'done'" in raising.detail


def test_in_an_assertion_an_iterable_is_what_it_is_in_python(pool):
    code = "def f(n): return range(n)\ndef g(n):\n    yield from range(n)\ndef never():\n    while True: yield 1"
    texts = ["f(3) == [0, 1, 2]", "list(f(3)) == [0, 1, 2]", "g(2) == [0, 1]", "list(g(2)) == [0, 1]", "never()"]
    result = run_tests(code, [{"assert": f"assert {text}"} for text in texts], pool=pool)
    assert result.passed == [False, True, False, True, True]
