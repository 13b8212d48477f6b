"""Runs from their claim to their end: whoever holds the fence may write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobservice.domain.job import JobId, JobStatus
from jobservice.domain.run import CRITICAL_OUTCOMES, Cause, Outcome, RunError, RunId, RunResult, RunState
from jobservice.domain.status import StatusChange
from jobservice.store import audit
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.planning import ArmedRun
from jobservice.store.types import is_key

_MICROSECOND = timedelta(microseconds=1)
MAX_ATTEMPTS = 5
"""How often one fire time is tried when the service dies under it."""


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
    :ivar skipped: (run, reason): fire times that will not run.
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


class RunStore:
    """Durable runs.  Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = sqlite if database.is_sqlite else postgresql
        # A commit whose answer got lost is written again.
        self._insert_output = dialect.insert(t.run_output).on_conflict_do_nothing()

    def claim(self, runs: Sequence[ArmedRun], *, node_id: int) -> set[RunId]:
        """Claim leased runs for their start; nothing may start without it.

        :returns: the runs that are still this node's and wanted; the others
            were retracted, cancelled or taken over, and must not start.
        """
        by_fence: defaultdict[int, list[RunId]] = defaultdict(list)
        for run in runs:
            by_fence[run.fence].append(run.run_id)
        # A run that was taken back and leased again may still be armed here with the fence it had before.
        ours = or_(*((t.run.c.id.in_(ids)) & (t.run.c.fence == fence) for fence, ids in by_fence.items()))
        claimed = (
            update(t.run)
            .where(
                ours,
                t.run.c.state == RunState.LEASED,
                t.run.c.node_id == node_id,
                t.run.c.cancel_requested.is_(False),
            )
            .values(state=RunState.RUNNING)
            .returning(t.run.c.id)
        )
        with self._database.write() as connection:
            return {RunId(run_id) for run_id in connection.execute(claimed).scalars()}

    def jobs_running_elsewhere(self, job_ids: Sequence[JobId], *, node_id: int) -> set[JobId]:
        """Return which of these jobs have a run going on at another node."""
        query = select(t.run.c.job_id).where(
            t.run.c.state == RunState.RUNNING,
            t.run.c.state != RunState.FINISHED,
            t.run.c.job_id.in_(job_ids),
            t.run.c.node_id != node_id,
        )
        with self._database.read() as connection:
            return {JobId(job_id) for job_id in connection.execute(query).scalars()}

    def cancel_requests(self, *, node_id: int) -> list[RunId]:
        """Return this node's running runs that somebody wants cancelled."""
        query = select(t.run.c.id).where(
            t.run.c.state == RunState.RUNNING,
            t.run.c.state != RunState.FINISHED,
            t.run.c.cancel_requested,
            t.run.c.node_id == node_id,
        )
        with self._database.read() as connection:
            return [RunId(run_id) for run_id in connection.execute(query).scalars()]

    def held_by(self, node_id: int) -> set[RunId]:
        """Return the unfinished runs on record as this node's."""
        query = select(t.run.c.id).where(t.run.c.state != RunState.FINISHED, t.run.c.node_id == node_id)
        with self._database.read() as connection:
            return {RunId(run_id) for run_id in connection.execute(query).scalars()}

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
            if batch.requeued:
                connection.execute(_REQUEUE, [_key(run) for run in batch.requeued])
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

    def unclaim(self, runs: Sequence[ArmedRun]) -> None:
        """Give back claims of runs that have not started, so that they can be retracted."""
        with self._database.write() as connection:
            connection.execute(_UNCLAIM, [_key(run) for run in runs])

    def close_lost(self, node_ids: Sequence[int], *, now: datetime, limit: int) -> int:
        """Close runs that were going on at dead nodes as abandoned, and queue another attempt where the job allows.

        :returns: how many were closed; call again while it equals ``limit``.
        """
        reason = "The service on {hostname} ended while this run was going on."
        return self._close(t.run.c.node_id.in_(node_ids), reason, now=now, limit=limit)

    def close_forgotten(self, run_ids: Sequence[RunId], *, now: datetime) -> int:
        """Close runs that a living service has lost track of, as abandoned; see ``close_lost``."""
        reason = "The service on {hostname} lost track of this run; its log tells why."
        return self._close(t.run.c.id.in_(run_ids), reason, now=now, limit=len(run_ids))

    def _close(self, which: ColumnElement[bool], reason: str, *, now: datetime, limit: int) -> int:
        running = (
            select(t.run, t.node.c.hostname, t.job_state.c.loaded)
            .join(t.node, t.node.c.id == t.run.c.node_id)
            .outerjoin(t.job_state, t.job_state.c.job_id == t.run.c.job_id)
            .where(t.run.c.state == RunState.RUNNING, t.run.c.state != RunState.FINISHED, which)
            .limit(limit)
            .with_for_update(skip_locked=True, of=t.run)
        )
        with self._database.write() as connection:
            rows = connection.execute(running).mappings().all()
            for row in rows:
                note = reason.format(hostname=row["hostname"])
                repeat = row["loaded"] is not None and row["loaded"].repeat_after_crash
                note += _repeat(connection, dict(row), allowed=repeat, now=now)
                connection.execute(
                    update(t.run)
                    .where(t.run.c.id == row["id"])
                    .values(
                        state=RunState.FINISHED,
                        outcome=Outcome.ABANDONED,
                        fence=t.run.c.fence + 1,
                        note=note,
                        finished_at=now,
                    )
                )
        return len(rows)

    def purge(self, *, finished_before: datetime, limit: int) -> int:
        """Remove a small batch of history older than an instant and return its size.

        The newest run of a job stays, however old, so that the list still
        shows when it ran last.
        """
        return self._purge(
            select(t.run.c.id)
            .where(t.run.c.state == RunState.FINISHED, t.run.c.created_at < finished_before, ~_IS_NEWEST_THAT_RAN)
            .order_by(t.run.c.id)
            .limit(limit)
        )

    def purge_deleted_jobs(self, *, limit: int) -> int:
        """Remove a small batch of the history of one deleted job and return its size."""
        with self._database.read() as connection:
            job_id = connection.execute(select(t.deleted_job.c.job_id).limit(1)).scalar_one_or_none()
        if job_id is None:
            return 0
        of_job = t.run.c.job_id == job_id
        removed = self._purge(select(t.run.c.id).where(of_job, t.run.c.state == RunState.FINISHED).limit(limit))
        with self._database.write() as connection:
            if connection.execute(select(t.run.c.id).where(of_job).limit(1)).first() is None:
                connection.execute(delete(t.deleted_job).where(t.deleted_job.c.job_id == job_id))
        return removed

    def jobs_with_history(self, *, after: int, limit: int) -> list[JobId]:
        """Return ids of jobs that ran at least once, ascending."""
        query = select(t.job_state.c.job_id).where(t.job_state.c.job_id > after, t.job_state.c.last_run_id.is_not(None))
        with self._database.read() as connection:
            return [
                JobId(job_id)
                for job_id in connection.execute(query.order_by(t.job_state.c.job_id).limit(limit)).scalars()
            ]

    def purge_surplus(self, job_id: JobId, *, keep: int, limit: int = 500) -> int:
        """Remove a small batch of a job's runs beyond its newest ``keep`` and return its size."""
        edge = select(t.run.c.id).where(t.run.c.job_id == job_id).order_by(t.run.c.id.desc()).offset(keep).limit(1)
        with self._database.read() as connection:
            newest_victim = connection.execute(edge).scalar_one_or_none()
        if newest_victim is None:
            return 0
        return self._purge(
            select(t.run.c.id)
            .where(t.run.c.job_id == job_id, t.run.c.id <= newest_victim, t.run.c.state == RunState.FINISHED)
            .where(~_IS_NEWEST_THAT_RAN)
            .order_by(t.run.c.id)
            .limit(limit)
        )

    def _purge(self, victims: Any) -> int:
        with self._database.write() as connection:
            ids = list(connection.execute(victims).scalars())
            if ids:
                connection.execute(delete(t.run_output).where(t.run_output.c.run_id.in_(ids)))
                connection.execute(delete(t.run).where(t.run.c.id.in_(ids)))
        return len(ids)


_IS_NEWEST_THAT_RAN = (
    select(t.job_state.c.job_id)
    .where(t.job_state.c.job_id == t.run.c.job_id, t.job_state.c.last_run_id == t.run.c.id)
    .exists()
)
_OURS = (t.run.c.id == bindparam("key_id")) & (t.run.c.fence == bindparam("key_fence"))
_RUNNING = _OURS & (t.run.c.state == RunState.RUNNING)
_START = update(t.run).where(_RUNNING).values(started_at=bindparam("at"), revision=bindparam("rev"))
_UNCLAIM = update(t.run).where(_RUNNING).values(state=RunState.LEASED)
_REQUEUE = update(t.run).where(_RUNNING).values(state=RunState.QUEUED, node_id=None)
_SKIP = (
    update(t.run)
    .where(_RUNNING)
    .values(
        state=RunState.FINISHED,
        outcome=bindparam("result"),
        note=bindparam("words"),
        finished_at=bindparam("at"),
    )
)
_FINISH = (
    update(t.run)
    .where(_RUNNING)
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


def _key(run: ArmedRun) -> dict[str, Any]:
    return {"key_id": run.run_id, "key_fence": run.fence}


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
        note = result.note + _repeat(connection, dict(row), allowed=run.definition.repeat_after_crash, now=now)
        connection.execute(update(t.run).where(t.run.c.id == run.run_id).values(note=note))


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


_REPEATED = " It is repeated as another attempt."


def _repeat(connection: Connection, row: dict[str, Any], *, allowed: bool, now: datetime) -> str:
    """Queue another attempt where that is allowed, and say what was done."""
    if not allowed:
        return " It is not repeated, as the job asks."
    if row["cancel_requested"]:
        return " It is not repeated, since it was to be cancelled."
    if row["attempt"] >= MAX_ATTEMPTS:
        return f" It is not repeated again after {MAX_ATTEMPTS} attempts."
    same_fire_time = (t.run.c.job_id == row["job_id"]) & (t.run.c.fire_time == row["fire_time"])
    queued = select(t.run.c.id).where(same_fire_time, t.run.c.attempt == row["attempt"] + 1)
    if connection.execute(queued).first():
        return _REPEATED
    again = {
        name: row[name]
        for name in ("job_id", "fire_time", "first_fire_time", "fire_count", "path", "asked_by", "fence")
    }
    connection.execute(
        insert(t.run).values(
            **again,
            attempt=row["attempt"] + 1,
            cause=Cause.RETRY,
            state=RunState.QUEUED,
            note="",
            cancel_requested=False,
            created_at=now,
        )
    )
    return _REPEATED


def cancel_waiting(connection: Connection, job_id: JobId, *, by: str, at: datetime) -> None:
    """Close a job's queued runs that nobody asked for by hand; they were part of its schedule."""
    waiting = (t.run.c.job_id == job_id) & (t.run.c.state == RunState.QUEUED) & (t.run.c.state != RunState.FINISHED)
    reason = f"Cancelled before it started: {by} deactivated the job."
    connection.execute(
        update(t.run)
        .where(waiting, t.run.c.cause != Cause.HAND)
        .values(state=RunState.FINISHED, outcome=Outcome.CANCELLED, note=reason, finished_at=at)
    )


def request_run(connection: Connection, *, job_id: JobId, path: str, by: str, at: datetime) -> RunId:
    """Queue a run by hand and return its id."""
    fire_time = _free_instant(connection, job_id, at)
    return RunId(
        connection.execute(
            insert(t.run)
            .values(
                job_id=job_id,
                fire_time=fire_time,
                first_fire_time=fire_time,
                fire_count=1,
                attempt=1,
                cause=Cause.HAND,
                state=RunState.QUEUED,
                note="",
                path=path,
                asked_by=by,
                cancel_requested=False,
                fence=0,
                created_at=at,
            )
            .returning(t.run.c.id)
        ).scalar_one()
    )


def _free_instant(connection: Connection, job_id: JobId, at: datetime) -> datetime:
    """Return ``at``, or the first microsecond after it that no run of the job has as its fire time."""
    taken = select(t.run.c.fire_time).where(t.run.c.job_id == job_id, t.run.c.fire_time >= at, t.run.c.attempt == 1)
    for fire_time in connection.execute(taken.order_by(t.run.c.fire_time)).scalars():
        if fire_time > at:
            break
        at += _MICROSECOND
    return at


def request_cancel(connection: Connection, run_id: RunId, *, by: str, at: datetime) -> RunState | None:
    """Cancel a waiting run at once, or ask for the end of a running one.

    :returns: the state it was found in, or None when there is no such run.
    """
    if not is_key(run_id):
        return None
    query = select(t.run.c.state, t.run.c.job_id, t.run.c.cause).where(t.run.c.id == run_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    state = RunState(row.state)
    if state is RunState.RUNNING:
        connection.execute(update(t.run).where(t.run.c.id == run_id).values(cancel_requested=True))
    elif state is not RunState.FINISHED:
        connection.execute(
            update(t.run)
            .where(t.run.c.id == run_id)
            .values(
                state=RunState.FINISHED,
                outcome=Outcome.CANCELLED,
                cancel_requested=True,
                note=f"Cancelled by {by} before it started.",
                finished_at=at,
            )
        )
    return state


def find_job(connection: Connection, run_id: RunId) -> JobId | None:
    """Return the job that a run is of, or None when there is no such run."""
    if not is_key(run_id):
        return None
    job_id = connection.execute(select(t.run.c.job_id).where(t.run.c.id == run_id)).scalar_one_or_none()
    return None if job_id is None else JobId(job_id)


def error_of(value: dict[str, Any] | None) -> RunError | None:
    """Return a stored error."""
    return None if value is None else RunError(**value)
