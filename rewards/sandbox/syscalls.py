"""Linux system calls that Python has no function for, by number through libc's `syscall`.

x86_64 and aarch64. `PyDLL` keeps the interpreter lock across the call, which the raw `clone` needs: the child must own
it when it returns. Not covered: other architectures (`ARCH` is None there, and the sandbox is unavailable).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct

ARCH = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(platform.machine())

_NUMBERS = {
    "clone": (56, 220),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "seccomp": (317, 277),
    "capset": (126, 91),
    "close_range": (436, 436),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "prctl": (157, 167),
    "setpgid": (109, 154),
    "chdir": (80, 49),
    "prlimit64": (302, 261),
}

Call = tuple[object, ...]  # a system call with its arguments, ready to be made

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_SIGCHLD = 17
_CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x00200000, 0x01000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_syscall = _libc.syscall


def syscall(name: str, *args: int | bytes | ctypes.Structure | None) -> int:
    """The call's result; `OSError` naming the call where it fails."""
    return make(prepare(name, *args))


def prepare(name: str, *args: int | bytes | ctypes.Structure | None) -> Call:
    """A call with its arguments converted, so that a fresh child only makes it: every Python object that a child
    touches costs a page fault."""
    if ARCH is None:
        raise OSError(f"no system call table for machine {platform.machine()!r}: x86_64 and aarch64 are supported")
    number = _NUMBERS[name][ARCH == "aarch64"]
    return (ctypes.c_long(number), *(_argument(a) for a in args))


def make(*calls: Call) -> int:
    """Make the calls in their order; the result of the last one. `OSError` naming the first that fails."""
    result = 0
    for call in calls:
        result = _syscall(*call)
        if result < 0:
            raise _failure(call)
    return result


def _failure(call: Call) -> OSError:
    code, number = ctypes.get_errno(), call[0].value  # type: ignore[attr-defined]
    name = next(n for n, numbers in _NUMBERS.items() if numbers[ARCH == "aarch64"] == number)
    return OSError(code, f"{name}: {os.strerror(code)}")


def _argument(value: object) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    if value is None:
        return ctypes.c_void_p(None)
    return value


def mounting(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> Call:
    """mount(2), prepared."""
    names = [None if s is None else os.fsencode(s) for s in (source, target, kind)]
    return prepare("mount", *names, flags, os.fsencode(data))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    make(mounting(source, target, kind, flags, data))


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument."""
    syscall("prctl", option, value, 0, 0, 0)


def limiting(which: int, value: int) -> Call:
    """prlimit64(2) of this process, prepared: the soft and the hard limit become `value`."""
    return prepare("prlimit64", 0, which, struct.pack("=qq", value, value), None)


def forking(flags: int) -> Call:
    """fork(2) whose child starts in the new namespaces of `flags`, prepared; the caller must have one thread.

    The interpreter's own after-fork work is skipped: it repairs locks of other threads, of which there are none, and
    costs more than the fork. libc learns the child's thread number through `_TID_ADDRESS`.
    """
    settid = _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID if _TID_ADDRESS else 0
    tid_first = (_TID_ADDRESS, 0) if ARCH == "x86_64" else (0, _TID_ADDRESS)
    return prepare("clone", flags | settid | _SIGCHLD, 0, 0, *tid_first)


def _tid_address() -> int:
    """Where libc keeps this thread's number; 0 where the kernel does not tell."""
    address = ctypes.c_long()
    return address.value if _libc.prctl(40, ctypes.byref(address), 0, 0, 0) == 0 else 0


_TID_ADDRESS = _tid_address()
_NO_CAPABILITIES = (struct.pack("=Ii", 0x20080522, 0), bytes(24))


def dropping_capabilities() -> Call:
    """A call that empties the three capability sets of this thread; harmless where they are empty already."""
    return prepare("capset", *_NO_CAPABILITIES)


def limit_malloc_arenas() -> None:
    """One malloc arena: each further one reserves 64 MB of address space, which the memory limit counts."""
    with contextlib.suppress(AttributeError):  # musl has no mallopt and no arenas
        _libc.mallopt(-8, 1)


def return_free_memory() -> None:
    """Give the pages that malloc holds but does not use back to the kernel: a fork copies the table of all pages."""
    with contextlib.suppress(AttributeError):  # musl
        _libc.malloc_trim(0)
