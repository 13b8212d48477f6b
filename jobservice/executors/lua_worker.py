"""One Lua worker process, as the process that started it sees it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jobservice.domain.errors import MoontideError
from jobservice.luahost import protocol

_LAUNCH = (
    "import sys; sys.path += sys.argv[3:]; "
    "from jobservice.luahost.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_CHUNK_BYTES = 64 << 10
_REAP_TIMEOUT_S = 5.0

WorkerCommand = Callable[[int, int], list[str]]
"""Takes the worker's descriptor and the process that it must not outlive, or 0."""


class WorkerStartError(MoontideError):
    """No Lua worker can be started; nothing is running."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"No Lua worker can be started: {reason}")


def worker_command(descriptor: int, parent_pid: int) -> list[str]:
    """Return the command line of a worker.

    :param descriptor: its end of the socket, which it inherits.
    :param parent_pid: the process that it must not outlive, or 0.
    :raises WorkerStartError: lupa is not installed.
    """
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(descriptor), str(parent_pid), *_folders()]


@functools.cache
def _folders() -> tuple[str, ...]:
    found = importlib.util.find_spec("lupa")
    if found is None or found.origin is None:
        raise WorkerStartError("the Python package lupa is not installed")
    return (str(Path(__file__).parents[2]), str(Path(found.origin).parents[1]))


class LuaWorker:
    """A process and the socket to it.

    Used by one thread at a time.

    :param follow: whether the process is to be killed with the thread that
        starts it.
    :param command: returns the command line; see ``worker_command``.
    """

    def __init__(self, *, follow: bool, command: WorkerCommand = worker_command) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        try:
            self._process = subprocess.Popen(
                command(theirs.fileno(), os.getpid() if follow else 0),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
        self._descriptor = _open_pidfd(self._process.pid)
        self._reader = protocol.FrameReader(protocol.MAX_FROM_WORKER_BYTES)
        self._unsent = b""
        self._is_muted = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def has_unsent(self) -> bool:
        """Whether ``flush`` must be called when the socket can be written to."""
        return bool(self._unsent)

    def send(self, frame: bytes) -> bool:
        """Send a frame, or as much of it as goes at once; False when the process is gone."""
        if self._unsent:
            self._unsent += frame
            return True
        return self._write(frame)

    def flush(self) -> bool:
        """Send what could not be sent before; False when the process is gone."""
        data, self._unsent = self._unsent, b""
        return self._write(data)

    def _write(self, data: bytes) -> bool:
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            self._unsent = data[sent:]
        return True

    def receive(self) -> list[tuple[int, bytes]] | None:
        """Return the frames that have come, perhaps none; None when the process has closed its end.

        :raises ProtocolError: it sent what is no frame.
        """
        try:
            data = self.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        return [] if self._is_muted else self._reader.feed(data)

    def mute(self) -> None:
        """Throw away whatever else it sends."""
        self._is_muted = True

    def kill(self) -> None:
        """Kill the process at once; harmless when it is already dead."""
        with contextlib.suppress(ProcessLookupError):
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            else:
                # Popen looks first whether the process was reaped, so that a
                # reused process id is never hit.
                self._process.kill()

    def close(self) -> None:
        """Close the socket; the process is left to ``reap``."""
        self.socket.close()

    def reap(self, timeout_s: float = _REAP_TIMEOUT_S) -> int | None:
        """Return how the process ended, negative for a signal; None when it has not ended in time."""
        try:
            status = self._process.wait(timeout_s) if timeout_s else self._process.poll()
        except subprocess.TimeoutExpired:
            return None
        if status is not None and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        return status

    def resident_bytes(self) -> int:
        """Return the memory that the process occupies, 0 where that cannot be told."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_bytes().split()
            return int(fields[1]) * resource.getpagesize()
        except (OSError, IndexError, ValueError):
            return 0


def _open_pidfd(pid: int) -> int | None:
    open_pidfd: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
    if open_pidfd is None or not hasattr(signal, "pidfd_send_signal"):
        return None
    try:
        return open_pidfd(pid)
    except OSError:
        return None
