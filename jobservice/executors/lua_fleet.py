"""The pool's worker processes: how many there are, and their coming and going."""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from jobservice.domain.run import RunOrder
from jobservice.executors.endings import Ending
from jobservice.executors.lua_worker import LuaWorker, WorkerCommand, WorkerStartError
from jobservice.executors.output import OutputGate

GROW_AFTER_S = 0.05
SHRINK_AFTER_S = 30.0
START_TIMEOUT_S = 15.0
RUNS_PER_WORKER = 5000
FAILED_STARTS_ALLOWED = 3
"""After so many workers in a row that did not start, waiting runs are given up."""

_RUNS_BETWEEN_MEMORY_CHECKS = 256
_GROWTH_ALLOWED_BYTES = 64 << 20
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class Running:
    """A run that a worker is carrying out.

    :ivar deadline: when the pool kills the worker, by the monotonic clock.
    :ivar killed_as: how the run ends once its worker has gone, when the pool
        has decided that.
    """

    order: RunOrder
    started_at: datetime
    deadline: float
    output: OutputGate = field(default_factory=OutputGate)
    killed_as: Ending | None = None


@dataclass(slots=True, eq=False)
class Member:
    """A worker and what the pool knows about it.

    :ivar since: when it last changed between starting, idle and busy.
    :ivar reserved: the one order that it was started for, or None.
    """

    worker: LuaWorker
    since: float
    reserved: RunOrder | None = None
    is_ready: bool = False
    run: Running | None = None
    runs: int = 0
    first_bytes: int = 0
    has_gone: bool = False
    wants_writing: bool = False

    def is_spent(self) -> bool:
        """Return whether it has worked enough, or holds too much memory, to be given another run."""
        if self.reserved is not None or self.runs >= RUNS_PER_WORKER:
            return True
        if self.runs % _RUNS_BETWEEN_MEMORY_CHECKS:
            return False
        return self.worker.resident_bytes() > self.first_bytes + _GROWTH_ALLOWED_BYTES


class Fleet:
    """All workers, used by the pool's thread alone.

    :param least: how many there are at any time.
    :param most: how many there may be.
    :param command: starts a worker.
    :param on_failed_start: told how many starts in a row have failed, and why.
    """

    def __init__(
        self,
        *,
        least: int,
        most: int,
        selector: selectors.BaseSelector,
        command: WorkerCommand,
        on_failed_start: Callable[[int, str], None],
        logger: logging.Logger,
    ) -> None:
        self.least = least
        self.most = most
        self.members: set[Member] = set()
        self.idle: list[Member] = []
        self._leaving: list[LuaWorker] = []
        self._selector = selector
        self._command = command
        self._on_failed_start = on_failed_start
        self._logger = logger
        self._failed_starts = 0
        self._no_start_before = 0.0

    @property
    def has_leaving(self) -> bool:
        """Whether processes were told to go and have not been seen ending."""
        return bool(self._leaving)

    @property
    def is_short(self) -> bool:
        """Whether there are fewer workers than there should be."""
        return len(self.members) < self.least

    @property
    def may_start(self) -> bool:
        """Whether a worker may be started now; after failures there is a pause."""
        return time.monotonic() >= self._no_start_before

    def tend(self, now: float, waiting_since: float | None) -> None:
        """Keep the number of workers right.

        :param waiting_since: when the oldest waiting run came, or None.
        """
        for member in self.members:
            if not member.is_ready and now - member.since > START_TIMEOUT_S:
                member.worker.kill()
        if not self.may_start:
            return
        for _ in range(self.least - len(self.members)):
            self.start()
        if (
            waiting_since is not None
            and now - waiting_since > GROW_AFTER_S
            and is_held_up(self.members, least=self.least, most=self.most, now=now)
        ):
            self.start()
        elif self.idle and len(self.members) > self.least and now - self.idle[0].since > SHRINK_AFTER_S:
            self.retire(self.idle.pop(0))

    def start(self, reserved: RunOrder | None = None) -> bool:
        """Start a worker; False when that failed at once."""
        try:
            worker = LuaWorker(follow=True, command=self._command)
        except (OSError, WorkerStartError) as error:
            self.note_failed_start(str(error))
            return False
        member = Member(worker, time.monotonic(), reserved)
        self.members.add(member)
        self._selector.register(worker.socket, selectors.EVENT_READ, member)
        return True

    def welcome(self, member: Member) -> None:
        """Note that a worker is ready."""
        member.is_ready = True
        member.first_bytes = member.worker.resident_bytes()
        self._failed_starts = 0

    def rest(self, member: Member) -> None:
        """Keep a worker for the next run."""
        member.since = time.monotonic()
        self.idle.append(member)

    def watch_writing(self, member: Member) -> None:
        """Watch for room in the worker's socket as long as something is unsent."""
        wanted = member.worker.has_unsent
        if member.wants_writing != wanted:
            member.wants_writing = wanted
            mask = selectors.EVENT_READ | selectors.EVENT_WRITE if wanted else selectors.EVENT_READ
            self._selector.modify(member.worker.socket, mask, member)

    def retire(self, member: Member) -> None:
        """Let go of a worker that has no run."""
        self._forget(member)
        self._leaving.append(member.worker)

    def bury(self, member: Member) -> int | None:
        """Return how a worker that has closed its connection ended, as ``Popen.returncode``."""
        self._forget(member)
        return member.worker.reap()

    def _forget(self, member: Member) -> None:
        member.has_gone = True
        self.members.discard(member)
        if member in self.idle:
            self.idle.remove(member)
        self._selector.unregister(member.worker.socket)
        member.worker.kill()
        member.worker.close()

    def reap(self) -> None:
        """Take note of retired processes that have ended."""
        self._leaving = [worker for worker in self._leaving if worker.reap(0) is None]

    def note_failed_start(self, reason: str) -> None:
        """Pause before the next start, longer each time, and tell the pool."""
        pause = min(_FIRST_PAUSE_S * 2**self._failed_starts, _LONGEST_PAUSE_S)
        self._failed_starts += 1
        self._no_start_before = time.monotonic() + pause
        self._logger.error("A Lua worker could not be started: %s", reason, extra={"event": "lua_worker_not_started"})
        self._on_failed_start(self._failed_starts, reason)


def is_held_up(members: Collection[Member], *, least: int, most: int, now: float) -> bool:
    """Return whether runs that last, as those that sleep, leave too few workers for the others.

    Against a crowd of short runs more processes would not help: it is done
    sooner without their start.
    """
    if len(members) >= most or not all(member.is_ready for member in members):
        return False
    lasting = sum(1 for member in members if member.run and now - member.since > GROW_AFTER_S)
    return len(members) - lasting < least
