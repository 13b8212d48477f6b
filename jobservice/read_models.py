"""What pages and commands show: plain values that ``jobservice.queries`` reads.

Instants are aware and in UTC; durations are ``timedelta``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobservice.domain.job import JobDefinition, JobId, JobStatus
from jobservice.domain.run import Cause, Outcome, RunError, RunId, RunState


class ServiceState(StrEnum):
    """What the job service is doing, as far as the database tells."""

    RUNNING = "running"
    RELOADING = "reloading"
    STOPPING = "stopping"
    STOPPED = "stopped"
    NEVER_STARTED = "never_started"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The job service at a glance.

    :ivar since: when it entered this state (its last heartbeat when it died); None before its first start.
    :ivar nodes: how many services are alive.
    :ivar last_reload_at: when the last reload ended, or None.
    :ivar missing_hardening: hardening layers this machine lacks, in words.
    """

    state: ServiceState
    since: datetime | None
    nodes: int
    last_reload_at: datetime | None
    missing_hardening: Sequence[str]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that a reload will change; values as a person reads them."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PendingChange:
    """One job whose edited definition waits for a reload.

    :ivar is_new: it has never been loaded; ``changes`` is then empty.
    """

    job_id: JobId
    name: str
    is_new: bool
    changes: Sequence[FieldChange]


@dataclass(frozen=True, slots=True)
class JobRow:
    """One line of the job list.

    :ivar status: as in force; a new job that was never loaded shows what it will be.
    :ivar pending: None, "new" or "changed": what waits for a reload.
    :ivar schedule_words: the schedule in force, as a sentence fragment ("every 2 minutes").
    :ivar next_fire_at: None when nothing is planned.
    :ivar running_run_id: a run that is going on now, or None.
    """

    job_id: JobId
    name: str
    path: str
    status: JobStatus
    active: bool
    pending: str | None
    schedule_words: str
    run_once: bool
    last_run_id: RunId | None
    last_started_at: datetime | None
    last_outcome: Outcome | None
    next_fire_at: datetime | None
    running_run_id: RunId | None
    last_error: RunError | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Part of the job list, ordered by name.

    :ivar next_after: pass it as ``after`` for the next part; None at the end.
    :ivar total: how many jobs there are in all, without filters.
    """

    rows: Sequence[JobRow]
    next_after: str | None
    total: int


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, whole.

    :ivar definition: as edited; ``version`` goes back with an update.
    :ivar loaded: the definition in force, or None before the first reload.
    :ivar last_error_at: when the run with ``last_error`` ended.
    :ivar script_exists: whether a script is stored under the edited path.
    """

    row: JobRow
    definition: JobDefinition
    version: int
    loaded: JobDefinition | None
    changes: Sequence[FieldChange]
    created_at: datetime
    updated_at: datetime
    updated_by: str
    last_error_at: datetime | None
    script_exists: bool


@dataclass(frozen=True, slots=True)
class DeletionPreview:
    """What goes with a job when it is deleted.

    :ivar runs: how many runs are in its history, at most ``runs_counted_to`` (then it means "or more").
    :ivar revisions: how many revisions its script has.
    :ivar running: whether a run is going on, which would be cancelled.
    """

    runs: int
    runs_counted_to: int
    revisions: int
    running: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of a run history.

    :ivar fire_count: how many fire times this line stands for (coalesced or misfired ones); usually 1.
    :ivar duration: None while it runs or when it never started.
    """

    run_id: RunId
    job_id: JobId
    job_name: str
    fire_time: datetime
    first_fire_time: datetime
    fire_count: int
    attempt: int
    cause: Cause
    state: RunState
    outcome: Outcome | None
    started_at: datetime | None
    finished_at: datetime | None
    duration: timedelta | None
    note: str
    error: RunError | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Part of a run history, newest first.

    :ivar next_before: pass it as ``before`` for older runs; None at the end.
    """

    rows: Sequence[RunRow]
    next_before: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, whole.

    :ivar asked_by: who pressed Run, or "" for the schedule.
    :ivar revision: number of the script revision that it ran, or None.
    :ivar lateness: start behind the fire time; None before it started.
    """

    row: RunRow
    path: str
    asked_by: str
    revision: int | None
    lateness: timedelta | None
    cancel_requested: bool
    node: str


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """Some whole lines of a run's log.

    :ivar sequence: from 1, ascending within the run.
    """

    sequence: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class RunOutput:
    """Part of a run's log, oldest first.

    :ivar last_sequence: pass it as ``after`` to get what came since.
    :ivar more: whether more is stored already.
    """

    chunks: Sequence[OutputChunk]
    last_sequence: int
    more: bool


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One saved revision of a script."""

    number: int
    author: str
    saved_at: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ScriptView:
    """A script as the editor shows it.

    :ivar revision: number of the newest revision; send it back with a save.
    :ivar used_by: jobs whose edited definition names this path: id -> name.
    """

    path: str
    source: str
    revision: int
    author: str
    saved_at: datetime
    used_by: Mapping[JobId, str]
