"""What the Lua tests share: orders, scripts in memory, and events to wait for."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime, timedelta
from typing import Any

from jobservice.domain.job import Isolation, JobId
from jobservice.domain.run import RunId, RunOrder, RunResult

PATIENCE_S = 20.0
_numbers = itertools.count(1)


class MemoryScripts:
    """A ``ScriptSource`` over a dictionary."""

    def __init__(self, scripts: dict[str, str] | None = None) -> None:
        self.scripts = scripts or {}

    def read(self, path: str) -> str | None:
        """Return the source, or None."""
        return self.scripts.get(path)


class RecordedEvents:
    """``RunEvents`` that keep everything and let a test wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.started: dict[RunId, datetime] = {}
        self.output: dict[RunId, str] = {}
        self.results: dict[RunId, list[RunResult]] = {}
        self.order: list[tuple[str, RunId]] = []

    def run_started(self, run_id: RunId, fence: int, started_at: datetime) -> None:
        with self._changed:
            self.started[run_id] = started_at
            self.order.append(("started", run_id))
            self._changed.notify_all()

    def run_output(self, run_id: RunId, text: str, at: datetime) -> None:
        with self._changed:
            self.output[run_id] = self.output.get(run_id, "") + text
            self.order.append(("output", run_id))
            self._changed.notify_all()

    def run_finished(self, result: RunResult) -> None:
        with self._changed:
            self.results.setdefault(result.run_id, []).append(result)
            self.order.append(("finished", result.run_id))
            self._changed.notify_all()

    def wait_started(self, run_id: RunId) -> None:
        self.wait_until(lambda: run_id in self.started, f"run {run_id} did not start")

    def wait_output(self, run_id: RunId, text: str) -> None:
        self.wait_until(lambda: text in self.output.get(run_id, ""), f"run {run_id} did not write {text!r}")

    def wait_finished(self, run_id: RunId) -> RunResult:
        self.wait_until(lambda: run_id in self.results, f"run {run_id} did not end")
        return self.results[run_id][0]

    def wait_until(self, condition: Any, complaint: str) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), complaint


def script(body: str, before: str = "") -> str:
    """Return a whole job script whose run function has this body, on line 3."""
    return f"local job = core.job() {before}\nfunction job.run()\n{body}\nend\nreturn job\n"


def order(source: str | None, **changes: Any) -> RunOrder:
    """Return an order for a whole script."""
    facts: dict[str, Any] = {
        "run_id": RunId(next(_numbers)),
        "fence": 1,
        "job_id": JobId(1),
        "job_name": "nightly",
        "path": "reports/x.lua",
        "source": source,
        "time_limit": timedelta(seconds=10),
        "memory_limit_bytes": 32 << 20,
        "isolation": Isolation.POOLED,
    }
    return RunOrder(**facts | changes)
