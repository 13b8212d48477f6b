"""Old history, removed in small batches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from jobservice.domain.job import JobId
from jobservice.domain.run import RunState
from jobservice.store import tables as t
from jobservice.store.engine import Database


class HistoryStore:
    """Removes runs and their output.  Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def purge(self, *, created_before: datetime, limit: int) -> int:
        """Remove a small batch of history older than an instant and return its size.

        The newest run of a job stays, however old, so that the list still
        shows when it ran last.
        """
        return self._purge(
            select(t.run.c.id)
            .where(t.run.c.state == RunState.FINISHED, t.run.c.created_at < created_before, ~_IS_NEWEST_THAT_RAN)
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
