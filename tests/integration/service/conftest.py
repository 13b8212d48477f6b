"""A job service on either database: stepped by hand, or as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.testing import FakeClock
from tests.support.cluster import Cluster
from tests.support.moontide import copy_template, settings_for
from tests.support.processes import Moontide
from tests.support.watched import Watched


@pytest.fixture
def cluster(tmp_path: Path, database_url: str, clock: FakeClock) -> Iterator[Cluster]:
    """Verbs and read models on an empty database; the test starts the nodes."""
    whole = Cluster(settings_for(tmp_path, database_url), clock)
    yield whole
    whole.close()


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Moontide]:
    """The command line in an empty folder, with no database yet."""
    fresh = Moontide(tmp_path)
    yield fresh
    fresh.end_all()


@pytest.fixture
def embedded(tmp_path: Path, migrated_template: Path) -> Iterator[Watched]:
    """The command line on a migrated SQLite file."""
    copy_template(migrated_template, tmp_path)
    watched = Watched(tmp_path, f"sqlite:///{tmp_path}/moontide.db")
    yield watched
    watched.close()


@pytest.fixture
def moontide(tmp_path: Path, database_url: str) -> Iterator[Watched]:
    """The command line on a migrated database of either kind."""
    watched = Watched(tmp_path, database_url, MOONTIDE_STOP_GRACE_SECONDS="2")
    yield watched
    watched.close()
