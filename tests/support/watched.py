"""Real processes of Moontide beside a look into their database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from jobservice.bootstrap import ConsoleBackend, build_console_backend
from jobservice.domain.job import JobDefinition, JobId
from jobservice.domain.run import RunId
from jobservice.store import tables as t
from tests.support import lua
from tests.support.moontide import settings_for
from tests.support.processes import Moontide
from tests.support.waiting import wait_until

LONG = lua.script('print("at work") core.sleep(50) return job.OK')
"""Goes on until somebody ends it."""


class Watched(Moontide):
    """The command line on a migrated database, whose rows and verbs the test uses directly."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        super().__init__(folder, database_url, **settings)
        self.backend: ConsoleBackend = build_console_backend(settings_for(folder, database_url))

    def add_job(self, source: str, *, name: str = "job", reload: bool = True, **fields: object) -> JobId:
        """Create a job with a script; it comes into force when a service serves the reload."""
        values = {"name": name, "path": f"{name}.lua", "schedule": "every day"} | fields
        job_id = self.backend.service.create_job(JobDefinition(**values), by="alice")  # type: ignore[arg-type]
        self.save(f"{name}.lua", source)
        if reload:
            self.backend.service.request_reload(by="alice")
        return job_id

    def save(self, path: str, source: str) -> None:
        revision = self.backend.queries.get_script(path).revision
        self.backend.service.save_script(path, source, expected_revision=revision, by="alice")

    def run_now(self, job_id: JobId) -> RunId:
        return self.backend.service.run_now(job_id, by="alice")

    def rows(self, job_id: JobId | None = None) -> list[Any]:
        """Return run rows as stored, by job, fire time and attempt."""
        query = select(t.run).order_by(t.run.c.job_id, t.run.c.fire_time, t.run.c.attempt)
        if job_id is not None:
            query = query.where(t.run.c.job_id == job_id)
        with self.backend.database.read() as connection:
            return list(connection.execute(query).all())

    def planned_up_to(self, job_id: JobId) -> Any:
        with self.backend.database.read() as connection:
            state = select(t.job_state.c.next_fire_at).where(t.job_state.c.job_id == job_id)
            return connection.execute(state).scalar_one()

    def wait_for_rows(self, job_id: JobId, test: Callable[[list[Any]], bool], *, timeout_s: float = 20) -> list[Any]:
        """Wait until a job's runs are as wanted, and return them."""

        def look() -> list[Any] | None:
            rows = self.rows(job_id)
            return rows if test(rows) else None

        return wait_until(look, timeout_s=timeout_s, what="runs as wanted") or []

    def wait_for_start(self, run_id: RunId) -> None:
        """Wait until a run's first output is on record."""
        wait_until(lambda: self.backend.queries.run_output(run_id).chunks, what=f"run {run_id} at work")

    def close(self) -> None:
        self.end_all()
        self.backend.close()
