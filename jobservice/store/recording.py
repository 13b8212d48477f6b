"""What runs did, written in batches: output, starts, ends, and what the ends do to their jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobservice.domain.job import JobId, JobStatus
from jobservice.domain.run import CRITICAL_OUTCOMES, Cause, Outcome, RunId, RunResult, RunState
from jobservice.domain.status import StatusChange
from jobservice.store import audit
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.planning import ArmedRun
from jobservice.store.runs import OURS_AND_RUNNING, conclude_once, key_of, repeat_run


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A result with what the job's rules need to follow from it."""

    run: ArmedRun
    result: RunResult


@dataclass(slots=True)
class RecordBatch:
    """What one flush writes, in one transaction.

    :ivar output: (run id, sequence, instant, text).
    :ivar started: run id -> (run, instant, script revision).
    :ivar finished: (run with its result, script revision).
    :ivar skipped: (run, outcome, reason, instant): fire times that will not run.
    :ivar requeued: runs that wait until their job is free.
    """

    output: list[tuple[RunId, int, datetime, str]] = field(default_factory=list)
    started: dict[RunId, tuple[ArmedRun, datetime, int | None]] = field(default_factory=dict)
    finished: list[tuple[FinishedRun, int | None]] = field(default_factory=list)
    skipped: list[tuple[ArmedRun, Outcome, str, datetime]] = field(default_factory=list)
    requeued: list[ArmedRun] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return bool(self.output or self.started or self.finished or self.skipped or self.requeued)


class RecordStore:
    """Takes what runs did.  A batch is one transaction, and may be written again when its answer got lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = sqlite if database.is_sqlite else postgresql
        self._insert_output = dialect.insert(t.run_output).on_conflict_do_nothing()

    def record(
        self,
        batch: RecordBatch,
        rule: Callable[[FinishedRun, JobStatus], StatusChange],
        *,
        boot: int,
        now: datetime,
    ) -> set[RunId]:
        """Write a batch: output, starts, ends, and what the ends do to their jobs.

        Safe to repeat when the answer to the commit got lost.

        :param rule: the pure rule by which an end changes its job.
        :returns: finished runs that were refused, because their fence is stale:
            another node has closed them, and their word no longer counts.
        """
        with self._database.write() as connection:
            if batch.output:
                connection.execute(self._insert_output, [_output_row(*line) for line in batch.output])
            if batch.started:
                connection.execute(_START, [_start_row(*start) for start in batch.started.values()])
            if batch.skipped:
                connection.execute(_SKIP, [_skip_row(*skip) for skip in batch.skipped])
                conclude_once(connection, [run.job_id for run, *_ in batch.skipped if run.definition.run_once])
            for run in batch.requeued:
                if connection.execute(_REQUEUE, key_of(run)).rowcount == 0:
                    # One fire time waits already; or this one does, and the answer to the commit got lost.
                    connection.execute(_SKIP, _skip_row(run, Outcome.SKIPPED, _ONE_WAITS, now))
            if not batch.finished:
                return set()
            return self._finish(connection, batch.finished, rule, boot=boot, now=now)

    def _finish(
        self,
        connection: Connection,
        finished: Sequence[tuple[FinishedRun, int | None]],
        rule: Callable[[FinishedRun, JobStatus], StatusChange],
        *,
        boot: int,
        now: datetime,
    ) -> set[RunId]:
        rows = [_finish_row(ended, revision) for ended, revision in finished]
        refused: set[RunId] = set()
        if connection.execute(_FINISH, rows).rowcount != len(rows):
            refused = self._refused(connection, finished)
        accepted = [ended for ended, _ in finished if ended.run.run_id not in refused]
        if accepted:
            connection.execute(_LAST_RUN, [_last_run_row(ended) for ended in accepted])
        for ended in accepted:
            # A plain OK leaves the job as it is, and is by far the most frequent end.
            if ended.result.outcome is not Outcome.OK or ended.run.definition.run_once:
                _follow_up(connection, ended, rule, boot=boot, now=now)
        return refused

    def _refused(self, connection: Connection, finished: Sequence[tuple[FinishedRun, int | None]]) -> set[RunId]:
        wanted = {ended.run.run_id: (ended.run.fence, ended.result) for ended, _ in finished}
        rows = connection.execute(
            select(t.run.c.id, t.run.c.fence, t.run.c.outcome, t.run.c.finished_at).where(t.run.c.id.in_(wanted))
        ).all()
        kept = {
            row.id
            for row in rows
            if row.fence == wanted[row.id][0]
            and row.outcome == wanted[row.id][1].outcome
            and row.finished_at == wanted[row.id][1].finished_at
        }
        return set(wanted) - kept


_START = update(t.run).where(OURS_AND_RUNNING).values(started_at=bindparam("at"), revision=bindparam("rev"))
_ONE_WAITS = "The job was running already, and another fire time waits for it; its overlap policy leaves this one out."
_waiting = t.run.alias("waiting")
_REQUEUE = (
    update(t.run)
    .where(
        OURS_AND_RUNNING,
        (t.run.c.cause != Cause.SCHEDULE)
        | (t.run.c.fence > 1)  # It has waited already.
        | ~select(_waiting.c.id)
        .where(
            _waiting.c.state == RunState.QUEUED,
            _waiting.c.state != RunState.FINISHED,
            _waiting.c.job_id == t.run.c.job_id,
            _waiting.c.cause == Cause.SCHEDULE,
        )
        .exists(),
    )
    .values(state=RunState.QUEUED, node_id=None)
)
_SKIP = (
    update(t.run)
    .where(OURS_AND_RUNNING)
    .values(
        state=RunState.FINISHED,
        outcome=bindparam("result"),
        note=bindparam("words"),
        finished_at=bindparam("at"),
    )
)
_FINISH = (
    update(t.run)
    .where(OURS_AND_RUNNING)
    .values(
        state=RunState.FINISHED,
        outcome=bindparam("result"),
        note=bindparam("words"),
        error=bindparam("fault"),
        revision=bindparam("rev"),
        started_at=bindparam("began"),
        finished_at=bindparam("at"),
    )
)
_LAST_RUN = (
    update(t.job_state)
    .where(t.job_state.c.job_id == bindparam("key_job"))
    .values(last_run_id=bindparam("run"), last_started_at=bindparam("began"), last_outcome=bindparam("result"))
)


def _output_row(run_id: RunId, sequence: int, at: datetime, text: str) -> dict[str, Any]:
    return {"run_id": run_id, "sequence": sequence, "at": at, "text": text}


def _start_row(run: ArmedRun, at: datetime, revision: int | None) -> dict[str, Any]:
    return {"key_id": run.run_id, "key_fence": run.fence, "at": at, "rev": revision}


def _skip_row(run: ArmedRun, outcome: Outcome, reason: str, at: datetime) -> dict[str, Any]:
    return {"key_id": run.run_id, "key_fence": run.fence, "result": outcome, "words": reason, "at": at}


def _finish_row(ended: FinishedRun, revision: int | None) -> dict[str, Any]:
    result = ended.result
    return {
        "key_id": ended.run.run_id,
        "key_fence": ended.run.fence,
        "result": result.outcome,
        "words": result.note,
        "fault": None if result.error is None else asdict(result.error),
        "rev": revision,
        "began": result.started_at,
        "at": result.finished_at,
    }


def _last_run_row(ended: FinishedRun) -> dict[str, Any]:
    return {
        "key_job": ended.run.job_id,
        "run": ended.run.run_id,
        "began": ended.result.started_at,
        "result": ended.result.outcome,
    }


def _follow_up(
    connection: Connection,
    ended: FinishedRun,
    rule: Callable[[FinishedRun, JobStatus], StatusChange],
    *,
    boot: int,
    now: datetime,
) -> None:
    run, result = ended.run, ended.result
    current = select(t.job_state.c.status).where(t.job_state.c.job_id == run.job_id).with_for_update()
    status = connection.execute(current).scalar_one_or_none()
    change = StatusChange() if status is None else rule(ended, JobStatus(status))
    values: dict[str, Any] = {}
    if result.error is not None and result.outcome in CRITICAL_OUTCOMES:
        values |= {"last_error": asdict(result.error), "last_error_at": result.finished_at}
    if change.status is not None:
        values["status"] = change.status
    if change.sets_next:
        values["next_fire_at"] = change.next_fire_at
    if change.ran_once:
        values["ran_once_in_boot"] = boot
    if values:
        connection.execute(update(t.job_state).where(t.job_state.c.job_id == run.job_id).values(**values))
    if change.halts:
        _take_back(connection, run.job_id, now)
    if change.deactivates:
        _deactivate(connection, run, result, now=now)
    if result.outcome is Outcome.ABANDONED:
        row = connection.execute(select(t.run).where(t.run.c.id == run.run_id)).mappings().one()
        note = repeat_run(connection, dict(row), allowed=run.definition.repeat_after_crash, now=now)
        note = f"{result.note} {note}".strip()
        connection.execute(update(t.run).where(t.run.c.id == run.run_id).values(note=note))
        conclude_once(connection, [run.job_id])


def _take_back(connection: Connection, job_id: JobId, now: datetime) -> None:
    """Remove fire times planned ahead of a result that says otherwise, and close those that waited for the job.

    The former have not come yet: it is as if they had never been planned.
    """
    scheduled = (t.run.c.job_id == job_id) & (t.run.c.cause == Cause.SCHEDULE) & (t.run.c.state != RunState.FINISHED)
    waited = update(t.run).where(scheduled, t.run.c.state == RunState.QUEUED)
    reason = "The run before it ended with a return that takes the job out of its schedule."
    connection.execute(waited.values(state=RunState.FINISHED, outcome=Outcome.CANCELLED, note=reason, finished_at=now))
    if connection.execute(delete(t.run).where(scheduled, t.run.c.state == RunState.LEASED)).rowcount:
        last = select(func.max(t.run.c.fire_time)).where(t.run.c.job_id == job_id, t.run.c.cause == Cause.SCHEDULE)
        state = select(t.job_state.c.began_at, last.scalar_subquery()).where(t.job_state.c.job_id == job_id)
        anchors = [instant for instant in connection.execute(state).one() if instant is not None]
        connection.execute(
            update(t.job_state).where(t.job_state.c.job_id == job_id).values(anchor_at=max(anchors, default=None))
        )


def _deactivate(connection: Connection, run: ArmedRun, result: RunResult, *, now: datetime) -> None:
    switched = connection.execute(
        update(t.job)
        .where(t.job.c.id == run.job_id, t.job.c.active)
        .values(active=False, version=t.job.c.version + 1, updated_at=now, updated_by="service")
    )
    if switched.rowcount:
        reason = result.outcome if result.error is None else str(result.error)
        detail = {"run": run.run_id, "reason": str(reason)[:500]}
        audit.record(connection, "job.deactivate", at=now, by="service", subject=run.definition.name, detail=detail)
