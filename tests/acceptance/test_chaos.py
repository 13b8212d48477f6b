"""kill -9 of anything at any moment loses no fire time and doubles none."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jobservice.bootstrap import build_console_backend
from jobservice.domain.job import JobDefinition, OverlapPolicy
from jobservice.store import tables as t
from jobservice.store.engine import Database
from tests.support import lua
from tests.support.moontide import settings_for
from tests.support.processes import Moontide, Process, free_port

MOMENTS = 100
JOBS = 40
INTERVAL = timedelta(seconds=1)
WORK = lua.script('print("at work") if job.minute() % 2 == 0 then core.sleep(0.05) end return job.OK')


@pytest.fixture
def moontide(tmp_path: Path, database_url: str) -> Iterator[Moontide]:
    commands = Moontide(tmp_path, database_url)
    yield commands
    commands.end_all()


@pytest.mark.timeout(480)
def test_hundred_kills_under_load_lose_no_fire_time_and_double_none(
    moontide: Moontide, tmp_path: Path, database_url: str
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"chaos seed: {seed}")
    _create_jobs(tmp_path, database_url)
    service = moontide.start_service()
    assert moontide.run("service", "reload").returncode == 0

    service = _havoc(moontide, service, random.Random(seed))

    moontide_wait(3)
    assert service.stop() == 0
    _check_history(database_url)


def moontide_wait(seconds: float) -> None:
    """Let the real service work; this test is about real time."""
    threading.Event().wait(seconds)


def _create_jobs(folder: Path, database_url: str) -> None:
    backend = build_console_backend(settings_for(folder, database_url))
    for number in range(JOBS):
        definition = JobDefinition(
            name=f"job {number}", path=f"job{number}.lua", schedule="1", overlap=OverlapPolicy.ALLOW
        )
        backend.service.create_job(definition, by="alice")
        backend.service.save_script(definition.path, WORK, expected_revision=1, by="alice")
    backend.close()


def _havoc(moontide: Moontide, service: Process, chance: random.Random) -> Process:
    """Kill something at a hundred random moments; what should run is started again."""
    port = free_port()
    console = moontide.start_console(port)
    for _ in range(MOMENTS):
        moontide_wait(chance.uniform(0.0, 0.6))
        victim = chance.choices(["service", "worker", "console"], weights=[5, 4, 1])[0]
        if victim == "worker":
            workers = service.children()
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
        elif victim == "console":
            console.kill()
            console = moontide.start_console(port)
        else:
            service.kill()
            service = moontide.start_service()
        assert service.is_alive, service.output
    return service


def _check_history(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as connection:
        runs = connection.execute(select(t.run).order_by(t.run.c.job_id, t.run.c.fire_time, t.run.c.attempt)).all()
        next_fires = dict(map(tuple, connection.execute(select(t.job_state.c.job_id, t.job_state.c.next_fire_at))))
        statuses = dict(map(tuple, connection.execute(select(t.job_state.c.job_id, t.job_state.c.status))))
    database.close()
    by_job = defaultdict(list)
    for run in runs:
        by_job[run.job_id].append(run)

    assert len(by_job) == JOBS
    for job_id, history in by_job.items():
        _check_every_fire_time_once(job_id, [run for run in history if run.attempt == 1], next_fires[job_id], statuses)
        _check_attempts(history)


def _check_every_fire_time_once(
    job_id: int, firsts: list[object], next_fire_at: datetime | None, statuses: dict[int, str]
) -> None:
    """The lines of a history follow one another without a gap and without an overlap, up to the next fire time."""
    expected = firsts[0].first_fire_time  # type: ignore[attr-defined]
    for run in firsts:
        assert run.first_fire_time == expected, f"job {job_id}: gap or overlap at {run.first_fire_time}"  # type: ignore[attr-defined]
        spanned = (run.fire_time - run.first_fire_time) // INTERVAL + 1  # type: ignore[attr-defined]
        assert run.fire_count == spanned  # type: ignore[attr-defined]
        expected = run.fire_time + INTERVAL  # type: ignore[attr-defined]
    if statuses[job_id] == "ok":
        assert next_fire_at == expected


def _check_attempts(history: list[object]) -> None:
    """A fire time is tried again only after an attempt that a crash cut short, and goes well at most once."""
    tries = defaultdict(list)
    for run in history:
        tries[run.fire_time].append(run)  # type: ignore[attr-defined]
    for attempts in tries.values():
        assert [run.attempt for run in attempts] == list(range(1, len(attempts) + 1))
        assert all(run.outcome == "abandoned" for run in attempts[:-1])
        assert sum(run.outcome == "ok" for run in attempts) <= 1
