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
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobservice.domain.job import Isolation
from jobservice.domain.run import RunId, RunOrder, RunResult
from jobservice.executors import endings
from jobservice.executors.broker import Broker, BrokerCall
from jobservice.executors.endings import Ending
from jobservice.executors.lua_worker import LuaWorker, WorkerStartError
from jobservice.executors.output import OutputGate
from jobservice.luahost import protocol
from jobservice.ports import Clock, RunEvents, ScriptSource

GROW_AFTER_S = 0.05
SHRINK_AFTER_S = 30.0
WATCHDOG_GRACE_S = 0.03
START_TIMEOUT_S = 15.0
RUNS_PER_WORKER = 5000
RUNS_BETWEEN_MEMORY_CHECKS = 256
GROWTH_ALLOWED_BYTES = 64 << 20
FAILED_STARTS_ALLOWED = 3
"""After so many workers in a row that did not start, waiting runs are given up."""
LONGEST_PAUSE_S = 5.0
CALL_THREADS = 8
SOURCE_SHARE_OF_MEMORY = 16
"""A script's source may take this part of its memory limit: Lua cannot report being full before it runs."""


@dataclass(slots=True)
class _Running:
    """A run that a worker is carrying out."""

    order: RunOrder
    started_at: datetime
    deadline: float
    output: OutputGate = field(default_factory=OutputGate)
    killed_as: Ending | None = None


@dataclass(slots=True, eq=False)
class _Member:
    """A worker and what the pool knows about it.

    :ivar reserved: the order that this worker was started for, alone.
    """

    worker: LuaWorker
    since: float
    reserved: RunOrder | None = None
    is_ready: bool = False
    run: _Running | None = None
    runs: int = 0
    first_size: int = 0
    has_gone: bool = False
    wants_writing: bool = False


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The pool's state at one moment.

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
    :param max_workers: how many there may be while runs have to wait, since
        jobs may sleep.
    :param calls: functions for scripts besides ``require``.
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
    ) -> None:
        self._clock = clock
        self._logger = logger
        self._least = max(1, workers or os.cpu_count() or 1)
        self._most = max(self._least, max_workers)
        self._broker = Broker(scripts, calls or {}, logger)
        self._events: RunEvents | None = None
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._wake_is_sent = False
        self._is_closed = False
        self._is_usable = threading.Event()
        self._start_problem = "no worker answered in time"
        self._selector = selectors.DefaultSelector()
        self._members: set[_Member] = set()
        self._idle: list[_Member] = []
        self._leaving: list[LuaWorker] = []
        self._waiting: deque[tuple[RunOrder, float]] = deque()
        self._waiting_alone: deque[RunOrder] = deque()
        self._running: dict[RunId, _Member] = {}
        self._failed_starts = 0
        self._no_start_before = 0.0
        self._stop_at: float | None = None
        self._lua = ""
        self._layers: dict[str, bool | str] = {}

    # -- called from any thread

    def start(self, events: RunEvents) -> None:
        """Start the workers; returns when the first one is ready.

        :raises WorkerStartError: none could be started; nothing is left running.
        """
        self._events = events
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._calls = ThreadPoolExecutor(CALL_THREADS, thread_name_prefix="lua-call")
        self._thread = threading.Thread(target=self._work, name="lua-pool", daemon=True)
        self._thread.start()
        if not self._is_usable.wait(START_TIMEOUT_S):
            self.stop(timedelta(0))
            raise WorkerStartError(self._start_problem)

    def submit(self, orders: Sequence[RunOrder]) -> None:
        """Accept orders; after ``stop`` they end as ABANDONED at once."""
        self._post(self._accept, tuple(orders))

    def cancel(self, run_id: RunId) -> bool:
        """End a waiting or running order as CANCELLED; False when it is not here."""
        answer: Future[bool] = Future()
        if threading.current_thread() is self._thread:
            self._cancel(run_id, answer)
        else:
            self._post(self._cancel, run_id, answer)
        return answer.result()

    def stop(self, grace: timedelta) -> None:
        """Refuse new orders, wait up to ``grace`` for what runs, then kill the rest as ABANDONED."""
        self._post(self._begin_stop, time.monotonic() + grace.total_seconds())
        self._thread.join()
        self._calls.shutdown(wait=False, cancel_futures=True)

    def report(self) -> PoolReport:
        """Return how many workers there are, what they do, and how they are shut in."""
        members = list(self._members)
        return PoolReport(
            workers=len(members),
            ready=sum(member.is_ready for member in members),
            busy=sum(member.run is not None for member in members),
            waiting=len(self._waiting) + len(self._waiting_alone),
            lua=self._lua,
            layers=dict(self._layers),
        )

    def _post(self, action: Callable[..., None], *arguments: Any) -> None:
        self._inbox.append((action, arguments))
        if self._is_closed:
            self._take_inbox()
        elif not self._wake_is_sent:
            self._wake_is_sent = True
            with contextlib.suppress(BlockingIOError, OSError):
                self._wake_writer.send(b"\0")

    # -- the pool's thread

    def _work(self) -> None:
        while not self._is_over():
            try:
                self._step()
            except Exception:
                self._logger.exception("A step of the Lua pool failed", extra={"event": "lua_pool_step_failed"})
        self._is_closed = True
        self._take_inbox()
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _is_over(self) -> bool:
        return self._stop_at is not None and not self._members and not self._leaving

    def _step(self) -> None:
        self._tend(time.monotonic())
        for key, mask in self._selector.select(self._pause()):
            member = key.data
            if member is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_reader.recv(4096)
            elif not member.has_gone:
                if mask & selectors.EVENT_WRITE:
                    self._flush(member)
                if mask & selectors.EVENT_READ:
                    self._read(member)
        self._wake_is_sent = False
        self._take_inbox()
        self._hand_out()

    def _take_inbox(self) -> None:
        while True:
            try:
                action, arguments = self._inbox.popleft()
            except IndexError:
                return
            action(*arguments)

    def _pause(self) -> float | None:
        """Return how long nothing needs to be done unless something arrives."""
        if self._inbox:
            return 0
        if self._leaving:
            return 0.01
        pause = SHRINK_AFTER_S
        now = time.monotonic()
        for member in self._running.values():
            if member.run is not None and member.run.killed_as is None:
                pause = min(pause, member.run.deadline - now)
        if self._waiting or self._waiting_alone or len(self._members) < self._least:
            pause = min(pause, GROW_AFTER_S)
        if self._stop_at is not None:
            pause = min(pause, max(self._stop_at - now, 0.005))
        return max(pause, 0)

    def _tend(self, now: float) -> None:
        """Do what is due by time alone."""
        if self._leaving:
            self._leaving = [worker for worker in self._leaving if worker.reap(0) is None]
        if self._stop_at is not None:
            self._continue_stop(now)
            return
        for member in list(self._running.values()):
            if member.run is not None and now >= member.run.deadline:
                self._kill(member, endings.timed_out(member.run.order.time_limit))
        self._tend_size(now)

    # -- orders

    def _accept(self, orders: Sequence[RunOrder]) -> None:
        now = time.monotonic()
        for order in orders:
            if self._stop_at is not None:
                self._finish_unstarted(order, endings.ABANDONED)
            elif refusal := _refusal(order):
                self._finish_unstarted(order, refusal)
            elif order.isolation is Isolation.PROCESS:
                self._waiting_alone.append(order)
            else:
                self._waiting.append((order, now))

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            order, _ = self._waiting.popleft()
            self._begin(self._idle.pop(), order)
        while self._waiting_alone and self._may_start():
            if len(self._members) >= self._most:
                if not self._idle:
                    return
                self._retire(self._idle.pop(0))
            self._add_member(self._waiting_alone.popleft())

    def _begin(self, member: _Member, order: RunOrder) -> None:
        started_at = self._clock.now()
        limit_s = order.time_limit.total_seconds()
        payload = json.dumps(
            {
                "path": order.path,
                "source": order.source,
                "now": (order.now or started_at).timestamp(),
                "offset": order.utc_offset.total_seconds(),
                "memory": order.memory_limit_bytes,
                "limit": limit_s,
            }
        )
        if not member.worker.send(protocol.frame(protocol.RUN, payload.encode())):
            # It died while idle, so the order was not touched: another worker gets it.
            self._waiting.appendleft((order, time.monotonic()))
            return
        member.run = _Running(order, started_at, time.monotonic() + limit_s + WATCHDOG_GRACE_S)
        member.runs += 1
        member.since = time.monotonic()
        self._running[order.run_id] = member
        if member.worker.has_unsent:
            self._watch_writing(member, on=True)
        self._tell.run_started(order.run_id, order.fence, started_at)

    @property
    def _tell(self) -> RunEvents:
        assert self._events is not None  # noqa: S101 - the thread that asks is started with events
        return self._events

    def _finish_unstarted(self, order: RunOrder, ending: Ending) -> None:
        now = self._clock.now()
        self._tell.run_finished(_result(order, now, now, ending))

    def _finish(self, member: _Member, ending: Ending) -> None:
        run = member.run
        if run is None:
            return
        member.run = None
        self._running.pop(run.order.run_id, None)
        now = self._clock.now()
        if rest := run.output.rest():
            self._tell.run_output(run.order.run_id, _decoded(rest), now)
        self._tell.run_finished(_result(run.order, run.started_at, now, ending))

    def _cancel(self, run_id: RunId, answer: Future[bool]) -> None:
        answer.set_result(self._cancel_waiting(run_id) or self._cancel_running(run_id))

    def _cancel_waiting(self, run_id: RunId) -> bool:
        for entry in self._waiting:
            if entry[0].run_id == run_id:
                self._waiting.remove(entry)
                self._finish_unstarted(entry[0], endings.CANCELLED)
                return True
        for order in self._waiting_alone:
            if order.run_id == run_id:
                self._waiting_alone.remove(order)
                self._finish_unstarted(order, endings.CANCELLED)
                return True
        for member in self._members:
            if member.reserved is not None and member.reserved.run_id == run_id:
                order, member.reserved = member.reserved, None
                self._finish_unstarted(order, endings.CANCELLED)
                self._retire(member)
                return True
        return False

    def _cancel_running(self, run_id: RunId) -> bool:
        member = self._running.get(run_id)
        if member is None or member.run is None or member.run.killed_as is not None:
            return False
        self._kill(member, endings.CANCELLED)
        return True

    # -- what comes from workers

    def _read(self, member: _Member) -> None:
        try:
            frames = member.worker.receive()
            if frames is None:
                self._bury(member)
            else:
                self._take_frames(member, frames)
        except protocol.ProtocolError as error:
            self._logger.error(
                "A Lua worker broke the protocol: %s", error, extra={"event": "lua_worker_malformed", "pid": member.worker.pid}
            )
            self._kill(member, endings.killed(f"The worker sent what the pool cannot read: {error}."))

    def _take_frames(self, member: _Member, frames: Sequence[tuple[int, bytes]]) -> None:
        entries: list[bytes] = []
        for kind, payload in frames:
            if kind == protocol.LOG:
                if not payload.endswith(b"\n"):
                    raise protocol.ProtocolError("a line of output does not end")
                entries.append(payload)
                continue
            if entries:
                self._take_output(member, entries)
                entries = []
            self._take_frame(member, kind, payload)
        if entries:
            self._take_output(member, entries)

    def _take_output(self, member: _Member, entries: Sequence[bytes]) -> None:
        if member.run is None:
            raise protocol.ProtocolError("output came without a run")
        passed = member.run.output.take(entries)
        if passed:
            self._tell.run_output(member.run.order.run_id, _decoded(passed), self._clock.now())

    def _take_frame(self, member: _Member, kind: int, payload: bytes) -> None:
        run = member.run
        if kind == protocol.DONE and run is not None:
            ending = endings.read_done(payload)
            # A run that is being killed ends when its worker has gone, as it was decided.
            if run.killed_as is None:
                self._finish(member, ending)
                self._reuse(member, is_spent=ending.worker_is_spent)
        elif kind == protocol.CALL and run is not None:
            self._calls.submit(self._answer, member, run, payload)
        elif kind == protocol.READY and not member.is_ready:
            self._welcome(member, payload)
        elif kind == protocol.FAILED and not member.is_ready:
            self._start_problem = str(json.loads(payload).get("reason"))
        else:
            raise protocol.ProtocolError(f"a frame of kind {kind} came at the wrong time")

    def _answer(self, member: _Member, run: _Running, payload: bytes) -> None:
        reply = self._broker.answer(run.order, payload)
        self._post(self._reply, member, run, reply)

    def _reply(self, member: _Member, run: _Running, reply: bytes) -> None:
        if member.run is run and not member.has_gone:
            member.worker.send(reply)
            if member.worker.has_unsent:
                self._watch_writing(member, on=True)

    def _flush(self, member: _Member) -> None:
        member.worker.flush()
        if not member.worker.has_unsent:
            self._watch_writing(member, on=False)

    def _watch_writing(self, member: _Member, *, on: bool) -> None:
        if member.wants_writing != on:
            member.wants_writing = on
            mask = selectors.EVENT_READ | selectors.EVENT_WRITE if on else selectors.EVENT_READ
            self._selector.modify(member.worker.socket, mask, member)

    # -- workers

    def _tend_size(self, now: float) -> None:
        if not self._may_start():
            return
        for _ in range(self._least - len(self._members)):
            self._add_member(None)
        if self._waiting and self._needs_more(now):
            self._add_member(None)
        elif self._idle and len(self._members) > self._least and now - self._idle[0].since > SHRINK_AFTER_S:
            self._retire(self._idle.pop(0))

    def _needs_more(self, now: float) -> bool:
        if now - self._waiting[0][1] <= GROW_AFTER_S or len(self._members) >= self._most:
            return False
        long_busy = 0
        for member in self._members:
            if not member.is_ready:
                return False
            if member.run is not None and now - member.since > GROW_AFTER_S:
                long_busy += 1
        return len(self._members) - long_busy < self._least

    def _may_start(self) -> bool:
        return time.monotonic() >= self._no_start_before

    def _add_member(self, reserved: RunOrder | None) -> None:
        try:
            worker = LuaWorker(follow=True)
        except (OSError, WorkerStartError) as error:
            self._note_failed_start(str(error), reserved)
            return
        member = _Member(worker, time.monotonic(), reserved)
        self._members.add(member)
        self._selector.register(worker.socket, selectors.EVENT_READ, member)

    def _welcome(self, member: _Member, payload: bytes) -> None:
        try:
            greeting = json.loads(payload)
            lua, layers = str(greeting["lua"]), dict(greeting["layers"])
        except (ValueError, KeyError, TypeError) as error:
            raise protocol.ProtocolError("the worker's first words cannot be read") from error
        self._lua, self._layers = lua, layers
        member.is_ready = True
        member.first_size = member.worker.resident_bytes()
        self._failed_starts = 0
        self._is_usable.set()
        if member.reserved is not None:
            self._begin(member, member.reserved)
        else:
            self._make_idle(member)

    def _make_idle(self, member: _Member) -> None:
        member.since = time.monotonic()
        self._idle.append(member)

    def _reuse(self, member: _Member, *, is_spent: bool) -> None:
        if is_spent or member.reserved is not None or member.runs >= RUNS_PER_WORKER or self._has_grown(member):
            self._retire(member)
        elif self._waiting:
            order, _ = self._waiting.popleft()
            self._begin(member, order)
        else:
            self._make_idle(member)

    def _has_grown(self, member: _Member) -> bool:
        if member.runs % RUNS_BETWEEN_MEMORY_CHECKS:
            return False
        return member.worker.resident_bytes() > member.first_size + GROWTH_ALLOWED_BYTES

    def _kill(self, member: _Member, ending: Ending) -> None:
        """Kill a worker; its run, if any, ends so when the last of its output was read."""
        if member.run is not None and member.run.killed_as is None:
            member.run.killed_as = ending
            member.run.deadline = float("inf")
        member.worker.kill()

    def _retire(self, member: _Member) -> None:
        """Let go of a worker that has no run."""
        self._forget(member)
        member.worker.kill()
        member.worker.close()
        self._leaving.append(member.worker)

    def _forget(self, member: _Member) -> None:
        member.has_gone = True
        self._members.discard(member)
        if member in self._idle:
            self._idle.remove(member)
        self._selector.unregister(member.worker.socket)

    def _bury(self, member: _Member) -> None:
        """Deal with a worker that has closed its connection."""
        self._forget(member)
        member.worker.kill()
        member.worker.close()
        status = member.worker.reap()
        if member.run is not None:
            run = member.run
            self._finish(member, run.killed_as or endings.read_exit(status or 0, run.order.time_limit))
        elif not member.is_ready:
            self._note_failed_start(f"it ended with status {status} before it was ready", member.reserved)

    def _note_failed_start(self, reason: str, reserved: RunOrder | None) -> None:
        self._failed_starts += 1
        self._no_start_before = time.monotonic() + min(0.1 * 2**self._failed_starts, LONGEST_PAUSE_S)
        self._logger.error("A Lua worker could not be started: %s", reason, extra={"event": "lua_worker_not_started"})
        if reserved is not None:
            self._waiting_alone.appendleft(reserved)
        if self._failed_starts >= FAILED_STARTS_ALLOWED:
            self._give_up_waiting(reason)

    def _give_up_waiting(self, reason: str) -> None:
        ending = Ending(endings.ABANDONED.outcome, error=endings.RunError(f"No Lua worker can be started: {reason}."))
        orders = [order for order, _ in self._waiting] + list(self._waiting_alone)
        self._waiting.clear()
        self._waiting_alone.clear()
        for order in orders:
            self._finish_unstarted(order, ending)

    # -- the end

    def _begin_stop(self, deadline: float) -> None:
        if self._stop_at is None or deadline < self._stop_at:
            self._stop_at = deadline

    def _continue_stop(self, now: float) -> None:
        for order in [order for order, _ in self._waiting] + list(self._waiting_alone):
            self._finish_unstarted(order, endings.ABANDONED)
        self._waiting.clear()
        self._waiting_alone.clear()
        for member in list(self._members):
            if member.run is None:
                if member.reserved is not None:
                    self._finish_unstarted(member.reserved, endings.ABANDONED)
                self._retire(member)
            elif now >= self._stop_at:
                self._kill(member, endings.ABANDONED)
            elif now >= member.run.deadline:
                self._kill(member, endings.timed_out(member.run.order.time_limit))


def _refusal(order: RunOrder) -> Ending | None:
    """Return why an order cannot even begin, or None."""
    if order.source is None:
        return endings.failed(f"script {order.path} was not found", order.path)
    if len(order.source) > order.memory_limit_bytes // SOURCE_SHARE_OF_MEMORY:
        return endings.failed("too large")
    return None


def _decoded(output: bytes) -> str:
    return endings.clean(output.decode("utf-8", "replace"))


def _result(order: RunOrder, started_at: datetime, finished_at: datetime, ending: Ending) -> RunResult:
    return RunResult(
        run_id=order.run_id,
        fence=order.fence,
        outcome=ending.outcome,
        started_at=started_at,
        finished_at=finished_at,
        note=ending.note,
        sleep=ending.sleep,
        error=ending.error,
    )
