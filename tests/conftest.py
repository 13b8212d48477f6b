"""Fixtures that every kind of test shares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.store.engine import Database
from jobservice.store.schema import migrate
from jobservice.testing import FakeClock
from tests.support.moontide import copy_template, template_database
from tests.support.postgresql import PostgresServer, programs

_numbers = itertools.count(1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def migrated_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    return template_database(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a migrated database named ``template_moontide``."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(found)
    try:
        server.execute("CREATE DATABASE template_moontide")
        database = Database(server.url("template_moontide"))
        migrate(database)
        database.close()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated_template: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; each test runs once on either kind."""
    if request.param == "sqlite":
        copy_template(migrated_template, tmp_path)
        yield f"sqlite:///{tmp_path}/moontide.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template_moontide")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that could not run here."""
    skipped = sorted({report.nodeid for report in terminalreporter.stats.get("skipped", [])})
    if skipped:
        terminalreporter.section("tests that could not run here")
        for nodeid in skipped:
            terminalreporter.write_line(nodeid)
