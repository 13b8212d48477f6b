"""Fills a database with many jobs, quickly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import insert

from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.schema import migrate

SCRIPT = """local job = core.job()
function job.run()
  print("done")
  return job.OK
end
return job
"""
_BATCH = 5_000


def seed_jobs(
    database: Database, groups: Sequence[tuple[int, int, datetime]], *, now: datetime, source: str = SCRIPT
) -> None:
    """Make a schema with jobs in force.

    :param groups: (how many, interval in seconds, first fire time).
    """
    migrate(database)
    jobs = _jobs(groups)
    while chunk := list(islice(jobs, _BATCH)):
        with database.write() as connection:
            connection.execute(insert(t.job), [_job_row(number, job, now) for number, job, _ in chunk])
            connection.execute(insert(t.job_state), [_state_row(*entry, now) for entry in chunk])
            connection.execute(
                insert(t.script), [{"id": number, "path": job.path, "revision": 1} for number, job, _ in chunk]
            )
            connection.execute(insert(t.script_revision), [_revision_row(n, source, now) for n, _, _ in chunk])


def _jobs(groups: Sequence[tuple[int, int, datetime]]) -> Iterator[tuple[int, JobDefinition, datetime]]:
    number = 0
    for count, interval_s, first in groups:
        for _ in range(count):
            number += 1
            name = f"job-{number:06}"
            yield number, JobDefinition(name=name, path=f"bench/{name}.lua", schedule=str(interval_s)), first


def _job_row(number: int, job: JobDefinition, now: datetime) -> dict[str, object]:
    return job.to_dict() | {
        "id": number, "version": 1, "waiting": False, "created_at": now, "updated_at": now, "updated_by": "bench",
    }  # fmt: skip


def _state_row(number: int, job: JobDefinition, first: datetime, now: datetime) -> dict[str, object]:
    return {
        "job_id": number, "loaded": job, "status": JobStatus.OK, "next_fire_at": first,
        "began_at": now, "anchor_at": first - timedelta(seconds=int(job.schedule)),
    }  # fmt: skip


def _revision_row(number: int, source: str, now: datetime) -> dict[str, object]:
    return {
        "script_id": number, "number": 1, "source": source, "sha256": "0" * 64, "author": "bench", "saved_at": now,
    }  # fmt: skip
