"""A database of either kind with every store on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.store.engine import Database
from jobservice.store.tables import metadata
from jobservice.testing import FakeClock
from tests.contract.rows import Rows
from tests.support.moontide import copy_template
from tests.support.postgresql import PostgresServer

_TABLES = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)


@pytest.fixture(scope="session")
def shared_postgres(postgres: PostgresServer) -> Iterator[Database]:
    """One migrated database for all stores' tests: emptying it costs a tenth of making another."""
    postgres.execute("CREATE DATABASE contract TEMPLATE template_moontide")
    database = Database(postgres.url("contract"), pool_size=1)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated_template: Path) -> str:
    """The URL of an empty, migrated database; each test runs once on either kind."""
    if request.param == "sqlite":
        copy_template(migrated_template, tmp_path)
        return f"sqlite:///{tmp_path}/moontide.db"
    shared: Database = request.getfixturevalue("shared_postgres")
    with shared.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE")
    return shared.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def rows(database_url: str, clock: FakeClock) -> Iterator[Rows]:
    made = Rows(database_url, clock)
    yield made
    made.close()
