"""A whole Moontide on a real database, with the clock in the test's hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from jobservice.bootstrap import build_engine
from jobservice.domain.job import JobDefinition, JobId
from jobservice.domain.run import RunId
from jobservice.loops.engine import Engine
from jobservice.loops.scripts import ScriptCache
from jobservice.ports import Executor, ScriptProblem
from jobservice.queries import Queries
from jobservice.read_models import JobView, RunView
from jobservice.service import Service
from jobservice.settings import Settings
from jobservice.store.engine import Database
from jobservice.store.nodes import NodeStore
from jobservice.store.schema import migrate
from jobservice.store.scripts import ScriptStore
from jobservice.testing import FakeClock


def template_database(folder: Path) -> Path:
    """Return a migrated SQLite file to copy, made once a folder."""
    template = folder / "template.db"
    if not template.exists():
        made = folder / "made.db"
        database = Database(f"sqlite:///{made}")
        migrate(database)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        made.rename(template)
    return template


def settings_for(folder: Path, url: str | None = None, **changes: object) -> Settings:
    """Return settings for a test's folder."""
    defaults = Settings(
        data_dir=folder,
        database_url=url or f"sqlite:///{folder}/moontide.db",
        timezone=ZoneInfo("Europe/Vienna"),
        lua_workers=2,
    )
    return replace(defaults, **changes)  # type: ignore[arg-type]


def copy_template(template: Path, folder: Path) -> None:
    """Put a migrated database file into a test's folder."""
    shutil.copyfile(template, folder / "moontide.db")


_PLANNED_AHEAD = timedelta(seconds=2)


class NoChecker:
    """Finds nothing wrong; for tests that check no scripts."""

    def check(self, path: str, source: str) -> Sequence[ScriptProblem]:
        return ()


class Moontide:
    """Verbs, read models and an engine whose loops the test steps by hand."""

    def __init__(self, settings: Settings, executor: Executor, clock: FakeClock) -> None:
        self.settings = settings
        self.clock = clock
        self.executor = executor
        self.database = Database(settings.database_url)
        scripts, nodes = ScriptStore(self.database), NodeStore(self.database)
        self.scripts = scripts
        self.nodes = nodes
        self.service = Service(self.database, scripts, nodes, NoChecker(), clock, ring=lambda: None)
        self.queries = Queries(self.database, scripts, nodes, clock)
        self.engine: Engine
        self._armed_for: datetime | None = None
        self.waits_for_runs = True
        """Whether ``settle`` waits for real workers; a test sets it to False to look at runs that go on."""

    def boot(self, *, alone: bool = True) -> None:
        """Start a service, as after a restart of whatever ran before."""
        self.engine = build_engine(
            self.database, ScriptCache(self.scripts), self.executor, self.clock, self.settings, alone=alone
        )
        self.engine.start()

    def restart(self, executor: Executor) -> None:
        """Stop the service and start it again with a fresh executor, as a new process would."""
        self.engine.stop(timedelta(0))
        self.executor = executor
        self.boot()

    def step(self) -> None:
        """Let every loop run once at the present instant, until nothing more happens."""
        now = self.clock.now()
        self.engine.heartbeat.step(now)
        for _ in range(3):
            self.engine.tick(now)
            claim = self.engine.dispatcher.claim_step(now)
            hand_over = self.engine.dispatcher.hand_over_step(now)
            self._armed_for = min((instant for instant in (claim, hand_over) if instant), default=None)
            self.settle()

    def settle(self) -> None:
        """Wait for what the executor is doing, and record it."""
        recorder = self.engine.recorder
        while self.engine.dispatcher.is_busy and self.waits_for_runs:
            recorder.wait(0.05)
            recorder.step(self.clock.now())
        recorder.step(self.clock.now())

    def advance(self, duration: timedelta | float, *, tick_s: float = 1.0) -> None:
        """Move the clock on, stepping every loop each ``tick_s`` on the way.

        Stretches in which nothing is due are crossed in one stride.
        """
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        end = self.clock.now() + timedelta(seconds=seconds)
        self.step()
        while (now := self.clock.now()) < end:
            moments = [end, now + timedelta(seconds=tick_s)]
            planned = self._next_fire_at()
            if self._armed_for is None and (planned is None or planned > now + _PLANNED_AHEAD):
                moments = [end] if planned is None else [end, planned - _PLANNED_AHEAD]
            elif self._armed_for is not None and self._armed_for > now:
                moments.append(self._armed_for)
            self.clock.move_to(min(moments))
            self.step()

    def _next_fire_at(self) -> datetime | None:
        rows = self.queries.list_jobs(limit=500).rows
        return min((row.next_fire_at for row in rows if row.next_fire_at), default=None)

    def reload(self) -> None:
        """Press Reload and let the service do it."""
        self.service.request_reload(by="alice")
        self.step()

    def add_job(self, source: str, *, name: str = "job", reload: bool = True, **fields: object) -> JobId:
        """Create a job with a script, and reload."""
        values = {"name": name, "path": f"{name}.lua", "schedule": "60"} | fields
        definition = JobDefinition(**values)  # type: ignore[arg-type]
        job_id = self.service.create_job(definition, by="alice")
        self.save(definition.path, source)
        if reload:
            self.reload()
        return job_id

    def save(self, path: str, source: str) -> None:
        """Save a script as its newest revision."""
        stored = self.scripts.find(path)
        self.service.save_script(path, source, expected_revision=stored.revision if stored else None, by="alice")

    def edit(self, job_id: JobId, **changes: object) -> None:
        """Edit a job's definition."""
        job = self.queries.get_job(job_id)
        definition = replace(job.definition, **changes)  # type: ignore[arg-type]
        self.service.update_job(job_id, definition, expected_version=job.version, by="alice")

    def job(self, job_id: JobId) -> JobView:
        return self.queries.get_job(job_id)

    def runs(self, job_id: JobId) -> list[RunView]:
        """Return a job's runs, oldest first."""
        rows = self.queries.list_runs(job_id, limit=500).rows
        return [self.queries.get_run(row.run_id) for row in reversed(rows)]

    def log(self, run_id: RunId) -> str:
        return "".join(chunk.text for chunk in self.queries.run_output(run_id).chunks)

    def close(self) -> None:
        self.executor.stop(timedelta(0))
        self.database.close()
