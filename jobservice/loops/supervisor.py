"""Calls every loop in time, and is the only one that sleeps."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from jobservice.domain.errors import StoreUnavailableError
from jobservice.loops.engine import Engine
from jobservice.loops.housekeeping import LeaseLostError
from jobservice.loops.recorder import FLUSH_INTERVAL
from jobservice.wake import Bell

TICK = timedelta(milliseconds=250)
HEARTBEAT = timedelta(seconds=1)
REAP = timedelta(seconds=1)
CHECK = timedelta(seconds=60)
RETAIN = timedelta(seconds=60)
LONGEST_WAIT_S = 0.5
AFTER_FAILURE_S = 0.25

log = logging.getLogger(__name__)


class Supervisor:
    """Runs an engine until it is told to stop.

    :param bell: rung by consoles and commands when a row waits for the service.
    """

    def __init__(self, engine: Engine, bell: Bell) -> None:
        self._engine = engine
        self._bell = bell
        self._stopping = threading.Event()
        self._nothing_runs = threading.Event()
        self._ticking = threading.Lock()
        self._away_since: dict[str, float] = {}
        self.lease_lost = False
        """Whether it stopped because another node declared it dead."""
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._threads = [
            threading.Thread(target=loop, name=name, daemon=True)
            for name, loop in (
                ("claim", self._claim_loop),
                ("hand-over", self._hand_over_loop),
                ("record", self._record_loop),
                ("bell", self._bell_loop),
            )
        ]

    def start(self) -> None:
        """Start every loop; returns at once."""
        # The hand-over must get its turn within half a millisecond of its moment.
        sys.setswitchinterval(0.0005)
        self._engine.start()
        self._every(TICK, "tick", self._tick)
        self._every(HEARTBEAT, "heartbeat", self._engine.heartbeat.step)
        self._every(REAP, "reaper", self._engine.reaper.step)
        self._every(CHECK, "reconcile", self._engine.reaper.reconcile_step)
        self._every(CHECK, "invariant", self._engine.invariant.step)
        self._every(RETAIN, "retention", self._engine.retention.step)
        for thread in self._threads:
            thread.start()
        self._scheduler.start()
        gc.collect()
        gc.freeze()

    def wait(self) -> None:
        """Block until ``request_stop`` was called, or the lease was lost."""
        self._stopping.wait()

    def request_stop(self) -> None:
        """Ask for a stop; safe in a signal handler."""
        self._stopping.set()

    def stop(self, grace: timedelta) -> None:
        """Stop every loop and let what runs finish within ``grace``."""
        self._stopping.set()
        self._scheduler.remove_job("tick")
        for thread in self._threads:
            if thread.name != "record":
                thread.join(timeout=2)
        with self._ticking:
            self._guarded("stop", lambda _: self._engine.stop(grace))
        self._nothing_runs.set()
        self._scheduler.shutdown(wait=True)
        self._bell.close()

    def _every(self, interval: timedelta, name: str, step: Callable[[datetime], object]) -> None:
        self._scheduler.add_job(
            lambda: self._guarded(name, step), "interval", seconds=interval.total_seconds(), id=name
        )

    def _tick(self, now: datetime) -> None:
        with self._ticking:
            if not self._stopping.is_set():
                self._engine.tick(now)

    def _guarded(self, name: str, step: Callable[[datetime], object]) -> bool:
        """Call a step; a failure is logged and the loop goes on.  Return whether it went well."""
        try:
            step(self._engine.clock.now())
        except StoreUnavailableError as error:
            if name not in self._away_since:
                self._away_since[name] = time.monotonic()
                log.error("%s waits: %s", name, error, extra={"event": "store_away"})  # noqa: TRY400 - no code at fault
            return False
        except LeaseLostError as error:
            log.critical("This service stops: %s", error, extra={"event": "lease_lost"})
            self.lease_lost = True
            self._stopping.set()
            return False
        except Exception:  # A loop outlives any one step; the log says what happened.
            log.exception("The step %s failed", name, extra={"event": "step_failed"})
            return False
        since = self._away_since.pop(name, None)
        if since is not None:
            log.info("%s goes on after %.1f s", name, time.monotonic() - since, extra={"event": "store_back"})
        return True

    def _claim_loop(self) -> None:
        due: list[datetime | None] = [None]

        def claim(now: datetime) -> None:
            due[0] = self._engine.dispatcher.claim_step(now)

        while not self._stopping.is_set():
            if not self._guarded("claim", claim):
                self._stopping.wait(AFTER_FAILURE_S)
                continue
            wait_s = self._until(due[0])
            if wait_s > 0:
                self._engine.dispatcher.wait_for_armed(due[0], wait_s)

    def _hand_over_loop(self) -> None:
        due: list[datetime | None] = [None]

        def hand_over(now: datetime) -> None:
            due[0] = self._engine.dispatcher.hand_over_step(now)

        while not self._stopping.is_set():
            if not self._guarded("hand-over", hand_over):
                self._stopping.wait(AFTER_FAILURE_S)
                continue
            wait_s = self._until(due[0])
            if wait_s > 0:
                self._engine.dispatcher.wait_for_claimed(due[0], wait_s)

    def _until(self, instant: datetime | None) -> float:
        if instant is None:
            return LONGEST_WAIT_S
        return min((instant - self._engine.clock.now()).total_seconds(), LONGEST_WAIT_S)

    def _record_loop(self) -> None:
        # What ends during the stop's grace is recorded at once too, lest a kill then makes it run again.
        while not self._nothing_runs.is_set():
            if not self._engine.recorder.wait(LONGEST_WAIT_S):
                continue
            # Several ends in one transaction cost little more than one.
            self._nothing_runs.wait(FLUSH_INTERVAL.total_seconds())
            recorded: list[int] = [0]

            def record(now: datetime, recorded: list[int] = recorded) -> None:
                recorded[0] = self._engine.recorder.step(now)

            if not self._guarded("record", record):
                self._nothing_runs.wait(AFTER_FAILURE_S)
            elif self._engine.dispatcher.has_requeued and not self._stopping.is_set():
                self._guarded("tick", self._tick)

    def _bell_loop(self) -> None:
        while not self._stopping.is_set():
            if self._bell.is_silent:
                self._stopping.wait()
            elif self._bell.wait(LONGEST_WAIT_S):
                self._guarded("tick", self._tick)
