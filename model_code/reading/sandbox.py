"""Drops what a decoder's process does not need: root, files, the network, other programs and processes.

A codestream that takes over a decoder in C++ then controls a process that can compute and answer, and nothing else.
The filter of system calls is classic BPF by ctypes (Linux: seccomp(2), Documentation/userspace-api/seccomp_filter.rst).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Iterable

NOBODY = 65534
# More descriptors, processes, bytes of a file or of a core dump than now.
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
# From linux/prctl.h, linux/seccomp.h and linux/audit.h.
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4  # within struct seccomp_data
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP = {"x86_64": 317, "aarch64": 277}
# The calls for computing, memory, open pipes, the clock of processor time, and the end of a process.
CALLS = {
    "read": {"x86_64": 0, "aarch64": 63},
    "write": {"x86_64": 1, "aarch64": 64},
    "readv": {"x86_64": 19, "aarch64": 65},
    "writev": {"x86_64": 20, "aarch64": 66},
    "close": {"x86_64": 3, "aarch64": 57},
    "lseek": {"x86_64": 8, "aarch64": 62},
    "mmap": {"x86_64": 9, "aarch64": 222},
    "mprotect": {"x86_64": 10, "aarch64": 226},
    "munmap": {"x86_64": 11, "aarch64": 215},
    "mremap": {"x86_64": 25, "aarch64": 216},
    "madvise": {"x86_64": 28, "aarch64": 233},
    "brk": {"x86_64": 12, "aarch64": 214},
    "futex": {"x86_64": 202, "aarch64": 98},
    "sched_yield": {"x86_64": 24, "aarch64": 124},
    "sched_getaffinity": {"x86_64": 204, "aarch64": 123},
    "getpid": {"x86_64": 39, "aarch64": 172},
    "gettid": {"x86_64": 186, "aarch64": 178},
    "getrandom": {"x86_64": 318, "aarch64": 278},
    "clock_gettime": {"x86_64": 228, "aarch64": 113},
    "gettimeofday": {"x86_64": 96, "aarch64": 169},
    "setitimer": {"x86_64": 38, "aarch64": 103},
    "rt_sigaction": {"x86_64": 13, "aarch64": 134},
    "rt_sigprocmask": {"x86_64": 14, "aarch64": 135},
    "rt_sigreturn": {"x86_64": 15, "aarch64": 139},
    "sigaltstack": {"x86_64": 131, "aarch64": 132},
    "restart_syscall": {"x86_64": 219, "aarch64": 128},
    "exit": {"x86_64": 60, "aarch64": 93},
    "exit_group": {"x86_64": 231, "aarch64": 94},
}


def enter() -> list[str]:
    """Run all STEPS; return what this system does not let a process give up, in words for a log."""
    kept = []
    for what, step in STEPS.items():
        try:
            step()
        except OSError as error:
            kept.append(f"{what} ({error.strerror})")
    return kept


def bound_resources() -> None:
    """Forbid this process to open, start or write to disk anything more; raises OSError."""
    for limit in LIMITS:
        resource.setrlimit(limit, (0, 0))


def become_nobody() -> None:
    """Change from root to the user NOBODY, without groups and capabilities; raises OSError. Other users stay."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def forgo_privileges() -> None:
    """Forbid privileges by a program's set-user-ID bit and reading by a debugger; raises OSError."""
    libc = _libc()
    _demand(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _demand(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def filter_calls() -> None:
    """Have the kernel refuse each system call but CALLS with EPERM, in every thread; raises OSError."""
    libc = _libc()
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"the calls of {machine} are not listed here")
    program = compiled(machine)
    code = ctypes.create_string_buffer(program)
    head = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(code)))
    flags = ctypes.c_ulong(SECCOMP_FILTER_FLAG_TSYNC)
    _demand(libc.syscall(ctypes.c_long(SECCOMP[machine]), ctypes.c_ulong(SECCOMP_SET_MODE_FILTER), flags, head))


def compiled(machine: str) -> bytes:
    """Return the filter's instructions for ``machine``; a call by another architecture's table is refused, too."""
    numbers = [numbers[machine] for numbers in CALLS.values()]
    return _instructions(
        [
            (LOAD, 0, 0, ARCHITECTURE_AT),
            (JUMP_IF_EQUAL, 0, len(numbers) + 1, ARCHITECTURES[machine]),
            (LOAD, 0, 0, NUMBER_AT),
            *((JUMP_IF_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
            (RETURN, 0, 0, REFUSE),
            (RETURN, 0, 0, ALLOW),
        ]
    )


def _instructions(instructions: Iterable[tuple[int, int, int, int]]) -> bytes:
    """Return each instruction's code, skips if true and if false, and operand, as in struct sock_filter."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"{sys.platform} does not have this")
    return ctypes.CDLL(None, use_errno=True)


def _demand(result: int) -> None:
    """Raise OSError unless a call's ``result`` is 0; a positive result is the thread that cannot be filtered."""
    if result:
        number = ctypes.get_errno() if result < 0 else errno.EBUSY
        raise OSError(number, os.strerror(number))


STEPS = {
    "open files and processes": bound_resources,
    "the user": become_nobody,
    "new privileges": forgo_privileges,
    "system calls": filter_calls,
}
