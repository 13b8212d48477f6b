"""The system calls that a worker needs, as a seccomp program."""

from __future__ import annotations

import struct

INSTRUCTION_BYTES = 8

_ALLOWED = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
        "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24,
        "mremap": 25, "madvise": 28, "nanosleep": 35, "setitimer": 38, "getpid": 39, "exit": 60, "gettimeofday": 96,
        "getrlimit": 97, "getrusage": 98, "setrlimit": 160, "gettid": 186, "time": 201, "futex": 202,
        "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
        "exit_group": 231, "getrandom": 318, "rseq": 334,
    },
    "aarch64": {
        "lseek": 62, "read": 63, "write": 64, "ppoll": 73, "fstat": 80, "close": 57, "exit": 93, "exit_group": 94,
        "futex": 98, "nanosleep": 101, "setitimer": 103, "clock_gettime": 113, "clock_getres": 114,
        "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128, "rt_sigaction": 134,
        "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrlimit": 163, "setrlimit": 164, "getrusage": 165,
        "gettimeofday": 169, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222,
        "mprotect": 226, "madvise": 233, "getrandom": 278, "rseq": 293,
    },
}  # fmt: skip
_OWN_PROCESS_ONLY = {"x86_64": {"tgkill": 234, "prlimit64": 302}, "aarch64": {"tgkill": 131, "prlimit64": 261}}
"""Allowed when the first argument is this process: abort() and setrlimit() use them."""

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000 | 1  # EPERM: a call that was overlooked is then an error, not the end of every worker.


class UnknownMachineError(Exception):
    """There is no table of system calls for this machine."""


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def program(machine: str, pid: int) -> bytes:
    """Return the filter for this machine as the kernel takes it.

    :param machine: as from ``platform.machine()``.
    :param pid: the process that it is for.
    :raises UnknownMachineError: there is no table for ``machine``.
    """
    if machine not in _ALLOWED:
        raise UnknownMachineError(f"there is no list of system calls for {machine}")
    code = [
        _instruction(_LOAD, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, _ARCHITECTURE[machine], if_true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _OFFSET_NUMBER),
    ]
    for number in _ALLOWED[machine].values():
        code += [_instruction(_JUMP_IF_EQUAL, number, if_false=1), _instruction(_RETURN, _ALLOW)]
    for number in _OWN_PROCESS_ONLY[machine].values():
        code += [
            _instruction(_JUMP_IF_EQUAL, number, if_false=5),
            _instruction(_LOAD, _OFFSET_FIRST_ARGUMENT),
            _instruction(_JUMP_IF_EQUAL, 0, if_true=1),
            _instruction(_JUMP_IF_EQUAL, pid, if_false=1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, _REFUSE),
        ]
    code.append(_instruction(_RETURN, _REFUSE))
    return b"".join(code)
