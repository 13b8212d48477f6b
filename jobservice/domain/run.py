"""Runs: what an execution is ordered as, and how it can end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from jobservice.domain.job import Isolation, JobId

RunId = NewType("RunId", int)


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    """Nobody's yet: asked for by hand, a repeat, or waiting for the job to be free."""
    LEASED = "leased"
    """A node has armed it and will start it at its fire time."""
    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a run, or a fire time that did not run, ended.  Set once."""

    OK = "ok"
    SLEEP = "sleep"
    STOP = "stop"
    EXIT = "exit"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    MISFIRED = "misfired"
    SKIPPED = "skipped"


class Cause(StrEnum):
    """Why a run exists."""

    SCHEDULE = "schedule"
    HAND = "hand"
    RETRY = "retry"


CRITICAL_OUTCOMES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED})
"""Outcomes that are the script's fault and deactivate its job."""


@dataclass(frozen=True, slots=True)
class RunError:
    """What went wrong in a run, in words, and where.

    :ivar message: one or more lines, at most 4 KiB, already without the
        ``path:line:`` prefix when ``script`` and ``line`` are known.
    :ivar script: path of the script that raised it, or None.
    :ivar line: line in that script, from 1, or None.
    :ivar traceback: Lua traceback without the runtime's own frames, or "".
    """

    message: str
    script: str | None = None
    line: int | None = None
    traceback: str = ""

    def __str__(self) -> str:
        """Return ``path:line: message`` as far as known."""
        if self.script is None:
            return self.message
        if self.line is None:
            return f"{self.script}: {self.message}"
        return f"{self.script}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """All that an executor needs to carry one run out.

    :ivar source: Lua source, or None when the script does not exist (the
        executor then finishes the run as failed with a "not found" error).
    :ivar now: the instant the script sees as the present when it starts,
        or None for the executor's clock at the start.
    :ivar utc_offset: offset of the server's local time at that instant.
    """

    run_id: RunId
    fence: int
    job_id: JobId
    job_name: str
    path: str
    source: str | None
    time_limit: timedelta
    memory_limit_bytes: int
    isolation: Isolation = Isolation.POOLED
    now: datetime | None = None
    utc_offset: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How an execution ended, as its executor reports it.

    :ivar sleep: with outcome SLEEP, how long; None for the usual 24 hours.
    :ivar note: the text a script gave beside its return value, or "".
    """

    run_id: RunId
    fence: int
    outcome: Outcome
    started_at: datetime
    finished_at: datetime
    note: str = ""
    sleep: timedelta | None = None
    error: RunError | None = None
