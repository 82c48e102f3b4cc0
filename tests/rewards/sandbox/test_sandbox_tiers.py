"""Which tier is taken on machines that lack something, played by a seccomp filter that takes it away; and the filter
that programs get, run instruction by instruction for both architectures."""

import errno
import subprocess
import sys

import pytest

from rewards.sandbox import seccomp, syscalls

LACKING = """
import ctypes, struct, sys
from rewards.sandbox import Pool, SandboxUnavailable, run_tests, seccomp, syscalls
table = {{**syscalls._NUMBERS, "pidfd_open": (434, 434), "memfd_create": (319, 279)}}
numbers = [table[n][syscalls.ARCH == "aarch64"] for n in sys.argv[1].split()]
insns = [(0x20, 0, 0, 0)]
for n in numbers: insns += [(0x15, 0, 1, n), (0x06, 0, 0, 0x00050000 | {errno})]
insns += [(0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("=HBBI", *i) for i in insns)
buffer = ctypes.create_string_buffer(code, len(code))
syscalls.prctl(38, 1)
syscalls.syscall("seccomp", 1, 0, seccomp._Program(len(insns), ctypes.addressof(buffer)))
pool = Pool(workers=1, allow_weak=sys.argv[2] == "weak")
try:
    result = run_tests("def f(x): return x + 1", [{{"call": "f", "args": [2], "expected": 3}}], pool=pool)
    print(pool.tier, result.passed)
except SandboxUnavailable as error:
    print("unavailable", error)
"""


def test_where_close_range_is_barred_right_programs_pass_all_the_same():
    assert outcome("close_range", errno.ENOSYS) == "1 [True]"
    assert outcome("close_range", errno.EPERM) == "1 [True]"


def test_where_pidfd_open_is_missing_the_error_says_so():
    text = outcome("pidfd_open", errno.ENOSYS)
    assert text.startswith("unavailable no safe sandbox on this machine (tier 1: OSError: pidfd_open is missing")
    assert "tier 2: OSError: pidfd_open is missing" in text


def test_what_programs_lack_is_known_before_the_first_of_them_is_judged():
    text = outcome("memfd_create", errno.ENOSYS)  # which scripts are given their input in
    assert text.startswith(
        "unavailable no safe sandbox on this machine (tier 1: a program could not be started: [Errno"
    )


SAYING = """
from rewards.sandbox import configure, run_tests
configure(workers=1, tier={tier})
for _ in range(2): print(run_tests("def f(): return 1", [{{"call": "f", "expected": 1}}]).passed)
"""


def test_a_run_says_once_which_tier_it_has(shared_pool):
    command = [sys.executable, "-c", SAYING.format(tier=shared_pool.tier)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[True]\n[True]\n"
    assert done.stderr.count("sandbox: tier") == 1
    assert done.stderr.startswith(f"sandbox: tier {shared_pool.tier} (")


def test_a_tier_that_was_fallen_back_to_says_why():
    command = [
        sys.executable,
        "-c",
        LACKING.format(errno=errno.EPERM).replace("pool = Pool(", "pool = Pool(announce=True, "),
    ]
    done = subprocess.run([*command, "unshare", "strict"], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("sandbox: tier 2 (no namespaces")
    assert "; not tier 1: PermissionError: [Errno 1] unshare: Operation not permitted" in done.stderr


def outcome(lacking, errno_, weak=False):
    command = [sys.executable, "-c", LACKING.format(errno=errno_), lacking, "weak" if weak else "strict"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def test_where_user_namespaces_are_barred_tier_2_is_taken():
    assert outcome("unshare", errno.EPERM) == "2 [True]"


def test_where_mounting_is_barred_tier_2_is_taken():
    assert outcome("mount", errno.EPERM) == "2 [True]"


def test_without_namespaces_and_landlock_programs_are_refused_with_the_reasons():
    text = outcome("unshare landlock_create_ruleset", errno.ENOSYS)
    assert text.startswith("unavailable no safe sandbox on this machine (tier 1: ")
    assert "tier 2: OSError: this kernel has no Landlock" in text
    assert text.endswith("allow_weak=True runs programs anyway")


@pytest.mark.medium
def test_without_seccomp_programs_are_refused_and_run_weakly_on_request():
    assert "tier 1: OSError: OSError: [Errno 22] seccomp" in outcome("seccomp", errno.EINVAL)
    assert outcome("seccomp", errno.EINVAL, weak=True) == "3 [True]"


ALLOW, KILL, PRETENDED = "allow", "kill", "succeeds and does nothing"
ARCHES = ("x86_64", "aarch64")
NAMES = {"x86_64": 0, "aarch64": 1}
NUMBERS = {
    "read": (0, 63),
    "mmap": (9, 222),
    "openat": (257, 56),
    "exit_group": (231, 94),
    "clone": (56, 220),
    "clone3": (435, 435),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "sendto": (44, 206),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ptrace": (101, 117),
    "execve": (59, 221),
    "mount": (165, 40),
    "io_uring_setup": (425, 425),
    "prctl": (157, 167),
    "fcntl": (72, 25),
    "flock": (73, 32),
    "prlimit64": (302, 261),
    "ioctl": (16, 29),
    "fchmodat": (268, 53),
    "setns": (308, 268),
    "truncate": (76, 45),
    "setsid": (112, 157),
    "setpgid": (109, 154),
}
THREAD, FORK = 0x3D0F00, 17
OWN = 4711


def verdict(arch, name, *args, processes=False, own_pid_space=False, audit=None, number=None):
    """Run the filter on one system call."""
    data = {0: NUMBERS[name][NAMES[arch]] if number is None else number}
    data[4] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[arch] if audit is None else audit
    for i, value in enumerate([*args, 0, 0, 0, 0, 0, 0][:6]):
        data[16 + 8 * i], data[20 + 8 * i] = value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF
    program, at, a = seccomp.assemble(arch, processes, own_pid_space), 0, 0
    while True:
        code, yes, no, k = program[at]
        k = OWN if code == 0x15 and k == seccomp._SELF else k
        at += 1
        if code == 0x20:
            a = data[k]
        elif code == 0x54:
            a &= k
        elif code == 0x05:
            at += k
        elif code == 0x06:
            return {0x7FFF0000: ALLOW, 0x80000000: KILL, 0x50000: PRETENDED}.get(k) or errno.errorcode[k & 0xFFFF]
        else:
            at += yes if {0x15: a == k, 0x35: a >= k, 0x45: bool(a & k)}[code] else no


CASES = [
    (("read",), ALLOW),
    (("mmap",), ALLOW),
    (("exit_group",), ALLOW),
    (("openat", 0, 0, 0), ALLOW),
    (("openat", 0, 0, 0o1001), ALLOW),
    (("openat", 0, 0, 0o1000), "EPERM"),
    (("clone", THREAD), ALLOW),
    (("clone", FORK), "EAGAIN"),
    (("clone", THREAD | syscalls.CLONE_NEWUSER), "EPERM"),
    (("clone3",), "ENOSYS"),
    (("kill", OWN, 9), ALLOW),
    (("kill", OWN + 1, 9), "EPERM"),
    (("kill", -1, 9), "EPERM"),
    (("tgkill", OWN, 1, 9), ALLOW),
    (("tgkill", 1, 1, 9), "EPERM"),
    (("sendto", 3, 4, 5, 0, 0), ALLOW),
    (("sendto", 3, 4, 5, 0, 0x7F0000000000), "EPERM"),
    (("sendto", 3, 4, 5, 0, 16), "EPERM"),
    (("socket", 2), "EPERM"),
    (("socketpair", 1), ALLOW),
    (("socketpair", 2), "EPERM"),
    (("ptrace",), "EPERM"),
    (("execve",), "EPERM"),
    (("mount",), "EPERM"),
    (("io_uring_setup",), "EPERM"),
    (("prctl", 15), ALLOW),
    (("prctl", 1), "EPERM"),
    (("fcntl", 0, 3), ALLOW),
    (("fcntl", 0, 8), "EPERM"),
    (("fcntl", 0, 5), ALLOW),
    (("fcntl", 0, 6), PRETENDED),
    (("fcntl", 0, 37), PRETENDED),
    (("flock", 0, 2), PRETENDED),
    (("prlimit64", 0), ALLOW),
    (("prlimit64", 1), "EPERM"),
    (("ioctl", 0, 0x5401), ALLOW),
    (("ioctl", 0, 0x5412), "ENOTTY"),
    (("fchmodat",), "EPERM"),
    (("setns",), "EPERM"),
    (("truncate",), "EPERM"),
    (("setsid",), "EPERM"),  # by its group and its session all that a program forked is found and ended
    (("setpgid",), "EPERM"),
]


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("call", "expected"), CASES)
def test_the_filter_answers(call, expected, arch):
    assert verdict(arch, *call) == expected


@pytest.mark.parametrize("arch", ARCHES)
def test_with_processes_forking_is_allowed_and_signals_only_in_a_pid_namespace(arch):
    assert verdict(arch, "clone", FORK, processes=True) == ALLOW
    assert verdict(arch, "clone", FORK | syscalls.CLONE_NEWPID, processes=True) == "EPERM"
    assert verdict(arch, "kill", 5, 9, processes=True) == "EPERM"
    assert verdict(arch, "kill", 5, 9, processes=True, own_pid_space=True) == ALLOW


@pytest.mark.parametrize("arch", ARCHES)
def test_calls_of_another_architecture_kill_and_unknown_numbers_fail(arch):
    assert verdict(arch, "read", audit=0x40000003) == KILL
    assert verdict(arch, "read", number=0x40000000) == "ENOSYS"
    assert verdict(arch, "read", number=999) == "EPERM"
