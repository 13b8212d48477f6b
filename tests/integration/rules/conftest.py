"""A whole Moontide with real Lua workers, on either database, with the clock in the test's hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobservice.executors.lua_pool import LuaPool
from jobservice.loops.scripts import ScriptCache
from jobservice.store.engine import Database
from jobservice.store.scripts import ScriptStore
from jobservice.testing import FakeClock
from tests.support.moontide import Moontide, settings_for


@pytest.fixture
def new_pool(database_url: str, clock: FakeClock) -> Iterator[Callable[[], LuaPool]]:
    """Makes Lua pools over the test's database."""
    reader = Database(database_url)
    scripts = ScriptCache(ScriptStore(reader))
    log = logging.getLogger("tests.pool")
    yield lambda: LuaPool(scripts=scripts, clock=clock, workers=1, logger=log)
    reader.close()


@pytest.fixture
def moontide(
    tmp_path: Path, database_url: str, clock: FakeClock, new_pool: Callable[[], LuaPool]
) -> Iterator[Moontide]:
    whole = Moontide(settings_for(tmp_path, database_url), new_pool(), clock)
    whole.boot()
    yield whole
    whole.close()
