"""The statements behind the read models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, exists, func, select

from jobservice.domain.job import JobId, JobStatus
from jobservice.domain.run import Cause, RunId, RunState
from jobservice.store import tables as t
from jobservice.store.types import is_key, is_text

Row = RowMapping
"""A row by column name."""

_RUNNING_RUN = (
    select(func.min(t.run.c.id))
    .where(t.run.c.job_id == t.job.c.id, t.run.c.state == RunState.RUNNING, t.run.c.state != RunState.FINISHED)
    .scalar_subquery()
    .label("running_run_id")
)

_ARMED_FOR = (
    select(func.min(t.run.c.fire_time))
    .where(
        t.run.c.job_id == t.job.c.id,
        t.run.c.state == RunState.LEASED,
        t.run.c.state != RunState.FINISHED,
        t.run.c.cause == Cause.SCHEDULE,
    )
    .scalar_subquery()
    .label("armed_for")
)
"""The fire time that is next when the planner has armed it already."""


def _jobs() -> Select[Any]:
    state = [column for column in t.job_state.c if column.name != "job_id"]
    return select(t.job, *state, _RUNNING_RUN, _ARMED_FOR).join(t.job_state, t.job_state.c.job_id == t.job.c.id)


def list_jobs(
    connection: Connection, *, search: str, status: JobStatus | None, after: str | None, limit: int
) -> Sequence[RowMapping]:
    """Return jobs by name, those whose name comes after ``after``."""
    if not is_text(search) or not is_text(after or ""):
        return []
    query = _jobs().order_by(t.job.c.name).limit(limit)
    if search:
        query = query.where(
            t.job.c.name.icontains(search, autoescape=True)
            | t.job.c.path.icontains(search, autoescape=True)
            | t.job.c.description.icontains(search, autoescape=True)
        )
    if status is not None:
        query = query.where(t.job_state.c.status == status)
    if after is not None:
        query = query.where(t.job.c.name > after)
    return connection.execute(query).mappings().all()


def find_job(connection: Connection, job_id: JobId) -> RowMapping | None:
    """Return one job with its state, or None."""
    if not is_key(job_id):
        return None
    return connection.execute(_jobs().where(t.job.c.id == job_id)).mappings().one_or_none()


def find_job_by_name(connection: Connection, name: str) -> JobId | None:
    """Return the id of the job of that name, or None."""
    if not is_text(name):
        return None
    job_id = connection.execute(select(t.job.c.id).where(t.job.c.name == name)).scalar_one_or_none()
    return None if job_id is None else JobId(job_id)


def count_jobs(connection: Connection) -> int:
    """Return how many jobs there are."""
    return int(connection.execute(select(func.count()).select_from(t.job)).scalar_one())


def count_waiting(connection: Connection) -> int:
    """Return how many jobs wait for a reload."""
    return int(connection.execute(select(func.count()).select_from(t.job).where(t.job.c.waiting)).scalar_one())


def list_waiting(connection: Connection, *, limit: int) -> Sequence[RowMapping]:
    """Return jobs that wait for a reload, by name."""
    query = _jobs().where(t.job.c.waiting).order_by(t.job.c.name).limit(limit)
    return connection.execute(query).mappings().all()


_RUN_COLUMNS = (t.run, t.job.c.name.label("job_name"))


def list_runs(connection: Connection, job_id: JobId, *, before: int | None, limit: int) -> Sequence[RowMapping]:
    """Return a job's runs, newest first, those older than run ``before``.

    What is armed for a fire time still to come is no history yet.
    """
    if not is_key(job_id):
        return []
    query = (
        select(*_RUN_COLUMNS)
        .join(t.job, t.job.c.id == t.run.c.job_id)
        .where(t.run.c.job_id == job_id, (t.run.c.state != RunState.LEASED) | (t.run.c.cause != Cause.SCHEDULE))
        .order_by(t.run.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(t.run.c.id < before)
    return connection.execute(query).mappings().all()


def find_run(connection: Connection, run_id: RunId) -> RowMapping | None:
    """Return one run with its job's name and its node's host, or None; runs of deleted jobs are gone."""
    if not is_key(run_id):
        return None
    query = (
        select(*_RUN_COLUMNS, t.node.c.hostname)
        .join(t.job, t.job.c.id == t.run.c.job_id)
        .outerjoin(t.node, t.node.c.id == t.run.c.node_id)
        .where(t.run.c.id == run_id)
    )
    return connection.execute(query).mappings().one_or_none()


def list_output(connection: Connection, run_id: RunId, *, after: int, limit: int) -> Sequence[RowMapping]:
    """Return a run's output chunks in order, those after sequence ``after``."""
    if not is_key(run_id) or not is_key(after + 1):
        return []
    query = (
        select(t.run_output.c.sequence, t.run_output.c.at, t.run_output.c.text)
        .where(t.run_output.c.run_id == run_id, t.run_output.c.sequence > after)
        .order_by(t.run_output.c.sequence)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def count_runs_up_to(connection: Connection, job_id: JobId, limit: int) -> int:
    """Return how many runs a job has, at most ``limit``."""
    some = select(t.run.c.id).where(t.run.c.job_id == job_id).limit(limit).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def script_revision(connection: Connection, path: str) -> int:
    """Return the number of a script's newest revision, 0 when there is none."""
    return int(connection.execute(select(t.script.c.revision).where(t.script.c.path == path)).scalar_one_or_none() or 0)


def jobs_using(connection: Connection, path: str) -> dict[JobId, str]:
    """Return the jobs whose edited definition names a script: id -> name."""
    rows = connection.execute(select(t.job.c.id, t.job.c.name).where(t.job.c.path == path))
    return {JobId(job_id): name for job_id, name in rows}


def is_running(connection: Connection, job_id: JobId) -> bool:
    """Return whether a run of the job is going on."""
    running = (t.run.c.job_id == job_id) & (t.run.c.state == RunState.RUNNING) & (t.run.c.state != RunState.FINISHED)
    return bool(connection.execute(select(exists().where(running))).scalar_one())
