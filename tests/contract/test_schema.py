"""The schema: checked before use, brought up to date by one command, equal to the models."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from jobservice.domain.errors import SchemaMismatchError
from jobservice.store.engine import Database
from jobservice.store.schema import check_schema, found_version, migrate, wanted_version
from jobservice.store.tables import metadata
from tests.contract.rows import Rows


def set_version(database: Database, version: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")


def test_models_equal_what_the_migrations_make(rows: Rows):
    with rows.database.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_a_migrated_database_passes_and_is_left_alone_by_another_migration(rows: Rows):
    job_id = rows.create()

    check_schema(rows.database)

    assert migrate(rows.database) == found_version(rows.database) == wanted_version()
    assert rows.queries.get_job(job_id).row.name == "job"


def test_a_database_of_a_newer_release_is_refused_and_not_touched(rows: Rows):
    set_version(rows.database, "9999")
    try:
        for refuse in (check_schema, migrate):
            with pytest.raises(SchemaMismatchError, match=r"9999.*does not know.*install that release") as refused:
                refuse(rows.database)
            assert "moontide migrate" not in str(refused.value)
        assert found_version(rows.database) == "9999"
    finally:
        set_version(rows.database, wanted_version())


@pytest.fixture
def empty(tmp_path) -> Database:
    return Database(f"sqlite:///{tmp_path}/empty.db")


def test_an_empty_database_is_refused_with_the_command_that_fills_it(empty):
    with pytest.raises(SchemaMismatchError, match=r"holds no Moontide schema.*Run: moontide migrate"):
        check_schema(empty)

    assert found_version(empty) is None
    empty.close()


def test_a_migration_makes_every_table_in_one_go(empty):
    migrate(empty)

    check_schema(empty)
    with empty.read() as connection:
        names = {name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {*metadata.tables, "alembic_version", "sqlite_sequence"}
    empty.close()


def test_an_older_schema_is_refused_with_the_command_that_upgrades_it():
    older = SchemaMismatchError(found="0000", wanted="0001", known=True)

    assert str(older) == "The database schema is 0000; this release needs 0001. Run: moontide migrate"


def test_a_folder_for_a_new_database_is_made_for_its_owner_alone(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/new/moontide.db")
    migrate(database)
    database.close()

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
