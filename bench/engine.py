"""The engine under load: throughput with full history, lateness, idle cost, reload."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Integer, func, select, type_coerce, update

from bench.report import Row, quantile_ms
from bench.seed import seed_jobs
from jobservice.clock import SystemClock
from jobservice.domain.job import MisfirePolicy, OverlapPolicy
from jobservice.store import tables as t
from jobservice.store.engine import Database

ROOT = Path(__file__).resolve().parent.parent


def _serve(folder: Path, seconds: float) -> dict[str, Any]:
    environment = os.environ | {"MOONTIDE_DATA_DIR": str(folder)}
    environment.pop("MOONTIDE_DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", str(seconds)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=seconds + 120,
    )  # fmt: skip
    return json.loads(done.stdout)


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="moontide-bench-")


def _database(folder: str) -> Database:
    return Database(f"sqlite:///{folder}/moontide.db")


def throughput(seconds: int = 15, jobs: int = 4_600) -> Row:
    """More runs are due each second than the machine can do; count those with their history on record."""
    with _folder() as folder:
        database = _database(folder)
        now = SystemClock().now()
        first = now + timedelta(seconds=6)
        # Spread over the second, and made to catch up: every fire time becomes a run.
        groups = [(jobs // 20, 1, first + timedelta(milliseconds=50 * step)) for step in range(20)]
        seed_jobs(database, groups, now=now)
        with database.write() as connection:
            loaded = connection.execute(select(t.job_state.c.job_id, t.job_state.c.loaded)).all()
            for job_id, definition in loaded:
                connection.execute(
                    update(t.job_state)
                    .where(t.job_state.c.job_id == job_id)
                    .values(loaded=replace(definition, overlap=OverlapPolicy.ALLOW, misfire=MisfirePolicy.ALL))
                )
        _serve(Path(folder), seconds)
        per_second = _finished_per_second(database)
        database.close()
    # The seconds at the edges are not full ones.
    middle = sorted(per_second[2:-2] or per_second)
    return Row("engine with full history, SQLite", f"{statistics.median(middle):,.0f} runs/s", "≥ 4,000 runs/s")


def _finished_per_second(database: Database) -> list[int]:
    with database.read() as connection:
        second = (type_coerce(t.run.c.finished_at, Integer) // 1_000_000).label("second")
        query = select(func.count()).where(t.run.c.outcome == "ok").group_by(second).order_by(second)
        return list(connection.execute(query).scalars())


def same_second(seconds: int = 20) -> list[Row]:
    """100,000 schedules, 1,000 of which are due at the same instant of every second."""
    with _folder() as folder:
        database = _database(folder)
        now = SystemClock().now()
        first = now.replace(microsecond=0) + timedelta(seconds=25)
        seed_jobs(database, [(1_000, 1, first), (99_000, 86_400, now + timedelta(hours=12))], now=now)
        wait_s = max(0.0, (first - SystemClock().now()).total_seconds() - 5)
        time.sleep(wait_s)
        served = _serve(Path(folder), seconds + 5)
        rows = _lateness(database, served["handed_over"], first)
        database.close()
    return rows


def _lateness(database: Database, handed_over: Sequence[tuple[int, float]], first: datetime) -> list[Row]:
    with database.read() as connection:
        runs = connection.execute(select(t.run.c.id, t.run.c.job_id, t.run.c.fire_time, t.run.c.finished_at)).all()
    fire_times = {run.id: run.fire_time.timestamp() for run in runs}
    late = [at - fire_times[run_id] for run_id, at in handed_over]
    bursts: dict[datetime, list[float]] = {}
    for run in runs:
        if run.finished_at is not None:
            bursts.setdefault(run.fire_time, []).append((run.finished_at - run.fire_time).total_seconds())
    full = [burst for burst in bursts.values() if len(burst) == 1_000]
    counted = {(run.job_id, run.fire_time) for run in runs}
    seconds = round((max(bursts) - first).total_seconds()) + 1
    lost = seconds * 1_000 - len(counted)
    return [
        Row("1,000 of 100,000 due at once: due to handed over", f"p99 {quantile_ms(late, 0.99):.1f} ms", "p99 ≤ 10 ms"),
        Row("… the same, lost / twice", f"{lost} / {len(runs) - len(counted)}", "0 / 0"),
        Row("… all 1,000 done after", f"median {statistics.median(map(max, full)) * 1000:.0f} ms", "≤ 400 ms"),
    ]


def idle(seconds: int = 20) -> list[Row]:
    """100,000 enabled jobs, none of them due."""
    with _folder() as folder:
        database = _database(folder)
        now = SystemClock().now()
        seed_jobs(database, [(100_000, 86_400, now + timedelta(hours=12))], now=now)
        database.close()
        served = _serve(Path(folder), seconds)
    return [
        Row("100,000 idle jobs: processor", f"{served['cpu_share'] * 100:.1f} % of a core", "≤ 3 %"),
        Row("… memory of the service, workers apart", f"{served['rss_mib']:.0f} MiB", "≤ 120 MiB"),
        Row("… start", f"{served['start_s']:.2f} s", "< 5 s"),
    ]


def reload(jobs: int = 10_000) -> Row:
    """Reload after every one of 10,000 jobs was changed."""
    from tests.support.moontide import Moontide, settings_for  # noqa: PLC0415
    from tests.support.scripted_executor import ScriptedExecutor  # noqa: PLC0415

    with _folder() as folder:
        database = _database(folder)
        clock = SystemClock()
        now = clock.now()
        seed_jobs(database, [(jobs, 3_600, now + timedelta(minutes=30))], now=now)
        with database.write() as connection:
            connection.execute(update(t.job).values(schedule="7200", waiting=True, version=2))
        database.close()
        settings = replace(settings_for(Path(folder)), timezone=UTC)
        moontide = Moontide(settings, ScriptedExecutor(clock), clock)  # type: ignore[arg-type]
        moontide.boot()
        moontide.service.request_reload(by="bench")
        began = time.perf_counter()
        moontide.engine.reloader.step(clock.now())
        took = time.perf_counter() - began
        moontide.close()
    return Row("reload of 10,000 changed jobs", f"{took:.2f} s", "≤ 1 s")


def measure() -> list[Row]:
    """Return every row of this file."""
    return [throughput(), *same_second(), *idle(), reload()]
