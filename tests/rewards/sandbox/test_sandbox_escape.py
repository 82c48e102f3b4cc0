"""Programs that reach for something outside. Each returns "denied" or what it got; nothing outside may change."""

import os
import platform
import socket
import subprocess
import sys
import threading

import pytest

TRY = """
def f(*args):
    try:
        got = attack(*args)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        return "denied"
    return "got " + repr(got)[:200]
"""

READS = {
    "/etc/passwd": "def attack(): return open('/etc/passwd').read()",
    "the environment": "import os\ndef attack(): return os.environ['SANDBOX_SECRET']",
    "the environment of its first process": "def attack(): return open('/proc/1/environ').read()",
    "its own memory map": "def attack(): return open('/proc/self/maps').read()",
    "a listing of processes": "import os\ndef attack(): return [p for p in os.listdir('/proc') if p.isdigit()]",
    "a listing of the root": "import os\ndef attack(): return os.listdir('/').index('etc')",
    "the host's name files": "def attack(): return open('/etc/hosts').read()",
    "physical memory": "def attack(): return open('/dev/mem', 'rb').read(1)",
    "the kernel log": "def attack(): return open('/dev/kmsg', 'rb').read(1)",
    "a terminal": "def attack(): return open('/dev/tty', 'w').write('x')",
    "shared memory": "from multiprocessing import shared_memory\n"
    "def attack(): return shared_memory.SharedMemory('sandbox-attack', create=True, size=16).name",
}


@pytest.mark.parametrize("name", READS)
def test_a_program_cannot_read(name, answer, monkeypatch):
    monkeypatch.setenv("SANDBOX_SECRET", "planted-secret")
    assert answer(READS[name] + TRY, expected="denied").passed == [True]


OF_A_FILE = {
    "open it": "def attack(p): return open(p).read()",
    "write to it": "def attack(p): return open(p, 'a').write('x')",
    "truncate it": "import os\ndef attack(p): return os.truncate(p, 0)",
    "truncate it while reading": "import os\ndef attack(p): return os.open(p, os.O_RDONLY | os.O_TRUNC)",
    "reach it through a symlink": "import os\ndef attack(p):\n    os.symlink(p, 'way')\n    return open('way').read()",
    "reach it through a hard link": "import os\ndef attack(p):\n    os.link(p, 'way')\n    return open('way').read()",
    "reach it upwards": "import os\ndef attack(p): return open('../' * 30 + p).read()",
    "remove it": "import os\ndef attack(p): return os.remove(p)",
    "rename it": "import os\ndef attack(p): return os.rename(p, p + '2')",
    "change its mode": "import os\ndef attack(p): return os.chmod(p, 0o777)",
    "change its owner": "import os\ndef attack(p): return os.chown(p, os.getuid(), os.getgid())",
    "change its times": "import os\ndef attack(p): return os.utime(p, (0, 0))",
    "run it": "import os\ndef attack(p): return os.execv(p, [p])",
    "write beside it": "def attack(p): return open(p + '.new', 'w').write('x')",
    "make a directory beside it": "import os\ndef attack(p): return os.mkdir(p + '.d')",
    "list its directory": "import os\ndef attack(p): return os.listdir(os.path.dirname(p))",
}


@pytest.mark.parametrize("name", OF_A_FILE)
def test_of_a_file_outside_a_program_cannot(name, answer, tmp_path):
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o777)
    secret = tmp_path / "secret"
    secret.write_text("planted-secret")
    secret.chmod(0o777)
    before = secret.stat()
    assert answer(OF_A_FILE[name] + TRY, str(secret), expected="denied").passed == [True]
    after = secret.stat()
    assert secret.read_text() == "planted-secret"
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)
    assert os.listdir(tmp_path) == ["secret"]


def test_a_program_cannot_read_the_project(answer):
    here = os.path.abspath(__file__)
    assert answer("def attack(p): return open(p).read()" + TRY, here, expected="denied").passed == [True]
    assert answer("def attack(): import rewards.builtin.code_tests as c; return c" + TRY, expected="denied").passed == [
        True
    ]


OF_A_PROCESS = {
    "signal it": "import os\ndef attack(p): return os.kill(p, 15)",
    "probe it": "import os\ndef attack(p): return os.kill(p, 0)",
    "signal its group": "import os\ndef attack(p): return os.killpg(p, 15)",
    "signal everybody": "import os\ndef attack(p): return os.kill(-1, 15)",
    "open it": "import os\ndef attack(p): return os.pidfd_open(p)",
    "read its environment": "def attack(p): return open(f'/proc/{p}/environ').read()",
    "read its memory": "def attack(p): return open(f'/proc/{p}/mem', 'rb').read(1)",
    "slow it down": "import os\ndef attack(p): return os.setpriority(os.PRIO_PROCESS, p, 19)",
    "pin it": "import os\ndef attack(p): return os.sched_setaffinity(p, {0})",
    "limit it": "import resource\ndef attack(p): return resource.prlimit(p, resource.RLIMIT_CORE)",
    "trace it": "import ctypes\ndef attack(p):\n    r = ctypes.CDLL(None).ptrace(16, p, 0, 0)\n"
    "    if r < 0: raise OSError\n    return r",
}


@pytest.mark.parametrize("name", OF_A_PROCESS)
def test_of_another_process_a_program_cannot(name, answer):
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as sibling:
        for pid in (os.getpid(), sibling.pid):
            assert answer(OF_A_PROCESS[name] + TRY, pid, expected="denied").passed == [True]
        assert sibling.poll() is None
        sibling.stdin.close()


def test_a_program_cannot_signal_its_worker(answer, pool):
    with pool.worker() as worker:
        pid = worker.pid
    assert answer(OF_A_PROCESS["signal it"] + TRY, pid, expected="denied").passed == [True]
    with pool.worker() as worker:
        assert worker.pid == pid


NETWORK = {
    "loopback": "import socket\ndef attack(port, name): return socket.create_connection(('127.0.0.1', port), 2)",
    "a datagram": "import socket\ndef attack(port, name):\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "    return s.sendto(b'x', ('127.0.0.1', port))",
    "an abstract socket": "import socket\ndef attack(port, name):\n    s = socket.socket(socket.AF_UNIX)\n"
    "    return s.connect('\\0' + name)",
    "an abstract socket through a pair": "import socket\ndef attack(port, name):\n"
    "    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n    return a.sendto(b'x', '\\0' + name)",
    "a pair's reconnection": "import socket\ndef attack(port, name):\n"
    "    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n    return a.connect('\\0' + name)",
    "name resolution": "import socket\ndef attack(port, name): return socket.getaddrinfo('example.org', 80)",
    "a server": "import socket\ndef attack(port, name): return socket.create_server(('127.0.0.1', 0))",
    "netlink": "import socket\ndef attack(port, name): return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
}


@pytest.mark.parametrize("name", NETWORK)
def test_a_program_has_no_network_through(name, answer):
    contacts = []

    def accept(listener):
        try:
            listener.accept()
            contacts.append(listener)
        except OSError:
            return

    abstract = f"sandbox-attack-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + abstract)
        unix.listen()
        threads = [threading.Thread(target=accept, args=(s,)) for s in (tcp, unix)]
        for thread in threads:
            thread.start()
        result = answer(NETWORK[name] + TRY, tcp.getsockname()[1], abstract, expected="denied")
        for listener in (tcp, unix):
            listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    assert result.passed == [True]
    assert contacts == []


SYSCALLS = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "execve": (59, 221),
    "execveat": (322, 281),
    "setuid": (105, 146),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "personality": (135, 92),
    "seccomp": (317, 277),
    "socket": (41, 198),
    "connect": (42, 203),
    "sendmsg": (46, 211),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "mknodat": (259, 33),
    "fchmodat": (268, 53),
    "setxattr": (188, 5),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "rt_sigqueueinfo": (129, 138),
    "sync": (162, 81),
    "a number of another machine": (0x40000000, 5000),
}


def test_native_code_gets_none_of_the_system_calls_that_are_not_needed(answer):
    column = 0 if platform.machine() == "x86_64" else 1
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(numbers):
    refused = []
    for name, number in numbers.items():
        ctypes.set_errno(0)
        if libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, 38):
            return name
    return "all refused"
"""
    numbers = {name: both[column] for name, both in SYSCALLS.items()}
    assert answer(code, numbers, expected="all refused").passed == [True]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="32-bit system calls exist on x86_64 only")
def test_a_32_bit_system_call_ends_the_program(answer):
    code = """
import ctypes, mmap
def f():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    result = answer(code, expected=1)
    assert (result.passed, result.status) == ([False], "error")


PRIVILEGES = """
import os, resource, ctypes
def f():
    libc, got = ctypes.CDLL(None), []
    if os.getuid() == 0: got.append("uid 0")
    for attempt in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.nice(-5), lambda: os.chroot("."),
                    lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)), lambda: os.fork(),
                    lambda: os.execv("/bin/sh", ["sh"]), lambda: os.posix_spawn("/bin/sh", ["sh"], {})):
        try:
            attempt(); got.append(attempt.__code__.co_names)
        except (OSError, ValueError): pass
    if libc.prctl(38, 0, 0, 0, 0) == 0 or libc.prctl(1, 0, 0, 0, 0) == 0: got.append("prctl")
    return got
"""


def test_a_program_has_no_privileges_and_gets_none(answer):
    assert answer(PRIVILEGES, expected=[]).passed == [True]


def test_only_the_five_descriptors_of_the_program_are_open(answer):
    code = """
import os
def f():
    found = []
    for fd in range(5, 1024):
        try: found.append((fd, os.readlink(f"/proc/self/fd/{fd}") if 0 else os.fstat(fd).st_mode >> 12))
        except OSError: pass
    return [kind for fd, kind in found if kind != 4]
"""
    assert answer(code, expected=[]).passed == [True]
