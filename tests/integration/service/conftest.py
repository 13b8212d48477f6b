"""A job service on either database: stepped by hand, or as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.testing import FakeClock
from tests.support.cluster import Cluster
from tests.support.moontide import settings_for


@pytest.fixture
def cluster(tmp_path: Path, database_url: str, clock: FakeClock) -> Iterator[Cluster]:
    """Verbs and read models on an empty database; the test starts the nodes."""
    whole = Cluster(settings_for(tmp_path, database_url), clock)
    yield whole
    whole.close()
