"""The bell between processes on one machine: rows are the truth, a ring only makes it quick."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

_LONGEST_PATH = 100
"""Unix socket addresses end at 107 bytes on Linux; past this the service polls."""


def ring(path: Path) -> None:
    """Wake the service that listens at ``path``; without one, do nothing."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell, contextlib.suppress(OSError):
        bell.setblocking(False)
        bell.sendto(b"\n", str(path))


class Bell:
    """The listening end.

    :param path: where to listen; a stale socket there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        if len(os.fsencode(path)) > _LONGEST_PATH:
            return
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)

    def wait(self, timeout_s: float) -> bool:
        """Block until somebody rings, at most ``timeout_s``; return whether somebody did."""
        if self._socket is None:
            return False
        self._socket.settimeout(timeout_s)
        try:
            self._socket.recv(64)
        except TimeoutError:
            return False
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(64):
                pass  # Several rings are one.
        return True

    @property
    def is_silent(self) -> bool:
        """Whether nobody can ring, because the path is too long for a socket."""
        return self._socket is None

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)
