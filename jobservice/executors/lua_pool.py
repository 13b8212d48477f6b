"""The pool: runs Lua scripts in worker processes that wait ready."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from jobservice.domain.run import RunId, RunOrder
from jobservice.executors.broker import Broker, BrokerCall
from jobservice.executors.lua_fleet import GROW_AFTER_S, SHRINK_AFTER_S, START_TIMEOUT_S, Fleet, Member, Running
from jobservice.executors.lua_runs import Runs
from jobservice.executors.lua_worker import WorkerCommand, WorkerStartError, worker_command
from jobservice.luahost import protocol
from jobservice.ports import Clock, RunEvents, ScriptSource

CALL_THREADS = 8

_TEND_INTERVAL_S = 0.005
_REAP_INTERVAL_S = 0.01
_STOP_INTERVAL_S = 0.02
_PAUSE_AFTER_FAILURE_S = 0.1


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The pool's state at one moment.

    :ivar workers: processes, those that are starting included.
    :ivar lua: the Lua implementation, "" before the first worker is ready.
    :ivar layers: hardening layer -> True, or why this machine lacks it.
    """

    workers: int
    ready: int
    busy: int
    waiting: int
    lua: str
    layers: Mapping[str, bool | str]


class LuaPool:
    """Carries runs out in worker processes; see ``ports.Executor``.

    One thread does everything but the calls that scripts make; it never
    blocks, except for about a millisecond when it starts a process.

    :param workers: how many are kept; None for one per processor.
    :param max_workers: how many there may be while runs have to wait for
        others that last, since jobs may sleep.
    :param calls: functions for scripts besides ``require``.
    :param command: starts a worker.
    """

    def __init__(
        self,
        *,
        scripts: ScriptSource,
        clock: Clock,
        workers: int | None = None,
        max_workers: int = 16,
        logger: logging.Logger,
        calls: Mapping[str, BrokerCall] | None = None,
        command: WorkerCommand = worker_command,
    ) -> None:
        self._clock = clock
        self._logger = logger
        self._broker = Broker(scripts, calls or {}, logger)
        self._selector = selectors.DefaultSelector()
        least = max(1, workers or os.cpu_count() or 1)
        self._fleet = Fleet(
            least=least,
            most=max(least, max_workers),
            selector=self._selector,
            command=command,
            on_failed_start=self._note_failed_start,
            logger=logger,
        )
        self._inbox: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._wake_is_sent = False
        self._is_closed = False
        self._is_usable = threading.Event()
        self._start_problem = "no worker answered in time"
        self._stop_at: float | None = None
        self._tend_at = 0.0
        self._lua = ""
        self._layers: dict[str, bool | str] = {}

    # Called from any thread.

    def start(self, events: RunEvents) -> None:
        """Start the workers; returns when the first one is ready.

        :raises WorkerStartError: none could be started; nothing is left running.
        """
        self._runs = Runs(self._fleet, self._clock, events)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._calls = ThreadPoolExecutor(CALL_THREADS, thread_name_prefix="lua-call")
        self._thread = threading.Thread(target=self._work, name="lua-pool", daemon=True)
        self._thread.start()
        self._is_usable.wait(START_TIMEOUT_S)
        if not self._lua:
            self.stop(timedelta(0))
            raise WorkerStartError(self._start_problem)

    def submit(self, orders: Sequence[RunOrder]) -> None:
        """Accept orders; after ``stop`` they end as ABANDONED at once."""
        self._post(self._accept, tuple(orders))

    def cancel(self, run_id: RunId) -> bool:
        """End a waiting or running order as CANCELLED; False when it is not here."""
        answer: Future[bool] = Future()
        if threading.current_thread() is self._thread:
            return self._runs.cancel(run_id)
        self._post(self._cancel, run_id, answer)
        return answer.result()

    def stop(self, grace: timedelta) -> None:
        """Refuse new orders, wait up to ``grace`` for what runs, then kill the rest as ABANDONED."""
        self._post(self._begin_stop, time.monotonic() + grace.total_seconds())
        self._thread.join()
        self._calls.shutdown(wait=False, cancel_futures=True)

    def report(self) -> PoolReport:
        """Return how many workers there are, what they do, and how they are shut in."""
        members = self._fleet.members.copy()
        return PoolReport(
            workers=len(members),
            ready=sum(member.is_ready for member in members),
            busy=sum(member.run is not None for member in members),
            waiting=self._runs.waiting_count,
            lua=self._lua,
            layers=dict(self._layers),
        )

    def _post(self, action: Callable[..., None], *arguments: object) -> None:
        self._inbox.append((action, arguments))
        if self._is_closed:
            self._take_inbox()
        elif not self._wake_is_sent:
            self._wake_is_sent = True
            with contextlib.suppress(OSError):
                self._wake_writer.send(b"\0")

    # Called from the pool's thread.

    def _work(self) -> None:
        while not self._is_over():
            try:
                self._step()
            except Exception:
                self._logger.exception("A step of the Lua pool failed", extra={"event": "lua_pool_step_failed"})
                # What fails for good must not fill the log at full speed.
                time.sleep(_PAUSE_AFTER_FAILURE_S)
        self._is_closed = True
        self._take_inbox()
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _is_over(self) -> bool:
        return self._stop_at is not None and not self._fleet.members and not self._fleet.has_leaving

    def _step(self) -> None:
        for key, mask in self._selector.select(self._pause()):
            member = key.data
            if member is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_reader.recv(4096)
            elif not member.has_gone:
                if mask & selectors.EVENT_WRITE:
                    member.worker.flush()
                    self._fleet.watch_writing(member)
                if mask & selectors.EVENT_READ:
                    self._read(member)
        # In this order: what is posted after the flag falls sends a new wake-up.
        self._wake_is_sent = False
        self._take_inbox()
        self._runs.hand_out()
        # Last, so that what has arrived meanwhile counts.
        now = time.monotonic()
        if now >= self._tend_at or self._fleet.is_short:
            self._tend_at = now + _TEND_INTERVAL_S
            self._tend(now)

    def _take_inbox(self) -> None:
        while self._inbox:
            try:
                action, arguments = self._inbox.popleft()
            except IndexError:
                return
            action(*arguments)

    def _pause(self) -> float:
        """Return how many seconds may pass before something is due by time alone."""
        if self._inbox or not self._tend_at:
            return 0
        if self._fleet.has_leaving:
            return _REAP_INTERVAL_S
        if self._stop_at is not None:
            return _STOP_INTERVAL_S
        if self._runs.waiting_count or self._fleet.is_short:
            return GROW_AFTER_S
        until_deadline = self._runs.next_deadline - time.monotonic()
        return min(max(until_deadline, _TEND_INTERVAL_S), SHRINK_AFTER_S)

    def _tend(self, now: float) -> None:
        if self._fleet.has_leaving:
            self._fleet.reap()
        self._runs.end_overdue(now)
        if self._stop_at is None:
            self._fleet.tend(now, self._runs.waiting_since)
        else:
            self._runs.wind_up(is_time_over=now >= self._stop_at)

    def _accept(self, orders: Sequence[RunOrder]) -> None:
        if self._stop_at is None:
            self._runs.accept(orders)
        else:
            self._runs.refuse(orders)

    def _cancel(self, run_id: RunId, answer: Future[bool]) -> None:
        answer.set_result(self._runs.cancel(run_id))

    def _begin_stop(self, deadline: float) -> None:
        if self._stop_at is None or deadline < self._stop_at:
            self._stop_at = deadline

    def _note_failed_start(self, count: int, reason: str) -> None:
        self._start_problem = reason
        if self._runs.give_up_waiting(count, reason):
            self._is_usable.set()

    def _read(self, member: Member) -> None:
        try:
            frames = member.worker.receive()
            if frames is None:
                self._bury(member)
            else:
                self._take_frames(member, frames)
        except protocol.ProtocolError as error:
            self._logger.error(  # noqa: TRY400 - the worker is at fault: our stack says nothing
                "A Lua worker broke the protocol: %s",
                error,
                extra={"event": "lua_worker_malformed", "pid": member.worker.pid},
            )
            self._runs.kill_malformed(member, str(error))

    def _bury(self, member: Member) -> None:
        status = self._fleet.bury(member)
        if member.run is not None:
            self._runs.finish_dead(member, status)
        elif not member.is_ready:
            if member.reserved is not None:
                self._runs.put_back(member.reserved)
            self._fleet.note_failed_start(
                self._start_problem if status == 0 else f"it ended with status {status} before it was ready"
            )

    def _take_frames(self, member: Member, frames: Sequence[tuple[int, bytes]]) -> None:
        entries: list[bytes] = []
        for kind, payload in frames:
            if kind == protocol.LOG:
                entries.append(payload)
                continue
            if entries:
                self._runs.take_output(member, entries)
                entries = []
            self._take_frame(member, kind, payload)
        if entries:
            self._runs.take_output(member, entries)

    def _take_frame(self, member: Member, kind: int, payload: bytes) -> None:
        if kind == protocol.DONE and member.run is not None:
            self._runs.take_done(member, payload)
        elif kind == protocol.CALL and member.run is not None:
            self._calls.submit(self._answer, member, member.run, payload)
        elif kind == protocol.READY and not member.is_ready:
            self._welcome(member, payload)
        elif kind == protocol.FAILED and not member.is_ready:
            self._start_problem = str(json.loads(payload)["reason"])
        else:
            raise protocol.ProtocolError(f"a frame of kind {kind} came at the wrong time")

    def _welcome(self, member: Member, payload: bytes) -> None:
        greeting = json.loads(payload)
        self._lua, self._layers = str(greeting["lua"]), dict(greeting["layers"])
        self._fleet.welcome(member)
        self._runs.welcome(member)
        self._is_usable.set()

    def _answer(self, member: Member, run: Running, payload: bytes) -> None:
        """Carry out a script's call; on a thread of its own."""
        self._post(self._reply, member, run, self._broker.answer(run.order, payload))

    def _reply(self, member: Member, run: Running, reply: bytes) -> None:
        if member.run is run and not member.has_gone:
            member.worker.send(reply)
            self._fleet.watch_writing(member)
