"""A job service in a process of its own, which reports what it did as JSON when its time is up."""

from __future__ import annotations

import json
import logging
import resource
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from jobservice.bootstrap import build_engine
from jobservice.clock import SystemClock
from jobservice.domain.run import RunId, RunOrder
from jobservice.executors.lua_pool import LuaPool
from jobservice.loops.scripts import ScriptCache
from jobservice.loops.supervisor import Supervisor
from jobservice.ports import RunEvents
from jobservice.settings import Settings
from jobservice.store.engine import Database
from jobservice.store.scripts import ScriptStore
from jobservice.wake import Bell


class TimedPool:
    """The Lua pool, with the instant at which each run was handed to it."""

    def __init__(self, pool: LuaPool, clock: SystemClock) -> None:
        self._pool = pool
        self._clock = clock
        self.handed_over: list[tuple[RunId, datetime]] = []

    def start(self, events: RunEvents) -> None:
        self._pool.start(events)

    def submit(self, orders: Sequence[RunOrder]) -> None:
        self._pool.submit(orders)
        now = self._clock.now()
        self.handed_over.extend((order.run_id, now) for order in orders)

    def cancel(self, run_id: RunId) -> bool:
        return self._pool.cancel(run_id)

    def stop(self, grace: timedelta) -> None:
        self._pool.stop(grace)


def main() -> None:
    """Serve for ``sys.argv[1]`` seconds and print what was seen."""
    seconds = float(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    settings, clock = Settings.from_environment(), SystemClock()
    began = time.monotonic()
    database = Database(settings.database_url)
    scripts = ScriptCache(ScriptStore(database))
    pool = LuaPool(scripts=scripts, clock=clock, workers=settings.lua_workers, logger=logging.getLogger("pool"))
    timed = TimedPool(pool, clock)
    engine = build_engine(database, scripts, timed, clock, settings, alone=settings.is_sqlite)
    supervisor = Supervisor(engine, Bell(settings.control_socket))
    supervisor.start()
    start_s = time.monotonic() - began
    settled = resource.getrusage(resource.RUSAGE_SELF)
    settled_at = time.monotonic()
    threading.Event().wait(seconds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.monotonic() - settled_at
    cpu = used.ru_utime + used.ru_stime - settled.ru_utime - settled.ru_stime
    supervisor.stop(timedelta(seconds=5))
    database.close()
    json.dump(
        {
            "start_s": start_s,
            "cpu_share": cpu / wall,
            "cpu_s": cpu,
            "workers_cpu_s": _workers_cpu_s(),
            "rss_mib": _rss_mib(),
            "handed_over": [(run_id, instant.timestamp()) for run_id, instant in timed.handed_over],
        },
        sys.stdout,
    )


def _workers_cpu_s() -> float:
    """Return what the ended workers used, their starts included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rss_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
