"""Stores over one database, and short ways to the rows that the rules need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from jobservice.domain.fire_plan import FirePlan, plan_fires
from jobservice.domain.job import JobDefinition, JobId
from jobservice.domain.run import Outcome, RunError, RunId, RunResult
from jobservice.domain.status import after_boot, after_reload, after_run
from jobservice.queries import Queries
from jobservice.schedules import parse_schedule
from jobservice.service import Service
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.history import HistoryStore
from jobservice.store.loading import LoadStore
from jobservice.store.nodes import NodeStore
from jobservice.store.planning import ArmedRun, DueJob, PlanStore
from jobservice.store.recording import FinishedRun, RecordBatch, RecordStore
from jobservice.store.runs import RunStore
from jobservice.store.scripts import ScriptStore
from jobservice.testing import FakeClock
from tests.support.moontide import NoChecker

LEASE = timedelta(seconds=5)
BOOT = 1


class Rows:
    """Every store on one database, with a clock that stands still.

    :ivar rings: how often a verb woke the service.
    """

    def __init__(self, url: str, clock: FakeClock) -> None:
        self.clock = clock
        self.database = Database(url)
        self.scripts, self.nodes = ScriptStore(self.database), NodeStore(self.database)
        self.records, self.history = RecordStore(self.database), HistoryStore(self.database)
        self.plans, self.runs, self.loads = PlanStore(self.database), RunStore(self.database), LoadStore(self.database)
        self.rings = 0
        self.service = Service(self.database, self.scripts, self.nodes, NoChecker(), clock, ring=self._ring)
        self.queries = Queries(self.database, self.scripts, self.nodes, clock)

    def _ring(self) -> None:
        self.rings += 1

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def node(self, *, alone: bool = False, hostname: str = "host") -> int:
        """Enter a service and return its id."""
        return self.join(alone=alone, hostname=hostname)[0]

    def join(self, *, alone: bool = False, hostname: str = "host") -> tuple[int, int, bool]:
        return self.nodes.join(
            hostname=hostname,
            pid=1,
            process_space="",
            release="0",
            now=self.now,
            lease_expires_at=self.now + LEASE,
            alone=alone,
        )

    def create(self, name: str = "job", **fields: Any) -> JobId:
        """Create a job that waits for a reload."""
        values = {"path": f"{name}.lua", "schedule": "60"} | fields
        return self.service.create_job(JobDefinition(name=name, **values), by="alice")

    def job(self, name: str = "job", **fields: Any) -> JobId:
        """Create a job and take it into force; it falls due one interval from now."""
        job_id = self.create(name, **fields)
        self.reload()
        return job_id

    def edit(self, job_id: JobId, **changes: Any) -> None:
        view = self.queries.get_job(job_id)
        definition = replace(view.definition, **changes)
        self.service.update_job(job_id, definition, expected_version=view.version, by="alice")

    def reload(self, *, boot: int = BOOT) -> int:
        return self.loads.reload(
            lambda before, definition: after_reload(
                before, definition=definition, schedule=parse_schedule(definition.schedule), now=self.now, boot=boot
            ),
            now=self.now,
        )

    def boot(self) -> None:
        def start(before: Any) -> Any:
            return after_boot(before, schedule=parse_schedule(before.loaded.schedule), now=self.now)

        self.loads.boot(start, now=self.now)

    def plan(self, node_id: int, *, ahead_s: float = 60, limit: int = 200) -> tuple[list[ArmedRun], int]:
        """Plan what falls due within ``ahead_s``; usually the next fire time of a new job."""
        return self.plans.plan_due(
            self.rule(ahead_s),
            now=self.now,
            horizon=self.now + timedelta(seconds=ahead_s),
            node_id=node_id,
            limit=limit,
        )

    def rule(self, ahead_s: float) -> Any:
        def plan(job: DueJob) -> FirePlan:
            fire_times = parse_schedule(job.definition.schedule).fire_times(job.next_fire_at)
            return plan_fires(
                fire_times,
                first=job.next_fire_at,
                now=self.now,
                horizon=self.now + timedelta(seconds=ahead_s),
                policy=job.definition.misfire,
                grace=timedelta(seconds=job.definition.misfire_grace_s),
            )

        return plan

    def running(self, node_id: int, *, ahead_s: float = 60) -> ArmedRun:
        """Plan the one job there is, go to its fire time and claim its run."""
        (run,), _ = self.plan(node_id, ahead_s=ahead_s)
        self.clock.move_to(max(self.now, run.fire_time))
        assert self.runs.claim([run], node_id=node_id) == {run.run_id}
        return run

    def ended(self, run: ArmedRun, outcome: Outcome = Outcome.OK, **fields: Any) -> FinishedRun:
        """Return an end of a run that started now and took a second."""
        if outcome in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED}:
            fields.setdefault("error", RunError("boom", run.definition.path, 3))
        result = RunResult(
            run_id=run.run_id,
            fence=run.fence,
            outcome=outcome,
            started_at=self.now,
            finished_at=self.now + timedelta(seconds=1),
            **fields,
        )
        return FinishedRun(run, result)

    def finish(self, *ends: FinishedRun, boot: int = BOOT) -> set[RunId]:
        """Record ends of runs; return those that were refused."""
        return self.record(RecordBatch(finished=[(ended, 1) for ended in ends]), boot=boot)

    def record(self, batch: RecordBatch, *, boot: int = BOOT) -> set[RunId]:
        def rule(ended: FinishedRun, status: Any) -> Any:
            definition = ended.run.definition
            schedule = parse_schedule(definition.schedule)
            return after_run(ended.result, definition=definition, status=status, schedule=schedule)

        return self.records.record(batch, rule, boot=boot, now=self.now)

    def run_rows(self, job_id: JobId | None = None) -> list[Any]:
        """Return run rows as stored, oldest first."""
        query = select(t.run).order_by(t.run.c.id)
        if job_id is not None:
            query = query.where(t.run.c.job_id == job_id)
        return self._all(query)

    def state_row(self, job_id: JobId) -> Any:
        (row,) = self._all(select(t.job_state).where(t.job_state.c.job_id == job_id))
        return row

    def audit_rows(self) -> list[Any]:
        return self._all(select(t.audit).order_by(t.audit.c.id))

    def _all(self, query: Any) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    def run_ids(self, runs: Iterable[ArmedRun]) -> list[RunId]:
        return [run.run_id for run in runs]

    def close(self) -> None:
        self.database.close()
