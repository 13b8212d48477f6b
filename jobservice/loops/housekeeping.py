"""What keeps the service's promises from the side: proof of life, the dead, old history, the invariant."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.run import RunId
from jobservice.domain.status import first_fire
from jobservice.loops.dispatcher import Dispatcher
from jobservice.ports import Clock
from jobservice.schedules import parse_schedule
from jobservice.store.history import HistoryStore
from jobservice.store.loading import LoadStore
from jobservice.store.nodes import NodeStore
from jobservice.store.runs import RunStore

LEASE = timedelta(seconds=5)
LONGEST_GAP = timedelta(seconds=3)
"""Heartbeats further apart than this mean that the database was away, or that the clock has jumped."""
LEASE_MARGIN_S = 0.5
"""A node stops starting runs this long before its lease ends by its own clock."""
BATCH = 200
PURGE_BATCH = 500
PURGE_BATCHES_A_STEP = 600
"""Enough to keep up with 4,000 runs a second."""

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """Another node has declared this one dead; it must stop."""


class Heartbeat:
    """Renews this node's lease, and knows whether it holds."""

    def __init__(self, nodes: NodeStore, dispatcher: Dispatcher, *, node_id: int, clock: Clock) -> None:
        self._nodes = nodes
        self._dispatcher = dispatcher
        self._node_id = node_id
        self._clock = clock
        self._valid_until = clock.monotonic() + LEASE.total_seconds() - LEASE_MARGIN_S
        self._beaten_at = self._watching_since = clock.now()

    def has_watched(self, now: datetime) -> bool:
        """Return whether this node has beaten for a whole lease without a gap, so that a silent one is dead.

        After an outage of the database, or a jump of the clock, every lease
        has run out, and the others need a moment to renew theirs.
        """
        return now - self._beaten_at <= LONGEST_GAP and self._beaten_at - self._watching_since >= LEASE

    def lease_is_valid(self) -> bool:
        """Return whether this node may start runs now."""
        return self._clock.monotonic() < self._valid_until

    def step(self, now: datetime) -> None:
        """Prove life.

        :raises LeaseLostError: it came too late.
        """
        before = self._clock.monotonic()
        if not self._nodes.beat(self._node_id, now=now, lease_expires_at=now + LEASE):
            raise LeaseLostError("another service declared this one dead and took its runs")
        self._valid_until = before + LEASE.total_seconds() - LEASE_MARGIN_S
        if not timedelta(0) <= now - self._beaten_at <= LONGEST_GAP:
            self._watching_since = now
        self._beaten_at = now
        self._dispatcher.shares_database = self._nodes.count_others(self._node_id, now=now) > 0


class Reaper:
    """Closes what dead nodes left, and what this node lost track of."""

    def __init__(
        self,
        nodes: NodeStore,
        runs: RunStore,
        dispatcher: Dispatcher,
        heartbeat: Heartbeat,
        *,
        node_id: int,
        alone: bool,
    ) -> None:
        self._nodes = nodes
        self._runs = runs
        self._dispatcher = dispatcher
        self._heartbeat = heartbeat
        self._node_id = node_id
        self._alone = alone
        self._taken: set[RunId] = set()
        self._forgotten: set[RunId] = set()

    def step(self, now: datetime) -> int:
        """Bury nodes whose lease ran out and return how many of their runs were closed."""
        dead = self._nodes.dead(now=now, except_for=self._node_id, alone=self._alone)
        if not dead or not (self._alone or self._heartbeat.has_watched(now)):
            return 0
        closed = 0
        while (count := self._runs.close_lost(dead, now=now, limit=BATCH)) > 0:
            closed += count
        self._nodes.bury(dead, now=now)
        log.warning(
            "Closed what a dead service left", extra={"event": "reaped", "node_ids": dead, "closed_runs": closed}
        )
        return closed

    def cancel_step(self) -> None:
        """End the runs that somebody wants cancelled."""
        self._dispatcher.cancel(self._runs.cancel_requests(node_id=self._node_id))

    def reconcile_step(self, now: datetime) -> None:
        """Bring memory and record together where they have disagreed for two steps.

        Runs in memory that are no longer this node's on record are dropped;
        runs on record that nobody here knows are closed.
        """
        known, held = self._dispatcher.known(), self._runs.held_by(self._node_id)
        taken, forgotten = known - held, held - known
        if confirmed := taken & self._taken:
            log.warning("Runs were taken from this service", extra={"event": "taken", "run_ids": sorted(confirmed)})
            self._dispatcher.drop(confirmed)
        if confirmed := forgotten & self._forgotten:
            log.error("Runs were lost track of", extra={"event": "forgotten", "run_ids": sorted(confirmed)})
            self._runs.close_forgotten(sorted(confirmed), now=now)
        self._taken, self._forgotten = taken, forgotten


class InvariantCheck:
    """Finds enabled jobs that are neither running nor waiting with a next fire time, and mends them."""

    def __init__(self, loads: LoadStore) -> None:
        self._loads = loads
        self._seen: set[int] = set()
        self.mended = 0
        """How many jobs were mended in this boot."""

    def step(self, now: datetime) -> int:
        """Mend the strays that were there at the step before too; return how many."""
        strays = self._loads.strays(limit=BATCH)
        mended = 0
        for job_id, definition in strays:
            if job_id not in self._seen:
                continue  # It may be between two writes right now.
            try:
                next_fire_at = first_fire(parse_schedule(definition.schedule), now)
            except InvalidInputError as error:
                log.error(  # noqa: TRY400 - the schedule is at fault, not the code
                    "A job cannot run: its stored schedule is not understood",
                    extra={"event": "bad_schedule", "job_id": job_id, "reason": str(error)},
                )
                continue
            self._loads.mend_stray(job_id, next_fire_at)
            mended += 1
            log.error(
                "A job waited for nothing and was given a next fire time",
                extra={"event": "invariant_mended", "job_id": job_id, "next_fire_at": str(next_fire_at)},
            )
        self._seen = {job_id for job_id, _ in strays}
        self.mended += mended
        return mended


class Retention:
    """Removes history by age and by number, in small batches off the hot path."""

    def __init__(self, history: HistoryStore, *, days: int, runs_per_job: int) -> None:
        self._history = history
        self._age = timedelta(days=days)
        self._keep = runs_per_job
        self._after_job = 0

    def step(self, now: datetime) -> int:
        """Remove a bounded amount of history and return how many runs went."""
        oldest = now - self._age
        removed = self._repeatedly(lambda: self._history.purge(created_before=oldest, limit=PURGE_BATCH))
        removed += self._repeatedly(lambda: self._history.purge_deleted_jobs(limit=PURGE_BATCH))
        return removed + self._surplus()

    @staticmethod
    def _repeatedly(purge: Callable[[], int]) -> int:
        """Remove batch after batch, each a short transaction, until one is not full."""
        removed = 0
        for _ in range(PURGE_BATCHES_A_STEP):
            count = purge()
            removed += count
            if count < PURGE_BATCH:
                break
        return removed

    def _surplus(self) -> int:
        removed = 0
        job_ids = self._history.jobs_with_history(after=self._after_job, limit=BATCH)
        for job_id in job_ids:
            removed += self._history.purge_surplus(job_id, keep=self._keep, limit=PURGE_BATCH)
        self._after_job = job_ids[-1] if len(job_ids) == BATCH else 0
        return removed
