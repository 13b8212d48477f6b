"""What a page costs on the server, and how soon the service hears of a wish."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import insert

from bench.report import Row, quantile_ms
from bench.seed import seed_jobs
from jobservice.bootstrap import ConsoleBackend, build_console_backend
from jobservice.clock import SystemClock
from jobservice.domain.account import Role
from jobservice.domain.job import JobId
from jobservice.store import tables as t
from jobservice.store.engine import Database
from tests.support.moontide import settings_for
from tests.support.processes import Moontide
from webmin.app import create_app

_PASSWORD = "a bench has four legs"
_LOGGER = """local job = core.job()
function job.run()
  for second = 1, 8 do core.sleep(0.25) print(second) end
  return job.OK
end
return job
"""


def pages(jobs: int = 10_000, runs: int = 1_000_000, views: int = 60) -> list[Row]:
    """Render the job list, a job and its oldest history over a large database."""
    with tempfile.TemporaryDirectory(prefix="moontide-bench-") as folder:
        database = Database(f"sqlite:///{folder}/moontide.db")
        clock = SystemClock()
        now = clock.now()
        seed_jobs(database, [(jobs, 3_600, now + timedelta(hours=1))], now=now)
        _seed_runs(database, jobs, runs)
        database.close()
        backend = build_console_backend(settings_for(Path(folder)))
        client = _signed_in(backend)
        rows = []
        for what, address in (
            (f"job list, {jobs:,} jobs and {runs:,} runs", "/jobs"),
            ("… last page of it", "/jobs?after=job-009950"),
            ("… a job with its history", "/jobs/7"),
            ("… the oldest page of that history", f"/jobs/7?before={8 * jobs}"),
        ):
            spent = []
            for _ in range(views):
                began = time.perf_counter()
                assert client.get(address).status_code == 200, address
                spent.append(time.perf_counter() - began)
            rows.append(Row(what, f"p95 {quantile_ms(spent, 0.95):.0f} ms", "≤ 150 ms"))
        backend.close()
    return rows


def _seed_runs(database: Database, jobs: int, runs: int) -> None:
    now = SystemClock().now()
    numbers = iter(range(runs))
    while chunk := list(islice(numbers, 20_000)):
        with database.write() as connection:
            connection.execute(insert(t.run), [_run_row(number, jobs, runs, now) for number in chunk])


def _run_row(number: int, jobs: int, runs: int, now: object) -> dict[str, object]:
    at = now - timedelta(seconds=runs - number)  # type: ignore[operator]
    return {
        "id": number + 1, "job_id": number % jobs + 1, "fire_time": at, "first_fire_time": at, "fire_count": 1,
        "attempt": 1, "cause": "schedule", "state": "finished", "outcome": "ok", "note": "", "path": "x.lua",
        "asked_by": "", "cancel_requested": False, "fence": 1, "created_at": at, "started_at": at, "finished_at": at,
    }  # fmt: skip


def _signed_in(backend: ConsoleBackend):  # noqa: ANN202 - Flask's test client
    backend.accounts.create_user(name="bench", role=Role.ADMIN, password=_PASSWORD, by="bench")
    app = create_app(backend)
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    answer = client.post("/login", data={"name": "bench", "password": _PASSWORD})
    assert answer.status_code == 303, answer.status_code
    return client


def live(times: int = 40) -> list[Row]:
    """A real service beside a console: from the press of Run to the start, and from print to what a page can read."""
    with tempfile.TemporaryDirectory(prefix="moontide-bench-") as folder:
        clock = SystemClock()
        now = clock.now()
        database = Database(f"sqlite:///{folder}/moontide.db")
        seed_jobs(database, [(2, 86_400, now + timedelta(hours=9))], now=now, source=_LOGGER)
        with database.write() as connection:
            connection.execute(t.script_revision.update().where(t.script_revision.c.script_id == 1).values(source=_OK))
        database.close()
        commands = Moontide(Path(folder))
        commands.start_service()
        backend = build_console_backend(settings_for(Path(folder)))
        waits = [_start_after_press(backend) for _ in range(times)]
        lines = _print_to_readable(backend)
        backend.close()
        commands.end_all()
    return [
        Row("Run pressed to run started, by the wake-up", f"p95 {quantile_ms(waits, 0.95):.0f} ms", "≤ 20 ms"),
        Row("line printed to line readable by the page", f"p95 {quantile_ms(lines, 0.95):.0f} ms", "≤ 500 ms shown"),
    ]


_OK = "local job = core.job()\nfunction job.run() return job.OK end\nreturn job\n"


def _start_after_press(backend: ConsoleBackend) -> float:
    run_id = backend.service.run_now(JobId(1), by="bench")
    while (run := backend.queries.get_run(run_id)).row.finished_at is None:
        threading.Event().wait(0.005)
    assert run.row.started_at is not None
    return (run.row.started_at - run.row.fire_time).total_seconds()


def _print_to_readable(backend: ConsoleBackend) -> list[float]:
    """Compare when a line was printed with when a reader first finds it."""
    run_id = backend.service.run_now(JobId(2), by="bench")
    seen: list[float] = []
    after = 0
    while len(seen) < 8:
        output = backend.queries.run_output(run_id, after=after)
        now = backend.clock.now()
        after = output.last_sequence
        seen.extend((now - chunk.at).total_seconds() for chunk in output.chunks)
        threading.Event().wait(0.005)
    return seen


def measure() -> list[Row]:
    """Return every row of this file."""
    return [*pages(), *live()]
