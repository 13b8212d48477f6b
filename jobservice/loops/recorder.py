"""Writes what runs do into the database, in batches off the hot path."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from jobservice.domain.errors import InvalidInputError, StoreUnavailableError
from jobservice.domain.job import JobStatus
from jobservice.domain.run import Outcome, RunId, RunResult
from jobservice.domain.status import StatusChange, after_run
from jobservice.schedules import parse_schedule
from jobservice.store.planning import ArmedRun
from jobservice.store.recording import FinishedRun, RecordBatch, RecordStore

FLUSH_INTERVAL = timedelta(milliseconds=40)
OUTPUT_CHUNK_CHARS = 64 * 1024
ENDS_A_BATCH = 500
"""Most ends that one transaction records."""

log = logging.getLogger(__name__)


class Recorder:
    """Gathers starts, output and ends of runs and writes them in batches.

    It hears from executors as their ``RunEvents``; those calls only append
    under a lock.  When the database is away, what was gathered is kept and
    written when it is back.

    """

    def __init__(self, store: RecordStore, *, boot: int) -> None:
        self._store = store
        self._boot = boot
        self.on_recorded: Callable[[list[tuple[ArmedRun, Outcome]]], None] = lambda _: None
        """Called after each flush with the runs whose end is now on record."""
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._something = threading.Event()
        self._batch = RecordBatch()
        self._active: dict[RunId, _Active] = {}
        self._with_output: set[_Active] = set()

    def begin(self, run: ArmedRun, revision: int | None) -> None:
        """Expect events of a run that is about to be handed to an executor."""
        with self._lock:
            self._active[run.run_id] = _Active(run, revision)

    def run_started(self, run_id: RunId, fence: int, started_at: datetime) -> None:
        """Note a start."""
        with self._lock:
            active = self._active.get(run_id)
            if active is not None:
                active.started_at = started_at
                self._batch.started[run_id] = (active.run, started_at, active.revision)
        self._something.set()

    def run_output(self, run_id: RunId, text: str, at: datetime) -> None:
        """Gather output; lines that arrive within one flush become one chunk."""
        with self._lock:
            active = self._active.get(run_id)
            if active is None:
                return
            clean = text.replace("\0", "\N{SYMBOL FOR NULL}")
            if active.pending and active.pending_chars + len(clean) > OUTPUT_CHUNK_CHARS:
                active.seal(self._batch)
            active.pending.append(clean)
            self._with_output.add(active)
            active.pending_chars += len(clean)
            active.pending_at = active.pending_at or at
        self._something.set()

    def run_finished(self, result: RunResult) -> None:
        """Note an end."""
        with self._lock:
            active = self._active.pop(result.run_id, None)
            if active is None:
                return
            active.seal(self._batch)
            self._batch.started.pop(result.run_id, None)
            self._batch.finished.append((FinishedRun(active.run, result), active.revision))
        self._something.set()

    def skip(self, run: ArmedRun, outcome: Outcome, reason: str, at: datetime) -> None:
        """Note that a claimed run will not start, and why."""
        with self._lock:
            self._batch.skipped.append((run, outcome, reason, at))
        self._something.set()

    def requeue(self, run: ArmedRun) -> None:
        """Note that a claimed run waits until its job is free."""
        with self._lock:
            self._batch.requeued.append(run)
        self._something.set()

    def wait(self, timeout_s: float) -> bool:
        """Block until there is something to write; False after ``timeout_s``."""
        return self._something.wait(timeout_s)

    def step(self, now: datetime) -> int:
        """Write what has gathered and return how many ends were recorded.

        :raises StoreUnavailableError: nothing was written; everything is kept for the next step.
        """
        recorded = 0
        with self._flushing:
            while batch := self._take():
                try:
                    recorded += self._write(batch, now)
                except StoreUnavailableError:
                    self._put_back(batch)
                    raise
                except Exception:
                    # What cannot be written is closed by the reaper; the jobs must not wait for it.
                    self._release(batch)
                    raise
                if len(batch.finished) < ENDS_A_BATCH:
                    break
        return recorded

    def _take(self) -> RecordBatch:
        with self._lock:
            self._something.clear()
            for active in self._with_output:
                active.seal(self._batch)
            self._with_output.clear()
            batch, self._batch = self._batch, RecordBatch()
            # A bounded transaction lets the other writers in.
            batch.finished, self._batch.finished = batch.finished[:ENDS_A_BATCH], batch.finished[ENDS_A_BATCH:]
        return batch

    def _put_back(self, batch: RecordBatch) -> None:
        with self._lock:
            newer = self._batch
            batch.output.extend(newer.output)
            batch.started.update(newer.started)
            batch.finished.extend(newer.finished)
            batch.skipped.extend(newer.skipped)
            batch.requeued.extend(newer.requeued)
            self._batch = batch

    def _write(self, batch: RecordBatch, now: datetime) -> int:
        refused = self._store.record(batch, _change, boot=self._boot, now=now)
        if refused:
            log.warning(
                "Ends of runs were refused: another node has closed them",
                extra={"event": "stale_fence", "run_ids": sorted(refused)},
            )
        self._release(batch)
        return len(batch.finished)

    def _release(self, batch: RecordBatch) -> None:
        self.on_recorded([(ended.run, ended.result.outcome) for ended, _ in batch.finished])


class _Active:
    """A run that is going on, with output not yet in a batch."""

    __slots__ = ("pending", "pending_at", "pending_chars", "revision", "run", "sequence", "started_at")

    def __init__(self, run: ArmedRun, revision: int | None) -> None:
        self.run = run
        self.revision = revision
        self.started_at: datetime | None = None
        self.sequence = 0
        self.pending: list[str] = []
        self.pending_chars = 0
        self.pending_at: datetime | None = None

    def seal(self, batch: RecordBatch) -> None:
        """Move pending output into the batch as one chunk."""
        if self.pending and self.pending_at is not None:
            self.sequence += 1
            batch.output.append((self.run.run_id, self.sequence, self.pending_at, "".join(self.pending)))
            self.pending.clear()
            self.pending_chars = 0
            self.pending_at = None


def steers(run: ArmedRun, outcome: Outcome) -> bool:
    """Return whether a run's end may change its job's status or next fire time, so that later runs must wait for it."""
    return run.definition.run_once or outcome not in {Outcome.OK, Outcome.CANCELLED, Outcome.ABANDONED}


def _change(ended: FinishedRun, status: JobStatus) -> StatusChange:
    definition = ended.run.definition
    try:
        schedule = parse_schedule(definition.schedule)
    except InvalidInputError:
        return StatusChange()
    return after_run(ended.result, definition=definition, status=status, schedule=schedule)
