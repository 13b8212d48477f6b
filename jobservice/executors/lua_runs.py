"""The pool's orders: waiting, running, and how each of them ends exactly once."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted

from jobservice.domain.job import Isolation
from jobservice.domain.run import RunId, RunOrder, RunResult
from jobservice.executors import endings
from jobservice.executors.endings import Ending
from jobservice.executors.lua_fleet import FAILED_STARTS_ALLOWED, Fleet, Member, Running
from jobservice.luahost import protocol
from jobservice.ports import Clock, RunEvents

WATCHDOG_GRACE_S = 0.03
"""How much longer than its limit a run may live before the pool kills its worker; the kernel's timer comes first."""
SOURCE_SHARE_OF_MEMORY = 16
"""A source may take up to this part of its memory limit, so that loading it never fills the memory."""


class Runs:
    """Every order that the pool has accepted and not yet finished.

    Used by the pool's thread alone.

    :ivar next_deadline: no run is to be killed before this, by the monotonic
        clock; the run that it was noted for may have ended.
    """

    def __init__(self, fleet: Fleet, clock: Clock, events: RunEvents) -> None:
        self._fleet = fleet
        self._clock = clock
        self._events = events
        self._waiting: deque[tuple[RunOrder, float]] = deque()
        self._waiting_alone: deque[RunOrder] = deque()
        self._running: dict[RunId, Member] = {}
        self.next_deadline = math.inf

    @property
    def waiting_count(self) -> int:
        """How many orders have no worker yet."""
        return len(self._waiting) + len(self._waiting_alone)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest order for the pool came, by the monotonic clock; None when none waits."""
        return self._waiting[0][1] if self._waiting else None

    # From an order to a running script.

    def accept(self, orders: Iterable[RunOrder]) -> None:
        """Let the orders wait for a worker; those that cannot begin end at once."""
        now = time.monotonic()
        for order in orders:
            if refusal := _refusal(order):
                self._finish_unstarted(order, refusal)
            elif order.isolation is Isolation.PROCESS:
                self._waiting_alone.append(order)
            else:
                self._waiting.append((order, now))

    def refuse(self, orders: Iterable[RunOrder], ending: Ending = endings.ABANDONED) -> None:
        """End orders that will not begin."""
        for order in orders:
            self._finish_unstarted(order, ending)

    def put_back(self, order: RunOrder) -> None:
        """Let an order wait again for a worker of its own."""
        self._waiting_alone.appendleft(order)

    def hand_out(self) -> None:
        """Give waiting orders to workers as far as there are any."""
        while self._waiting and self._fleet.idle:
            order, _ = self._waiting.popleft()
            self._begin(self._fleet.idle.pop(), order)
        while self._waiting_alone and self._fleet.may_start:
            if len(self._fleet.members) >= self._fleet.most:
                if not self._fleet.idle:
                    return
                self._fleet.retire(self._fleet.idle.pop(0))
            order = self._waiting_alone.popleft()
            if not self._fleet.start(order):
                self.put_back(order)

    def welcome(self, member: Member) -> None:
        """Use a worker that has just become ready."""
        if member.reserved is not None:
            self._begin(member, member.reserved)
        else:
            self._fleet.rest(member)

    def _begin(self, member: Member, order: RunOrder) -> None:
        started_at = self._clock.now()
        limit_s = order.time_limit.total_seconds()
        if not member.worker.send(_run_frame(order, order.now or started_at, limit_s)):
            # It died while idle, so the script was not begun: another worker gets it.
            if member.reserved is not None:
                member.reserved = None
                self.put_back(order)
            else:
                self._waiting.appendleft((order, time.monotonic()))
            return
        member.since = time.monotonic()
        member.run = Running(order, started_at, member.since + limit_s + WATCHDOG_GRACE_S)
        member.runs += 1
        self._running[order.run_id] = member
        self.next_deadline = min(self.next_deadline, member.run.deadline)
        self._fleet.watch_writing(member)
        self._events.run_started(order.run_id, order.fence, started_at)

    # From a running script to its end.

    def take_output(self, member: Member, entries: Sequence[bytes]) -> None:
        """Report entries of a run's log.

        :raises ProtocolError: there is no run, or an entry is not whole.
        """
        if member.run is None:
            raise protocol.ProtocolError("output came without a run")
        for entry in entries:
            if entry[-1:] != b"\n":
                raise protocol.ProtocolError("a line of output has no end")
        if passed := member.run.output.take(entries):
            self._events.run_output(member.run.order.run_id, _decoded(passed), self._clock.now())

    def take_done(self, member: Member, payload: bytes) -> None:
        """End a run as its worker reports it.

        :raises ProtocolError: the report cannot be read.
        """
        ending = endings.read_done(payload)
        if member.run is None or member.run.killed_as is not None:
            # It was too late: the run ends as was decided, when its worker has gone.
            return
        self._finish(member, ending)
        if ending.worker_is_spent or member.is_spent():
            self._fleet.retire(member)
        elif self._waiting:
            order, _ = self._waiting.popleft()
            self._begin(member, order)
        else:
            self._fleet.rest(member)

    def finish_dead(self, member: Member, status: int | None) -> None:
        """End the run of a worker that has gone.

        :param status: as ``Popen.returncode``; None when it could not be told.
        """
        if member.run is not None:
            run = member.run
            ending = run.killed_as or endings.read_exit(status or 0, run.order.time_limit)
            self._finish(member, ending)

    def kill_malformed(self, member: Member, problem: str) -> None:
        """Kill a worker that sent nonsense."""
        member.worker.mute()
        self._kill(member, endings.killed(f"The worker was killed because it broke the protocol: {problem}."))

    def end_overdue(self, now: float) -> None:
        """Kill the workers whose runs have outlived their limit."""
        if now < self.next_deadline:
            return
        self.next_deadline = math.inf
        for member in self._running.values():
            if member.run is None or member.run.killed_as is not None:
                continue
            if now >= member.run.deadline:
                self._kill(member, endings.timed_out(member.run.order.time_limit))
            else:
                self.next_deadline = min(self.next_deadline, member.run.deadline)

    def cancel(self, run_id: RunId) -> bool:
        """End an order as CANCELLED; False when it is not here."""
        order = self._take_waiting(run_id)
        if order is not None:
            self._finish_unstarted(order, endings.CANCELLED)
            return True
        member = self._running.get(run_id)
        if member is None or member.run is None or member.run.killed_as is not None:
            return False
        self._kill(member, endings.CANCELLED)
        return True

    def _take_waiting(self, run_id: RunId) -> RunOrder | None:
        for entry in self._waiting:
            if entry[0].run_id == run_id:
                self._waiting.remove(entry)
                return entry[0]
        for order in self._waiting_alone:
            if order.run_id == run_id:
                self._waiting_alone.remove(order)
                return order
        for member in self._fleet.members:
            order_of_member = member.reserved
            if order_of_member is not None and member.run is None and order_of_member.run_id == run_id:
                self._fleet.retire(member)
                return order_of_member
        return None

    def give_up_waiting(self, failed_starts: int, reason: str) -> bool:
        """End what waits as ABANDONED when too many workers in a row could not be started; False before that."""
        if failed_starts < FAILED_STARTS_ALLOWED:
            return False
        self._abandon_waiting(endings.abandoned(f"No Lua worker can be started: {reason}."))
        return True

    def wind_up(self, *, is_time_over: bool) -> None:
        """End what waits as ABANDONED and let go of idle workers; with ``is_time_over`` kill the running ones too."""
        self._abandon_waiting(endings.ABANDONED)
        for member in self._fleet.members.copy():
            if member.run is None:
                self._fleet.retire(member)
                if member.reserved is not None:
                    self._finish_unstarted(member.reserved, endings.ABANDONED)
            elif is_time_over:
                self._kill(member, endings.ABANDONED)

    def _abandon_waiting(self, ending: Ending) -> None:
        orders = [order for order, _ in self._waiting] + list(self._waiting_alone)
        self._waiting.clear()
        self._waiting_alone.clear()
        self.refuse(orders, ending)

    def _kill(self, member: Member, ending: Ending) -> None:
        """Kill a worker; its run ends as ``ending`` when the last of its output was read."""
        if member.run is not None and member.run.killed_as is None:
            member.run.killed_as = ending
        member.worker.kill()

    def _finish(self, member: Member, ending: Ending) -> None:
        run = member.run
        if run is None:
            return
        member.run = None
        self._running.pop(run.order.run_id, None)
        now = self._clock.now()
        if rest := run.output.rest():
            self._events.run_output(run.order.run_id, _decoded(rest), now)
        self._events.run_finished(_result(run.order, run.started_at, now, ending))

    def _finish_unstarted(self, order: RunOrder, ending: Ending) -> None:
        now = self._clock.now()
        self._events.run_finished(_result(order, now, now, ending))


def _refusal(order: RunOrder) -> Ending | None:
    """Return why an order cannot even begin, or None."""
    if order.source is None:
        return endings.failed(f"script {order.path} was not found", order.path)
    allowed = min(order.memory_limit_bytes // SOURCE_SHARE_OF_MEMORY, protocol.SOURCE_MAX_BYTES)
    size = len(order.source)
    if size * 4 > allowed:
        size = len(order.source.encode("utf-8", "replace"))
    if size > allowed:
        return endings.failed(
            f"The script has {size:,} bytes; its memory limit allows {allowed:,} (a sixteenth of it).", order.path
        )
    return None


def _run_frame(order: RunOrder, now: datetime, limit_s: float) -> bytes:
    # Written by hand, since this is most of what the pool does for a short run.
    payload = (
        f'{{"path":{quoted(order.path)},"source":{quoted(order.source or "")},"now":{now.timestamp()!r},'
        f'"offset":{order.utc_offset.total_seconds()!r},"memory":{order.memory_limit_bytes},"limit":{limit_s!r}}}'
    )
    return protocol.frame(protocol.RUN, payload.encode("ascii"))


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
