"""Compiles scripts for the editor, in a worker process of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from jobservice.executors.endings import clean
from jobservice.executors.lua_worker import LuaWorker, WorkerStartError
from jobservice.luahost import protocol
from jobservice.ports import ScriptProblem

CHECK_LIMIT_S = 2.0
IDLE_END_S = 60.0

_START_LIMIT_S = 15.0
_ANSWER_GRACE_S = 0.5


class _WorkerLostError(Exception):
    """The worker ended, or did not answer in time."""


class LuaScriptChecker:
    """Compiles sources without running them; see ``ports.ScriptChecker``.

    The worker is started at the first check and ended when it was idle for a
    while.  Safe from any thread; checks wait for each other.

    :param idle_end_s: how long the worker is kept without work.
    """

    def __init__(self, *, idle_end_s: float = IDLE_END_S) -> None:
        self._idle_end_s = idle_end_s
        self._lock = threading.Lock()
        self._worker: LuaWorker | None = None
        self._timer: threading.Timer | None = None

    @property
    def worker_pid(self) -> int | None:
        """The process that is kept at the moment, or None."""
        worker = self._worker
        return None if worker is None else worker.pid

    def check(self, path: str, source: str) -> Sequence[ScriptProblem]:
        """Return what is wrong with the source; empty when it compiles.

        A source that cannot be compiled within two seconds, or that brings the
        compiler down, is a problem too.

        :raises WorkerStartError: no worker can be started.
        """
        if len(source.encode("utf-8", "replace")) > protocol.SOURCE_MAX_BYTES:
            return (ScriptProblem(1, f"the script is larger than {protocol.SOURCE_MAX_BYTES >> 20} MiB"),)
        with self._lock:
            self._stop_timer()
            try:
                answer = self._ask(self._ready_worker(), path, source)
            except _WorkerLostError:
                self._end_worker()
                return (ScriptProblem(1, f"the script could not be compiled within {CHECK_LIMIT_S:g} s"),)
            self._start_timer()
        problem = answer["problem"]
        return () if problem is None else (ScriptProblem(int(problem["line"]), clean(str(problem["message"]))),)

    def close(self) -> None:
        """End the worker; a later check starts another."""
        with self._lock:
            self._stop_timer()
            self._end_worker()

    def _ready_worker(self) -> LuaWorker:
        if self._worker is not None and self._worker.reap(0) is not None:
            self._end_worker()
        if self._worker is None:
            self._worker = LuaWorker(follow=False)
            try:
                kind, payload = _next_frame(self._worker, time.monotonic() + _START_LIMIT_S)
            except _WorkerLostError:
                self._end_worker()
                raise WorkerStartError("it ended, or was not ready in time") from None
            if kind != protocol.READY:
                self._end_worker()
                raise WorkerStartError(str(json.loads(payload).get("reason")))
        return self._worker

    def _ask(self, worker: LuaWorker, path: str, source: str) -> dict[str, Any]:
        order = {"path": path, "source": source, "limit": CHECK_LIMIT_S}
        deadline = time.monotonic() + CHECK_LIMIT_S + _ANSWER_GRACE_S
        worker.socket.settimeout(CHECK_LIMIT_S)
        try:
            worker.socket.sendall(protocol.frame(protocol.CHECK, json.dumps(order).encode()))
        except OSError as error:
            raise _WorkerLostError from error
        kind, payload = _next_frame(worker, deadline)
        if kind != protocol.CHECKED:
            raise _WorkerLostError
        answer: dict[str, Any] = json.loads(payload)
        return answer

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.close()
            worker.reap()

    def _start_timer(self) -> None:
        timer = threading.Timer(self._idle_end_s, self._end_idle)
        timer.daemon = True
        timer.name = "lua-checker-idle"
        self._timer = timer
        timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_idle(self) -> None:
        with self._lock:
            # A timer that was already running when it was cancelled is no longer the newest.
            if self._timer is threading.current_thread():
                self._timer = None
                self._end_worker()


def _next_frame(worker: LuaWorker, deadline: float) -> tuple[int, bytes]:
    while (left := deadline - time.monotonic()) > 0:
        worker.socket.settimeout(left)
        try:
            frames = worker.receive()
        except protocol.ProtocolError as error:
            raise _WorkerLostError from error
        if frames is None:
            break
        if frames:
            return frames[0]
    raise _WorkerLostError
