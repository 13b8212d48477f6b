"""The worker process: reads an order, runs it in a fresh Lua state, reports, repeats.

Started with ``python -I -S`` and an empty environment; the folders that hold
this package and lupa come as arguments, since -S leaves them out.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from typing import Any, NoReturn

from jobservice.luahost import harden, protocol
from jobservice.luahost.channel import Channel
from jobservice.luahost.faults import MEMORY_MESSAGE, describe
from jobservice.luahost.host import Host
from jobservice.luahost.sandbox import StateFactory, load_lua

NICENESS = 5
_CHECK_MEMORY_BYTES = 64 << 20
_MIB = 1 << 20


class Worker:
    """Serves one pool until the pool closes the connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._host = Host(channel, self._leave_full)
        self._factory = StateFactory(load_lua(), self._host)
        self._state = self._factory.make()
        self._memory_bytes = 0
        self._limits = harden.RunLimits()

    def serve(self) -> None:
        """Shut the process in, say so, and work until the pool has gone."""
        layers = harden.harden(self._limits)
        gc.freeze()
        self._channel.send_json(protocol.READY, {"lua": self._factory.version, "layers": layers})
        while (received := self._channel.receive()) is not None:
            kind, order = received
            if kind == protocol.RUN:
                self._channel.send(protocol.DONE, self._run(order))
            elif kind == protocol.CHECK:
                self._channel.send_json(protocol.CHECKED, {"problem": self._check(order)})
            # After the answer: nobody waits while one state is closed and the next is built.
            self._host.end()
            self._state = self._factory.make()

    def _run(self, order: dict[str, Any]) -> bytes:
        self._memory_bytes = order["memory"]
        self._limits.allow(self._memory_bytes, order["limit"])
        state, path = self._state, order["path"]
        source = order["source"].encode("utf-8", "replace")
        seed = float(int.from_bytes(os.urandom(6), "big"))
        state.limit_memory(self._memory_bytes)
        self._host.begin(state, path)
        # The kernel ends the process when the time is over, whatever Lua is doing.
        signal.setitimer(signal.ITIMER_REAL, order["limit"])
        try:
            ended = state.run(source, path.encode(), order["now"], order["offset"], seed)
        except BaseException as error:  # noqa: BLE001 - a state that breaks must not take the worker along
            ended = ("fault", _text_of(error), "")
        signal.setitimer(signal.ITIMER_REAL, 0)
        if ended == ("done", "OK", "", None):
            return protocol.DONE_OK
        return json.dumps(self._report(path, ended)).encode()

    def _report(self, path: str, ended: tuple[Any, ...]) -> dict[str, Any]:
        if ended[0] == "done":
            status, note, seconds = ended[1:]
            return {"outcome": status.lower(), "note": _utf8(note), "sleep": seconds}
        if ended[0] == "invalid":
            line = ended[2] if len(ended) > 2 else None  # noqa: PLR2004 - the line is the third
            fault = {"message": _utf8(ended[1]), "script": path, "line": line, "traceback": ""}
            return {"outcome": "failed", "error": fault}
        if ended[1] == MEMORY_MESSAGE:
            return self._full()
        return {"outcome": "failed", "error": describe(_utf8(ended[1]), _utf8(ended[2]), self._host.scripts)}

    def _full(self) -> dict[str, Any]:
        message = f"The script used more memory than its limit of {self._memory_bytes // _MIB} MiB."
        fault = {"message": message, "script": None, "line": None, "traceback": ""}
        return {"outcome": "failed", "error": fault, "recycle": True}

    def _leave_full(self) -> NoReturn:
        self._channel.send_json(protocol.DONE, self._full())
        os._exit(0)

    def _check(self, order: dict[str, Any]) -> dict[str, Any] | None:
        path = order["path"]
        self._state.limit_memory(_CHECK_MEMORY_BYTES)
        self._limits.allow(_CHECK_MEMORY_BYTES, order["limit"])
        signal.setitimer(signal.ITIMER_REAL, order["limit"])
        problem = self._state.check(order["source"].encode("utf-8", "replace"), path.encode())
        signal.setitimer(signal.ITIMER_REAL, 0)
        if problem is None:
            return None
        fault = describe(_utf8(problem), "", {path})
        return {"line": fault["line"] or 1, "message": fault["message"]}


def _utf8(text: str) -> str:
    """Return a text of the Lua side as what its bytes mean."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _text_of(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return MEMORY_MESSAGE
    return "The Lua runtime broke down."


def main(descriptor: int, parent_pid: int) -> None:
    """Serve the pool at the other end of the socket ``descriptor``.

    :param parent_pid: the process to end with, or 0.
    """
    # What the service ignores or blocks is inherited; the timer must get through.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # These are meant for the service, which closes the socket when it ends.
        signal.signal(number, signal.SIG_IGN)
    if parent_pid:
        harden.die_with(parent_pid)
    os.environ["TZ"] = "UTC0"
    time.tzset()
    os.nice(NICENESS)
    channel = Channel(descriptor)
    try:
        worker = Worker(channel)
    except Exception as error:  # noqa: BLE001 - the pool logs it
        channel.send_json(protocol.FAILED, {"reason": str(error)})
        return
    worker.serve()
