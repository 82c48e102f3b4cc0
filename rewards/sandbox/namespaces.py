"""Tier 1: a worker's own user, network, mount, IPC and UTS namespaces, and a private root with nothing of the host in
it but what `readable_files.py` allows, read-only.

Set up once per worker; each program then gets its own pid, mount and IPC namespace and its own scratch file system on
top (`confine.py`). Raises `OSError` where the kernel or a container bars user namespaces. Not covered: control groups.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from rewards.sandbox import readable_files
from rewards.sandbox import syscalls as sc

ABOVE_SCRATCH = "/scratch"  # a Landlock rule here holds for the file system that each program mounts below it
SCRATCH = ABOVE_SCRATCH + "/tmp"
_EMPTY = "/empty"
_INNER_ID = 1000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_LINKS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_BASES = ("/tmp", "/mnt", "/media", "/srv", "/var/tmp")
_KEPT_FLAGS = sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC | 1024 | 2048  # noatime, nodiratime
_SHARED = sc.CLONE_NEWNS | sc.CLONE_NEWNET | sc.CLONE_NEWUTS | sc.CLONE_NEWIPC

PER_PROGRAM = sc.CLONE_NEWPID | sc.CLONE_NEWNS | sc.CLONE_NEWIPC


def devices() -> list[str]:
    """Device files a program may open."""
    return [d for d in _DEVICES if os.path.exists(d)]


def enter(own_uid: int | None, paths: Sequence[str], packages: Sequence[str]) -> None:
    """Move this process into fresh namespaces and the private root, as a user without rights on the host.

    As root the root file system is built first and then the identity is given up, since only root may be able to
    reach the interpreter's files; otherwise the user namespace comes first, since it is what allows the mounts. `paths`
    and `packages` may be read there.
    """
    if own_uid is None:
        uid, gid = os.geteuid(), os.getegid()
        sc.syscall("unshare", sc.CLONE_NEWUSER | _SHARED)
        _map_identity(uid, gid)
        _build_root(paths, packages)
        return
    sc.syscall("unshare", _SHARED)
    proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _build_root(paths, packages)
        become(own_uid)
        sc.syscall("unshare", sc.CLONE_NEWUSER | sc.CLONE_NEWNS)
        _map_identity(own_uid, own_uid, proc)
    finally:
        os.close(proc)


def become(uid: int) -> None:
    """Give up root for `uid`; the process stays readable to itself."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    sc.prctl(sc.PR_SET_DUMPABLE, 1)


def _map_identity(uid: int, gid: int, proc: int | None = None) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{_INNER_ID} {uid} 1"), ("gid_map", f"{_INNER_ID} {gid} 1")):
        path = f"/proc/self/{name}" if proc is None else name
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _build_root(paths: Sequence[str], packages: Sequence[str]) -> None:
    sc.mount(None, "/", None, sc.MS_REC | sc.MS_PRIVATE)
    needed = [*paths, *packages]
    base = next(b for b in _BASES if os.path.isdir(b) and not any((p + "/").startswith(b + "/") for p in needed))
    sc.mount("sandbox", base, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "size=4m,mode=755")
    os.mkdir(base + _EMPTY)
    for path in paths:
        _bind_covered(path, base, packages)
    for path in packages:
        if not any(path.startswith(parent + "/") for parent in paths):
            _bind_covered(path, base, ())
    for link in _LINKS:
        if os.path.islink(link) and not os.path.lexists(base + link):
            os.symlink(os.path.realpath(link), base + link)
    os.mkdir(base + "/dev")
    for device in devices():
        os.close(os.open(base + device, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _bind(device, base + device, read_only=False)
    os.makedirs(base + SCRATCH)
    if not os.path.lexists(base + "/tmp"):
        os.symlink(SCRATCH, base + "/tmp")
    os.chdir(base)
    sc.syscall("pivot_root", b".", b".")
    sc.syscall("umount2", b".", sc.MNT_DETACH)
    os.chdir("/")
    sc.mount(None, "/", None, sc.MS_REMOUNT | sc.MS_BIND | sc.MS_RDONLY | sc.MS_NOSUID | sc.MS_NODEV)


def _bind_covered(path: str, base: str, packages: Sequence[str]) -> None:
    """Make a path readable below `base`, with empty folders over what is hidden in it, except for packages there."""
    _make_like(path, base + path)
    _bind(path, base + path, read_only=True)
    for number, hidden in enumerate(readable_files.covered(path)):
        inside = [package for package in packages if package.startswith(hidden + "/")]
        cover = f"{base}{_EMPTY}-{number}" if inside else base + _EMPTY
        for package in inside:
            _make_like(package, cover + package.removeprefix(hidden))
        _bind(cover, base + hidden, read_only=True)
        for package in inside:
            _bind_covered(package, base, ())


def _make_like(path: str, target: str) -> None:
    if os.path.lexists(target):
        return
    if os.path.isdir(path):
        os.makedirs(target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _bind(source: str, target: str, read_only: bool) -> None:
    sc.mount(source, target, None, sc.MS_BIND | sc.MS_REC)
    if read_only:
        kept = os.statvfs(target).f_flag & _KEPT_FLAGS  # a user namespace may not drop flags of the host's mount
        sc.mount(None, target, None, sc.MS_REMOUNT | sc.MS_BIND | sc.MS_RDONLY | kept | sc.MS_NOSUID)
