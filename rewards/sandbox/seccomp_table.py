"""The system calls a sandboxed program may make: name, number on x86_64, number on aarch64 ("-": does not exist).

Calls under `_ALLOWED` always succeed as far as seccomp is concerned; files stay subject to Landlock. Calls under
`_GUARDED` depend on their arguments (`seccomp.py` has the rules). Everything that is absent fails with EPERM: exec,
sockets, ptrace, namespaces, mounts, keyrings, io_uring, userfaultfd, bpf, System V shared memory, memfd, and changes of
mode, owner or times, which Landlock does not cover.
"""

from __future__ import annotations

_ALLOWED = """
read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; preadv 295 69; pwritev 296 70;
lseek 8 62; close 3 57; close_range 436 436; dup 32 23; dup2 33 -; dup3 292 24; pipe 22 -; pipe2 293 59; poll 7 -;
ppoll 271 73; select 23 -; pselect6 270 72; epoll_create 213 -; epoll_create1 291 20; epoll_ctl 233 21;
epoll_wait 232 -; epoll_pwait 281 22; epoll_pwait2 441 441; eventfd 284 -; eventfd2 290 19; timerfd_create 283 85;
timerfd_settime 286 86; timerfd_gettime 287 87; signalfd 282 -; signalfd4 289 74; stat 4 -; fstat 5 80; lstat 6 -;
newfstatat 262 79; statx 332 291; statfs 137 43; fstatfs 138 44; access 21 -; faccessat 269 48; faccessat2 439 439;
readlink 89 -; readlinkat 267 78; getcwd 79 17; chdir 80 49; fchdir 81 50; getdents 78 -; getdents64 217 61;
mkdir 83 -; mkdirat 258 34; rmdir 84 -; unlink 87 -; unlinkat 263 35; rename 82 -; renameat 264 38;
renameat2 316 276; link 86 -; linkat 265 37; symlink 88 -; symlinkat 266 36; ftruncate 77 46; fallocate 285 47;
fsync 74 82; fdatasync 75 83; fadvise64 221 223; umask 95 166; sendfile 40 71;
copy_file_range 326 285; mmap 9 222; munmap 11 215; mprotect 10 226; mremap 25 216; brk 12 214; madvise 28 233;
msync 26 227; mincore 27 232; futex 202 98; futex_waitv 449 449; set_robust_list 273 99; set_tid_address 218 96;
rseq 334 293; membarrier 324 283; restart_syscall 219 128; sched_yield 24 124; getcpu 309 168; rt_sigaction 13 134;
rt_sigprocmask 14 135; rt_sigpending 127 136; rt_sigreturn 15 139; rt_sigsuspend 130 133; rt_sigtimedwait 128 137;
sigaltstack 131 132; pause 34 -; alarm 37 -; getitimer 36 102; setitimer 38 103; timer_create 222 107;
timer_settime 223 110; timer_gettime 224 108; timer_getoverrun 225 109; timer_delete 226 111; nanosleep 35 101;
clock_nanosleep 230 115; clock_gettime 228 113; clock_getres 229 114; gettimeofday 96 169; time 201 -;
times 100 153; getrusage 98 165; getrlimit 97 163; sysinfo 99 179; uname 63 160; getrandom 318 278; getpid 39 172;
getppid 110 173; gettid 186 178; getuid 102 174; geteuid 107 175; getgid 104 176; getegid 108 177;
getgroups 115 158; getresuid 118 148; getresgid 120 150; getpgrp 111 -; getsid 124 156; getpriority 140 141;
sched_getaffinity 204 123; sched_getparam 143 121; sched_getscheduler 145 120; sched_get_priority_max 146 125;
sched_get_priority_min 147 126; capget 125 90; exit 60 93; exit_group 231 94; wait4 61 260; waitid 247 95;
arch_prctl 158 -; setrlimit 160 164; recvfrom 45 207; getsockname 51 204; getpeername 52 205; getsockopt 55 209;
shutdown 48 210; creat 85 -
"""

_GUARDED = """
clone 56 220; clone3 435 435; fork 57 -; vfork 58 -; kill 62 129; tgkill 234 131; prlimit64 302 261;
sched_setaffinity 203 122; socketpair 53 199; sendto 44 206; ioctl 16 29; prctl 157 167; fcntl 72 25; flock 73 32;
open 2 -; openat 257 56; openat2 437 437
"""


def _numbers(table: str, arch: str) -> dict[str, int]:
    rows = (entry.split() for entry in table.replace("\n", " ").split(";") if entry.strip())
    column = 1 if arch == "x86_64" else 2
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def allowed(arch: str) -> dict[str, int]:
    """Numbers of the calls that are always allowed."""
    return _numbers(_ALLOWED, arch)


def guarded(arch: str) -> dict[str, int]:
    """Numbers of the calls whose arguments decide."""
    return _numbers(_GUARDED, arch)
