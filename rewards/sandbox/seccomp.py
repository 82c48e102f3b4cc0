"""The seccomp filter of a sandboxed program, assembled by hand as classic BPF.

An allow-list: calls in the table pass, a few pass by their arguments, the rest fail with EPERM (a program sees an
OSError and can go on). The numbers become a binary tree, so that the kernel, which runs the filter once per call number
when it is installed, finishes quickly. A filter is built once per worker; only the pid that a
program may signal differs per program and is patched in.

Not covered: limits on resources (rlimits), which files may be opened (Landlock).
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from rewards.sandbox import seccomp_table, syscalls

Insn = tuple[int, int, int, int]
Leaf = tuple[int, int, list[Insn]]  # first and last number, and what happens to them

_LD, _AND, _JEQ, _JGE, _JSET, _JA, _RET = 0x20, 0x54, 0x15, 0x35, 0x45, 0x05, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NR_AT, _ARCH_AT = 0, 4
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_FARTHEST = 255  # instructions that a conditional jump can skip
_SELF = 0x5E1F5E1F  # stands for the program's own pid until `Filter.install`

_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020080
_AF_UNIX = 1
_O_TRUNC, _O_ACCMODE = 0o1000, 3
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)  # isatty, window size, FIO*
_PRCTLS = (3, 15, 16)  # get dumpable, set and get the thread's name
_FCNTLS_REFUSED = (8, 10, 15, 1024, 1026, 1031)  # signal owners, leases, directory notices, pipe sizes
_FCNTLS_PRETENDED = (6, 7, 37, 38)  # locks of files: on the host's they would be felt outside, and elsewhere by nobody


def _ret(value: int) -> Insn:
    return (_RET, 0, 0, value)


def _fail(code: int) -> Insn:
    return _ret(_ERRNO | code)


def _load(arg: int, high: bool = False) -> Insn:
    return (_LD, 0, 0, 16 + 8 * arg + (4 if high else 0))


def _only(arg: int, values: Iterable[int], code: int) -> list[Insn]:
    """Allow where the low half of the argument is one of `values`, else fail with `code`."""
    body: list[Insn] = [_load(arg)]
    for value in values:
        body += [(_JEQ, 0, 1, value), _ret(_ALLOW)]
    return [*body, _fail(code)]


def _not(arg: int, *cases: tuple[Iterable[int], int]) -> list[Insn]:
    """Fail with the code of the values that the argument is one of, else allow. With code 0 the call does nothing and
    succeeds."""
    body: list[Insn] = [_load(arg)]
    for values, code in cases:
        for value in values:
            body += [(_JEQ, 0, 1, value), _fail(code)]
    return [*body, _ret(_ALLOW)]


def _guards(processes: bool, own_pid_space: bool) -> dict[str, list[Insn]]:
    """The bodies for the calls whose arguments decide; each ends every path with a return."""
    fork = [_ret(_ALLOW)] if processes else [_fail(errno.EAGAIN)]
    need_thread = [] if processes else [(_JSET, 1, 0, _CLONE_THREAD), _fail(errno.EAGAIN)]
    signal = [_ret(_ALLOW)] if processes and own_pid_space else _only(0, (_SELF, 0), errno.EPERM)
    trunc = [(_AND, 0, 0, _O_TRUNC | _O_ACCMODE), (_JEQ, 0, 1, _O_TRUNC), _fail(errno.EPERM), _ret(_ALLOW)]
    no_address = [i for high in (False, True) for i in (_load(4, high), (_JEQ, 1, 0, 0), _fail(errno.EPERM))]
    return {
        "clone": [_load(0), (_JSET, 0, 1, _CLONE_NAMESPACES), _fail(errno.EPERM), *need_thread, _ret(_ALLOW)],
        "clone3": [_fail(errno.ENOSYS)],  # libc falls back to clone, whose flags a filter can see
        "fork": fork,
        "vfork": fork,
        "kill": signal,
        "tgkill": signal,
        "prlimit64": _only(0, (0,), errno.EPERM),
        "sched_setaffinity": _only(0, (0,), errno.EPERM),
        "socketpair": _only(0, (_AF_UNIX,), errno.EPERM),
        "sendto": [*no_address, _ret(_ALLOW)],
        "ioctl": _only(1, _IOCTLS, errno.ENOTTY),
        "prctl": _only(0, _PRCTLS, errno.EPERM),
        "fcntl": _not(1, (_FCNTLS_REFUSED, errno.EPERM), (_FCNTLS_PRETENDED, 0)),
        "flock": [_fail(0)],
        "open": [_load(1), *trunc],  # read-only with O_TRUNC escapes Landlock before its third version
        "openat": [_load(2), *trunc],
        "openat2": [_fail(errno.ENOSYS)],
    }


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for n in sorted(numbers):
        if runs and runs[-1][1] == n - 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return runs


def _without_gaps(leaves: list[Leaf]) -> list[tuple[int, list[Insn]]]:
    """Where each stretch of numbers begins and what happens in it; what no leaf covers fails."""
    stretches: list[tuple[int, list[Insn]]] = []
    following = 0
    for first, last, body in sorted(leaves, key=lambda leaf: leaf[0]):
        if first > following:
            stretches.append((following, [_fail(errno.EPERM)]))
        stretches.append((first, body))
        following = last + 1
    return [*stretches, (following, [_fail(errno.EPERM)])]


def _tree(stretches: list[tuple[int, list[Insn]]]) -> list[Insn]:
    if len(stretches) == 1:
        return stretches[0][1]
    middle = len(stretches) // 2
    left, right = _tree(stretches[:middle]), _tree(stretches[middle:])
    if len(left) <= _FARTHEST:
        return [(_JGE, len(left), 0, stretches[middle][0]), *left, *right]
    return [(_JGE, 0, 1, stretches[middle][0]), (_JA, 0, 0, len(left)), *left, *right]


def assemble(arch: str, processes: bool, own_pid_space: bool) -> list[Insn]:
    """The whole filter for one machine architecture."""
    program: list[Insn] = [
        (_LD, 0, 0, _ARCH_AT),
        (_JEQ, 1, 0, _AUDIT_ARCH[arch]),
        _ret(_KILL),
        (_LD, 0, 0, _NR_AT),
        (_JGE, 0, 1, _X32_BIT),
        _fail(errno.ENOSYS),
    ]
    guarded = seccomp_table.guarded(arch)
    guards = _guards(processes, own_pid_space)
    leaves: list[Leaf] = [(n, n, guards[name]) for name, n in guarded.items()]
    leaves += [(first, last, [_ret(_ALLOW)]) for first, last in _ranges(seccomp_table.allowed(arch).values())]
    return program + _tree(_without_gaps(leaves))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Filter:
    """A filter ready to install. `processes`: the program may fork; `own_pid_space`: it runs in its own pid
    namespace, so signals cannot leave it."""

    def __init__(self, processes: bool, own_pid_space: bool) -> None:
        insns = assemble(syscalls.ARCH or "", processes, own_pid_space)
        self._code = bytearray(b"".join(struct.pack("=HBBI", *insn) for insn in insns))
        selves = [8 * i + 4 for i, insn in enumerate(insns) if insn[0] == _JEQ and insn[3] == _SELF]
        self._selves = [ctypes.c_uint32.from_buffer(self._code, at) for at in selves]
        self._buffer = (ctypes.c_char * len(self._code)).from_buffer(self._code)
        self._program = _Program(len(insns), ctypes.addressof(self._buffer))
        self._call = syscalls.prepare("seccomp", 1, 0, self._program)
        self._signals = 0

    def install(self, pid: int) -> None:
        """Confine this process for good. `pid` is the one it may signal. No-new-privileges must be set."""
        self.allow_signals_to(pid)
        syscalls.make(self._call)

    def allow_signals_to(self, pid: int) -> None:
        """Name the one process that may be signalled."""
        if pid != self._signals:
            for place in self._selves:
                place.value = pid
            self._signals = pid
