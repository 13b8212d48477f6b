"""Reload and boot: taking definitions into force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update

from jobservice.domain.job import JobDefinition, JobId, JobStatus
from jobservice.domain.run import RunState
from jobservice.domain.status import InForce, Loaded
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.jobs import close_waiting, definition_of
from jobservice.store.planning import retract

BATCH = 500


class LoadStore:
    """Moves edited definitions into force.  Every batch is one transaction, safe to repeat after a crash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reload(self, load: Callable[[InForce, JobDefinition], Loaded], *, now: datetime) -> int:
        """Take every waiting definition into force and clear STOP.

        :param load: the pure rule; it may be called again for the same job.
        :returns: how many jobs were loaded.
        """
        loaded = 0
        after = 0
        while ids := self._next_waiting(after):
            loaded += self._reload_batch(ids, load, now)
            after = ids[-1]
        return loaded

    def _next_waiting(self, after: int) -> list[int]:
        waiting = (
            select(t.job.c.id)
            .join(t.job_state, t.job_state.c.job_id == t.job.c.id)
            .where(t.job.c.id > after, t.job.c.waiting | (t.job_state.c.status == JobStatus.STOPPED))
            .order_by(t.job.c.id)
            .limit(BATCH)
        )
        with self._database.read() as connection:
            return list(connection.execute(waiting).scalars())

    def _reload_batch(self, ids: list[int], load: Callable[[InForce, JobDefinition], Loaded], now: datetime) -> int:
        with self._database.write() as connection:
            retract(connection, ids)
            query = select(t.job, t.job_state).join(t.job_state, t.job_state.c.job_id == t.job.c.id)
            rows = connection.execute(query.where(t.job.c.id.in_(ids)).with_for_update()).mappings().all()
            changes = [
                _state_row(row, definition, load(_in_force(row), definition), now)
                for row in rows
                for definition in (_effective(row),)
            ]
            if changes:
                connection.execute(_LOAD, changes)
                inactive = [row["key_job"] for row in changes if row["new_status"] is JobStatus.INACTIVE]
                close_waiting(connection, inactive, at=now)
                connection.execute(
                    update(t.job).where(t.job.c.id.in_([row["id"] for row in rows])).values(waiting=False)
                )
        return len(rows)

    def boot(self, start: Callable[[InForce], Loaded], *, now: datetime) -> None:
        """Clear STOP and make Run Once pending again; called when no service was alive."""
        changed = (JobStatus.STOPPED, JobStatus.ONCE_DONE)
        query = select(t.job_state).where(t.job_state.c.status.in_(changed), t.job_state.c.loaded.is_not(None))
        with self._database.write() as connection:
            for row in connection.execute(query).mappings().all():
                before = _in_force(row)
                after = start(before)
                values: dict[str, Any] = {"status": after.status, "next_fire_at": after.next_fire_at}
                if after.is_fresh:
                    values |= {"began_at": now, "anchor_at": now}
                connection.execute(update(t.job_state).where(t.job_state.c.job_id == row["job_id"]).values(**values))

    def strays(self, *, limit: int = 200) -> list[tuple[JobId, JobDefinition]]:
        """Return jobs in force that neither wait for a fire time nor have a run under way."""
        under_way = select(t.run.c.id).where(t.run.c.job_id == t.job_state.c.job_id, t.run.c.state != RunState.FINISHED)
        query = (
            select(t.job_state.c.job_id, t.job_state.c.loaded)
            .where(
                t.job_state.c.status.in_((JobStatus.OK, JobStatus.SLEEPING, JobStatus.ONCE_PENDING)),
                t.job_state.c.loaded.is_not(None),
                t.job_state.c.next_fire_at.is_(None),
                ~under_way.exists(),
            )
            .limit(limit)
        )
        with self._database.read() as connection:
            return [(JobId(job_id), loaded) for job_id, loaded in connection.execute(query)]

    def mend_stray(self, job_id: JobId, next_fire_at: datetime | None) -> None:
        """Give a stray its next fire time, unless it got one meanwhile."""
        with self._database.write() as connection:
            connection.execute(
                update(t.job_state)
                .where(t.job_state.c.job_id == job_id, t.job_state.c.next_fire_at.is_(None))
                .values(next_fire_at=next_fire_at)
            )


_LOAD = (
    update(t.job_state)
    .where(t.job_state.c.job_id == bindparam("key_job"))
    .values(
        loaded=bindparam("new_loaded"),
        status=bindparam("new_status"),
        next_fire_at=bindparam("new_next"),
        began_at=bindparam("new_began"),
        anchor_at=bindparam("new_anchor"),
    )
)


def _in_force(row: RowMapping) -> InForce:
    return InForce(
        loaded=row["loaded"],
        status=JobStatus(row["status"]),
        next_fire_at=row["next_fire_at"],
        anchor_at=row["anchor_at"],
        ran_once_in_boot=row["ran_once_in_boot"],
    )


def _effective(row: RowMapping) -> JobDefinition:
    """Return the definition that comes into force: the edited one where it waits, else the one in force."""
    if row["waiting"] or row["loaded"] is None:
        return definition_of(row)
    loaded: JobDefinition = row["loaded"]
    return loaded


def _state_row(row: RowMapping, definition: JobDefinition, after: Loaded, now: datetime) -> dict[str, Any]:
    return {
        "key_job": row["id"],
        "new_loaded": definition,
        "new_status": after.status,
        "new_next": after.next_fire_at,
        "new_began": now if after.is_fresh else row["began_at"],
        "new_anchor": now if after.is_fresh else row["anchor_at"],
    }
