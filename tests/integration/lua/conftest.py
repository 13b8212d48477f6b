"""A pool of real workers for the tests of this folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from jobservice.domain.run import RunOrder, RunResult
from jobservice.executors.lua_pool import LuaPool
from jobservice.testing import FakeClock
from tests.support.lua_runs import MemoryScripts, RecordedEvents, order, script


@dataclass
class PoolRig:
    """A running pool with what it is connected to."""

    pool: LuaPool
    events: RecordedEvents
    scripts: MemoryScripts
    clock: FakeClock

    def run_source(self, source: str | None, **changes: Any) -> RunResult:
        """Run a whole script to its end."""
        return self.run_order(order(source, **changes))

    def run_body(self, body: str, **changes: Any) -> RunResult:
        """Run a script whose ``job.run`` has this body, on line 3."""
        return self.run_source(script(body), **changes)

    def run_order(self, wanted: RunOrder) -> RunResult:
        self.pool.submit([wanted])
        return self.events.wait_finished(wanted.run_id)

    def log_of(self, result: RunResult) -> str:
        return self.events.output.get(result.run_id, "")

    def logged(self, body: str, **changes: Any) -> str:
        """Run a body that ends well and return what it logged."""
        result = self.run_body(body + "\nreturn job.OK", **changes)
        assert result.error is None, result.error
        return self.log_of(result)


@pytest.fixture
def start_pool() -> Iterator[Callable[..., PoolRig]]:
    """Start pools of the wanted shape; they are stopped when the test ends."""
    rigs: list[PoolRig] = []

    def start(**settings: Any) -> PoolRig:
        scripts, clock, events = MemoryScripts(), FakeClock(), RecordedEvents()
        pool = LuaPool(scripts=scripts, clock=clock, logger=logging.getLogger("tests.lua"), **{"workers": 1} | settings)
        pool.start(events)
        rigs.append(PoolRig(pool, events, scripts, clock))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.pool.stop(timedelta(0))


@pytest.fixture(scope="module")
def rig() -> Iterator[PoolRig]:
    """One pool for the tests of a module that leave no trace in it."""
    scripts, clock, events = MemoryScripts(), FakeClock(), RecordedEvents()
    pool = LuaPool(scripts=scripts, clock=clock, workers=2, logger=logging.getLogger("tests.lua"))
    pool.start(events)
    yield PoolRig(pool, events, scripts, clock)
    pool.stop(timedelta(0))
