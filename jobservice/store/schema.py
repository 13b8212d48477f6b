"""The schema's version: checking it and bringing it up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from jobservice.domain.errors import SchemaMismatchError
from jobservice.store.engine import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def wanted_version() -> str:
    """Return the schema version that this release needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise AssertionError("the release ships no migrations")
    return head


def found_version(database: Database) -> str | None:
    """Return the database's schema version, or None when it holds no schema."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_schema(database: Database) -> None:
    """Check that the schema is this release's.

    :raises SchemaMismatchError: it is missing, older or newer; the message
        names the command to run.
    """
    found, wanted = found_version(database), wanted_version()
    if found == wanted:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    raise SchemaMismatchError(found=found, wanted=wanted, known=found is None or found in known)


def migrate(database: Database) -> str:
    """Bring the schema up to this release's in one transaction and return its version.

    :raises SchemaMismatchError: it is newer than this release.
    """
    try:
        check_schema(database)
    except SchemaMismatchError as mismatch:
        if mismatch.found is not None and "moontide migrate" not in str(mismatch):
            raise
    config = _config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return wanted_version()
