"""Hands armed runs to the executor at their moment."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from jobservice.domain.errors import StoreUnavailableError
from jobservice.domain.job import JobId, OverlapPolicy
from jobservice.domain.run import Cause, Outcome, RunId, RunOrder, RunResult
from jobservice.loops.recorder import Recorder, steers
from jobservice.loops.scripts import ScriptCache
from jobservice.ports import Executor
from jobservice.store.planning import ArmedRun
from jobservice.store.runs import RunStore
from jobservice.store.scripts import StoredScript

CLAIM_AHEAD = timedelta(milliseconds=100)
"""How long before its fire time a run is claimed, so that the commit is off the path."""
CLAIM_BATCH = 500
HAND_OVER_BATCH = 100
_MIB = 1024 * 1024


class ClaimedRun(NamedTuple):
    """A run that is on record as this node's to start, ready to be handed over."""

    fire_time: datetime
    run_id: RunId
    run: ArmedRun
    order: RunOrder
    revision: int | None


class Dispatcher:
    """Holds armed runs, claims each shortly before its fire time, and hands it over on time.

    It hears from the executor first, as its ``RunEvents``, and passes what
    it hears to the recorder: the end of a run decides at once what may start
    next.  Safe from any thread.

    :param zone: the server's local time, for scripts that ask for it.
    :param lease_is_valid: whether this node may still start runs.
    """

    def __init__(
        self,
        store: RunStore,
        scripts: ScriptCache,
        *,
        node_id: int,
        zone: tzinfo,
        executor: Executor,
        recorder: Recorder,
        lease_is_valid: Callable[[], bool],
    ) -> None:
        self._store = store
        self._scripts = scripts
        self._node_id = node_id
        self._zone = zone
        self._executor = executor
        self._recorder = recorder
        self._lease_is_valid = lease_is_valid
        self.shares_database = False
        """Whether other nodes are alive, so that overlaps must be looked for there too."""
        lock = threading.RLock()
        self._armed_changed = threading.Condition(lock)
        self._claimed_changed = threading.Condition(lock)
        self._lock = lock
        self._armed: list[ArmedRun] = []
        self._held: defaultdict[JobId, list[ArmedRun]] = defaultdict(list)
        self._claimed: list[ClaimedRun] = []
        self._running: dict[RunId, ArmedRun] = {}
        self._running_by_job: Counter[JobId] = Counter()
        self._unrecorded: Counter[JobId] = Counter()
        self._requeued: set[JobId] = set()
        self._cancelled: set[RunId] = set()

    def arm(self, runs: Sequence[ArmedRun]) -> None:
        """Take runs that this node has leased."""
        if not runs:
            return
        with self._lock:
            for run in runs:
                heapq.heappush(self._armed, run)
                self._requeued.discard(run.job_id)
            self._armed_changed.notify()

    def claim_step(self, now: datetime) -> datetime | None:
        """Claim what starts soon; return when the next claim is due, or None when nothing is armed.

        :raises StoreUnavailableError: what was not claimed stays armed.
        """
        while batch := self._take_soon(now):
            try:
                claimed = self._claim(batch, now)
            except StoreUnavailableError:
                self.arm(batch)
                raise
            with self._lock:
                for entry in claimed:
                    heapq.heappush(self._claimed, entry)
                self._claimed_changed.notify()
        with self._lock:
            return self._next_claim()

    def _take_soon(self, now: datetime) -> list[ArmedRun]:
        batch: list[ArmedRun] = []
        with self._lock:
            while self._armed and self._armed[0].fire_time <= now + CLAIM_AHEAD and len(batch) < CLAIM_BATCH:
                run = heapq.heappop(self._armed)
                if self._unrecorded[run.job_id]:
                    # The end of an earlier run, not yet on record, may take this fire time back.
                    self._held[run.job_id].append(run)
                else:
                    batch.append(run)
        return batch

    def _claim(self, batch: Sequence[ArmedRun], now: datetime) -> list[ClaimedRun]:
        kept = self._store.claim(batch, node_id=self._node_id)
        # Of a run that was taken back and leased again, the newer lease is the one on record.
        newest = {run.run_id: run for run in sorted(batch, key=lambda run: run.fence)}
        runs = [run for run_id, run in newest.items() if run_id in kept]
        if not runs:
            return []
        if self.shares_database:
            runs = self._without_overlaps_elsewhere(runs, now)
        scripts = self._scripts.read_all(run.definition.path for run in runs)
        offset = now.astimezone(self._zone).utcoffset() or timedelta(0)
        return [_ready(run, scripts.get(run.definition.path), offset) for run in runs]

    def _without_overlaps_elsewhere(self, runs: Sequence[ArmedRun], now: datetime) -> list[ArmedRun]:
        job_ids = [run.job_id for run in runs if run.definition.overlap is not OverlapPolicy.ALLOW]
        elsewhere = self._store.jobs_running_elsewhere(job_ids, node_id=self._node_id)
        for run in runs:
            if run.job_id in elsewhere:
                self._refuse(run, "at another node", now)
        return [run for run in runs if run.job_id not in elsewhere]

    def hand_over_step(self, now: datetime) -> datetime | None:
        """Hand over what is due; return the next moment, or None when nothing is claimed.

        A node whose lease has run out hands over nothing: others may have
        taken its runs.
        """
        if not self._lease_is_valid():
            return None
        while orders := self._take_due(now):
            self._executor.submit(orders)
        with self._lock:
            return self._next_hand_over()

    def _take_due(self, now: datetime) -> list[RunOrder]:
        orders: list[RunOrder] = []
        with self._lock:
            while self._claimed and self._claimed[0].fire_time <= now and len(orders) < HAND_OVER_BATCH:
                claimed = heapq.heappop(self._claimed)
                if self._may_start(claimed.run, now):
                    self._running[claimed.run_id] = claimed.run
                    self._running_by_job[claimed.run.job_id] += 1
                    self._recorder.begin(claimed.run, claimed.revision)
                    orders.append(claimed.order)
        return orders

    def _may_start(self, run: ArmedRun, now: datetime) -> bool:
        if run.run_id in self._cancelled:
            self._cancelled.discard(run.run_id)
            self._recorder.skip(run, Outcome.CANCELLED, "Cancelled before it started.", now)
            return False
        if self._unrecorded[run.job_id] and run.cause is Cause.SCHEDULE:
            reason = "The run before it ended with a return that takes the job out of its schedule."
            self._recorder.skip(run, Outcome.CANCELLED, reason, now)
            return False
        if self._running_by_job[run.job_id] and run.definition.overlap is not OverlapPolicy.ALLOW:
            self._refuse(run, "already", now)
            return False
        return True

    def _refuse(self, run: ArmedRun, where: str, now: datetime) -> None:
        """Let a run wait for its job, or leave its fire time out, as the overlap policy says."""
        if run.cause is not Cause.SCHEDULE or run.definition.overlap is OverlapPolicy.QUEUE:
            with self._lock:
                self._requeued.add(run.job_id)
            self._recorder.requeue(run)
            return
        reason = f"The job was running {where}, and its overlap policy leaves this fire time out."
        self._recorder.skip(run, Outcome.SKIPPED, reason, now)

    # What the executor reports.

    def run_started(self, run_id: RunId, fence: int, started_at: datetime) -> None:
        """Pass a start on."""
        self._recorder.run_started(run_id, fence, started_at)

    def run_output(self, run_id: RunId, text: str, at: datetime) -> None:
        """Pass output on."""
        self._recorder.run_output(run_id, text, at)

    def run_finished(self, result: RunResult) -> None:
        """Free the job, hold back its planned runs where the end steers them, and pass the end on."""
        with self._lock:
            run = self._running.pop(result.run_id, None)
            if run is not None:
                self._count_down(self._running_by_job, run.job_id)
                if steers(run, result.outcome):
                    self._unrecorded[run.job_id] += 1
        self._recorder.run_finished(result)

    def recorded(self, runs: Iterable[tuple[ArmedRun, Outcome]]) -> None:
        """Release what was held back until these ends were on record."""
        with self._lock:
            for run, outcome in runs:
                if not steers(run, outcome):
                    continue
                self._count_down(self._unrecorded, run.job_id)
                if not self._unrecorded[run.job_id]:
                    for held in self._held.pop(run.job_id, ()):
                        heapq.heappush(self._armed, held)
                    self._armed_changed.notify()

    @staticmethod
    def _count_down(counter: Counter[JobId], job_id: JobId) -> None:
        counter[job_id] -= 1
        if counter[job_id] <= 0:
            del counter[job_id]

    # Cancelling, looking and stopping.

    def cancel(self, run_ids: Iterable[RunId]) -> None:
        """End runs that are claimed or going on."""
        for run_id in run_ids:
            if self._executor.cancel(run_id):
                continue
            with self._lock:
                if any(claimed.run_id == run_id for claimed in self._claimed):
                    self._cancelled.add(run_id)

    @property
    def is_busy(self) -> bool:
        """Whether the executor has any run."""
        return bool(self._running)

    def known(self) -> set[RunId]:
        """Return every run that this node holds in memory."""
        with self._lock:
            held = {run.run_id for runs in self._held.values() for run in runs}
            claimed = {entry.run_id for entry in self._claimed}
            return held | claimed | {run.run_id for run in self._armed} | set(self._running)

    def drop(self, run_ids: set[RunId]) -> None:
        """Forget runs that are no longer this node's, and end those that are going on."""
        with self._lock:
            self._armed = [run for run in self._armed if run.run_id not in run_ids]
            heapq.heapify(self._armed)
            self._claimed = [entry for entry in self._claimed if entry.run_id not in run_ids]
            heapq.heapify(self._claimed)
            going_on = [run_id for run_id in run_ids if run_id in self._running]
        for run_id in going_on:
            self._executor.cancel(run_id)

    def give_back(self) -> None:
        """Forget everything armed, and give back the claims of what has not started."""
        with self._lock:
            claimed = [entry.run for entry in self._claimed]
            self._armed.clear()
            self._held.clear()
            self._claimed.clear()
        if claimed:
            self._store.unclaim(claimed)

    @property
    def has_requeued(self) -> bool:
        """Whether a run waits until its job is free."""
        return bool(self._requeued)

    def wait_for_armed(self, seen: datetime | None, timeout_s: float) -> None:
        """Block until the next claim is due at another time than ``seen``, at most ``timeout_s``."""
        with self._armed_changed:
            if self._next_claim() == seen:
                self._armed_changed.wait(timeout_s)

    def wait_for_claimed(self, seen: datetime | None, timeout_s: float) -> None:
        """Block until the next hand-over is due at another time than ``seen``, at most ``timeout_s``."""
        with self._claimed_changed:
            if self._next_hand_over() == seen:
                self._claimed_changed.wait(timeout_s)

    def _next_claim(self) -> datetime | None:
        return self._armed[0].fire_time - CLAIM_AHEAD if self._armed else None

    def _next_hand_over(self) -> datetime | None:
        return self._claimed[0].fire_time if self._claimed else None


def _ready(run: ArmedRun, script: StoredScript | None, utc_offset: timedelta) -> ClaimedRun:
    definition = run.definition
    order = RunOrder(
        run_id=run.run_id,
        fence=run.fence,
        job_id=run.job_id,
        job_name=definition.name,
        path=definition.path,
        source=script.source if script else None,
        time_limit=timedelta(seconds=definition.time_limit_s),
        memory_limit_bytes=definition.memory_limit_mib * _MIB,
        isolation=definition.isolation,
        utc_offset=utc_offset,
    )
    return ClaimedRun(run.fire_time, run.run_id, run, order, script.revision if script else None)
