"""Runs from their claim to their end: whoever holds the fence may write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobservice.domain.job import JobId, JobStatus
from jobservice.domain.run import Cause, Outcome, RunError, RunId, RunState
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.planning import ArmedRun
from jobservice.store.types import is_key

_MICROSECOND = timedelta(microseconds=1)
MAX_ATTEMPTS = 5
"""How often one fire time is tried when the service dies under it."""


class RunStore:
    """Durable runs.  Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = sqlite if database.is_sqlite else postgresql
        # A commit whose answer got lost is written again.
        self._insert_output = dialect.insert(t.run_output).on_conflict_do_nothing()

    def claim(self, runs: Sequence[ArmedRun], *, node_id: int) -> set[RunId]:
        """Claim leased runs for their start; nothing may start without it.

        Safe to repeat, as long as the run was not started, when the answer to the commit got lost.

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
                (t.run.c.state == RunState.LEASED)
                | ((t.run.c.state == RunState.RUNNING) & t.run.c.started_at.is_(None)),
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

    def unclaim(self, runs: Sequence[ArmedRun]) -> None:
        """Give back claims of runs that have not started, so that they can be retracted."""
        with self._database.write() as connection:
            connection.execute(_UNCLAIM, [key_of(run) for run in runs])

    def close_lost(self, node_ids: Sequence[int], *, now: datetime, limit: int) -> int:
        """Close runs that were going on at dead nodes as abandoned, and queue another attempt where the job allows.

        :returns: how many were closed; call again while it equals ``limit``.
        """
        reason = "The service on {hostname} ended while this run was going on."
        return self._close(t.run.c.node_id.in_(node_ids), reason, now=now, limit=limit)

    def close_forgotten(self, run_ids: Sequence[RunId], *, now: datetime) -> int:
        """Close runs that a living service has lost track of, as abandoned; see ``close_lost``.

        One that was only leased has not started, and is queued.
        """
        leased = (t.run.c.state == RunState.LEASED) & (t.run.c.state != RunState.FINISHED)
        with self._database.write() as connection:
            connection.execute(
                update(t.run).where(leased, t.run.c.id.in_(run_ids)).values(state=RunState.QUEUED, node_id=None)
            )
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
                note += repeat_run(connection, dict(row), allowed=repeat, now=now)
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
            conclude_once(connection, sorted({row["job_id"] for row in rows}))
        return len(rows)


OURS_AND_RUNNING = (
    (t.run.c.id == bindparam("key_id"))
    & (t.run.c.fence == bindparam("key_fence"))
    & (t.run.c.state == RunState.RUNNING)
)
"""Whoever holds the fence of a running run may write it; bound by ``key_of``."""
_UNCLAIM = update(t.run).where(OURS_AND_RUNNING).values(state=RunState.LEASED)


def key_of(run: ArmedRun) -> dict[str, Any]:
    """Return the parameters of ``OURS_AND_RUNNING``."""
    return {"key_id": run.run_id, "key_fence": run.fence}


_REPEATED = " It is repeated as another attempt."


def repeat_run(connection: Connection, row: dict[str, Any], *, allowed: bool, now: datetime) -> str:
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


def conclude_once(connection: Connection, job_ids: Sequence[int]) -> None:
    """Show Run Once jobs as done in this boot whose run ended without one: it was cancelled, or lost for good."""
    unfinished = select(t.run.c.id).where(t.run.c.job_id == t.job_state.c.job_id, t.run.c.state != RunState.FINISHED)
    boot = select(func.max(t.node.c.boot)).scalar_subquery()
    connection.execute(
        update(t.job_state)
        .where(
            t.job_state.c.job_id.in_(job_ids),
            t.job_state.c.status == JobStatus.ONCE_PENDING,
            t.job_state.c.next_fire_at.is_(None),
            t.job_state.c.loaded.is_not(None),
            ~unfinished.exists(),
        )
        .values(status=JobStatus.ONCE_DONE, ran_once_in_boot=boot)
    )


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
        conclude_once(connection, [row.job_id])
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
