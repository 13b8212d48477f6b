"""Shuts the process in: resource limits, no new privileges, landlock, seccomp.

Each layer is tried for itself; what this kernel lacks is reported, and the
others still hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable

from jobservice.luahost import seccomp

Layers = dict[str, bool | str]
"""Name of a layer -> True, or why it is missing."""

_MIB = 1 << 20
_STACK_BYTES = 64 * _MIB
_DESCRIPTORS = 16
_SLACK_BYTES = 96 * _MIB
_HARD_SLACK_BYTES = 1536 * _MIB
_CPU_SLACK_S = 60

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# The numbers are the same on every architecture that has landlock.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_FS_RIGHTS_BY_ABI = ((1, 0x1FFF), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NET_RIGHTS = 3
_SCOPES = 3
_NET_ABI = 4
_SCOPE_ABI = 6


class LayerMissingError(Exception):
    """A layer cannot be put on; the text says why."""


class RunLimits:
    """The limits that move with each run: address space and processor time.

    They stand behind Lua's own memory limit and the run's timer, and only
    act when one of those fails.
    """

    def __init__(self) -> None:
        self._base_bytes = _address_space_bytes()
        self._memory_bytes = -1
        self._cpu_s = -1

    def hard_bytes(self) -> int:
        """Return the address space that no run may exceed."""
        return self._base_bytes + _HARD_SLACK_BYTES

    def allow(self, memory_bytes: int, seconds: float) -> None:
        """Make room for a run with these limits."""
        if memory_bytes != self._memory_bytes and self._base_bytes:
            self._memory_bytes = memory_bytes
            soft = min(self._base_bytes + 2 * memory_bytes + _SLACK_BYTES, self.hard_bytes())
            resource.setrlimit(resource.RLIMIT_AS, (soft, self.hard_bytes()))
        needed = int(time.process_time() + seconds) + 2
        if self._cpu_s < needed:
            self._cpu_s = needed + _CPU_SLACK_S
            resource.setrlimit(resource.RLIMIT_CPU, (self._cpu_s, resource.RLIM_INFINITY))


def harden(limits: RunLimits) -> Layers:
    """Put every layer on that this machine has, and report each.

    Everything must be imported before: afterwards no file can be opened.
    """
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("rlimits", lambda: _limit_resources(limits)),
        ("no_new_privs", _forbid_new_privileges),
        ("landlock", _forbid_files_and_network),
        ("seccomp", _forbid_system_calls),
    )
    layers: Layers = {}
    for name, put_on in steps:
        try:
            put_on()
        except (LayerMissingError, OSError, ValueError) as error:
            layers[name] = str(error)
        else:
            layers[name] = True
    return layers


def die_with(parent_pid: int) -> None:
    """Ask the kernel to kill this process with the thread that started it, where it can."""
    if sys.platform.startswith("linux"):
        _libc().prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent_pid:
        os._exit(0)


def _address_space_bytes() -> int:
    """Return the size of this process's address space, 0 where that cannot be told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _limit_resources(limits: RunLimits) -> None:
    fixed = (
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    for which, value in fixed:
        resource.setrlimit(which, (value, value))
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    stack = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    if not limits.hard_bytes() > _HARD_SLACK_BYTES:
        raise LayerMissingError("the address space is not limited: /proc/self/statm cannot be read")
    resource.setrlimit(resource.RLIMIT_AS, (limits.hard_bytes(), limits.hard_bytes()))


def _libc() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise LayerMissingError(f"not available on {sys.platform}")
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise LayerMissingError(f"{what}: {os.strerror(number)}")
    return result


def _forbid_new_privileges() -> None:
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero), "prctl")


def _forbid_files_and_network() -> None:
    library = _libc()
    abi = _checked(
        library.syscall(
            ctypes.c_long(_LANDLOCK_CREATE_RULESET),
            ctypes.c_void_p(None),
            ctypes.c_size_t(0),
            ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION),
        ),
        "this kernel has no landlock",
    )
    rights = sum(bits for since, bits in _FS_RIGHTS_BY_ABI if abi >= since)
    words = [rights]
    if abi >= _NET_ABI:
        words.append(_NET_RIGHTS)
    if abi >= _SCOPE_ABI:
        words.append(_SCOPES)
    attributes = struct.pack(f"={len(words)}Q", *words)
    rules = _checked(
        library.syscall(
            ctypes.c_long(_LANDLOCK_CREATE_RULESET),
            ctypes.c_char_p(attributes),
            ctypes.c_size_t(len(attributes)),
            ctypes.c_uint32(0),
        ),
        "landlock_create_ruleset",
    )
    try:
        _checked(
            library.syscall(ctypes.c_long(_LANDLOCK_RESTRICT_SELF), ctypes.c_int(rules), ctypes.c_uint32(0)),
            "landlock_restrict_self",
        )
    finally:
        os.close(rules)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _forbid_system_calls() -> None:
    library = _libc()
    try:
        code = seccomp.program(platform.machine(), os.getpid())
    except seccomp.UnknownMachineError as error:
        raise LayerMissingError(str(error)) from None
    program = _Program(len(code) // seccomp.INSTRUCTION_BYTES, code)
    zero = ctypes.c_ulong(0)
    result = library.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program), zero, zero)
    _checked(result, "this kernel has no seccomp filters")
