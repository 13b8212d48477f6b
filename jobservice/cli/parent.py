"""A child that must not outlive the process that watches over it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int) -> None:
    """Get SIGTERM when the parent dies, however it dies; where the kernel cannot do that, do nothing.

    :param parent_pid: the parent as the caller knows it.
    :raises SystemExit: it is dead already.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        raise SystemExit(0)
