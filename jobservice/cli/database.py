"""``moontide migrate``."""

from __future__ import annotations

import click

from jobservice.cli.output import reports_errors
from jobservice.settings import Settings
from jobservice.store.engine import Database
from jobservice.store.schema import found_version
from jobservice.store.schema import migrate as migrate_schema


@click.command()
@reports_errors
def migrate() -> None:
    """Bring the database's schema up to this release.

    Stop the job service and the consoles first, and keep a backup.
    """
    database = Database(Settings.from_environment().database_url)
    try:
        before = found_version(database)
        after = migrate_schema(database)
    finally:
        database.close()
    click.echo(f"The schema is {after} already." if before == after else f"The schema is now {after}.")
