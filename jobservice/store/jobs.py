"""Job definitions as people edit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from jobservice.domain.errors import NotFoundError
from jobservice.domain.job import JobDefinition, JobId, JobStatus
from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.store import tables as t
from jobservice.store.types import is_key

DEFINITION_FIELDS = tuple(JobDefinition.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as edited, with its version."""

    job_id: JobId
    definition: JobDefinition
    version: int
    waiting: bool
    updated_by: str


def definition_of(row: RowMapping) -> JobDefinition:
    """Return the definition in a row that holds the job table's columns."""
    return JobDefinition.from_dict({field: row[field] for field in DEFINITION_FIELDS})


def get(connection: Connection, job_id: JobId) -> StoredJob:
    """Return a job as edited, locked against other edits until the transaction ends.

    :raises NotFoundError: there is no such job.
    """
    row = None
    if is_key(job_id):
        row = connection.execute(select(t.job).where(t.job.c.id == job_id).with_for_update()).mappings().one_or_none()
    if row is None:
        raise NotFoundError("job", job_id)
    return StoredJob(job_id, definition_of(row), row["version"], row["waiting"], row["updated_by"])


def taken(connection: Connection, definition: JobDefinition, *, other_than: JobId | None) -> dict[str, list[str]]:
    """Return field problems for a name or path that another job has."""
    problems: dict[str, list[str]] = {}
    for field, noun in (("name", "name"), ("path", "path")):
        query = select(t.job.c.id, t.job.c.name).where(t.job.c[field] == getattr(definition, field))
        owner = connection.execute(query).one_or_none()
        if owner is not None and owner.id != other_than:
            problems[field] = [f"The job “{owner.name}” has this {noun} already."]
    return problems


def insert_job(connection: Connection, definition: JobDefinition, *, by: str, at: datetime) -> JobId:
    """Store a new job, which waits for a reload, and return its id."""
    job_id = connection.execute(
        insert(t.job)
        .values(**_values(definition), version=1, waiting=True, created_at=at, updated_at=at, updated_by=by)
        .returning(t.job.c.id)
    ).scalar_one()
    connection.execute(insert(t.job_state).values(job_id=job_id, status=_status_before_loading(definition)))
    return JobId(job_id)


def update_job(
    connection: Connection, job_id: JobId, definition: JobDefinition, *, expected_version: int, by: str, at: datetime
) -> bool:
    """Store an edit, which waits for a reload; False when the version has moved on."""
    updated = connection.execute(
        update(t.job)
        .where(t.job.c.id == job_id, t.job.c.version == expected_version)
        .values(**_values(definition), version=expected_version + 1, waiting=True, updated_at=at, updated_by=by)
    )
    if updated.rowcount != 1:
        return False
    never_loaded = update(t.job_state).where(t.job_state.c.job_id == job_id, t.job_state.c.loaded.is_(None))
    connection.execute(never_loaded.values(status=_status_before_loading(definition)))
    return True


def deactivate(connection: Connection, job_id: JobId, *, by: str, at: datetime) -> None:
    """Clear Active in the definition and take the job out of the intervals, at once."""
    connection.execute(
        update(t.job)
        .where(t.job.c.id == job_id)
        .values(active=False, version=t.job.c.version + 1, updated_at=at, updated_by=by)
    )
    connection.execute(
        update(t.job_state).where(t.job_state.c.job_id == job_id).values(status=JobStatus.INACTIVE, next_fire_at=None)
    )
    close_waiting(connection, [job_id], at=at)


def close_waiting(connection: Connection, job_ids: Sequence[int], *, at: datetime) -> None:
    """Close the fire times and repeats of inactive jobs that waited until their job was free."""
    waiting = (t.run.c.state == RunState.QUEUED) & (t.run.c.state != RunState.FINISHED)
    connection.execute(
        update(t.run)
        .where(waiting, t.run.c.job_id.in_(job_ids), t.run.c.cause != Cause.HAND)
        .values(
            state=RunState.FINISHED,
            outcome=Outcome.CANCELLED,
            note="The job was deactivated before it started.",
            finished_at=at,
        )
    )


def delete_job(connection: Connection, job_id: JobId) -> None:
    """Remove a job at once: what was planned goes, what runs is cancelled, history follows later in batches."""
    unfinished = (t.run.c.job_id == job_id) & (t.run.c.state != RunState.FINISHED)
    connection.execute(delete(t.run).where(unfinished, t.run.c.state != RunState.RUNNING))
    connection.execute(update(t.run).where(unfinished).values(cancel_requested=True))
    connection.execute(delete(t.job_state).where(t.job_state.c.job_id == job_id))
    connection.execute(delete(t.job).where(t.job.c.id == job_id))
    connection.execute(insert(t.deleted_job).values(job_id=job_id))


def _values(definition: JobDefinition) -> dict[str, Any]:
    return definition.to_dict()


def _status_before_loading(definition: JobDefinition) -> JobStatus:
    if not definition.active:
        return JobStatus.INACTIVE
    return JobStatus.ONCE_PENDING if definition.run_once else JobStatus.OK
