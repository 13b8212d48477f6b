"""The group ``moontide`` with the job service's commands; ``webmin.command`` adds the console's."""

from __future__ import annotations

import logging
import sys

import click

from jobservice.cli.database import migrate
from jobservice.cli.job import job
from jobservice.cli.service import service
from jobservice.cli.user import user
from jobservice.loops.engine import RELEASE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Schedule Lua jobs, and see what they did.

    Settings come from MOONTIDE_… environment variables; docs/settings.md
    lists them.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It warns whenever a step takes longer than its interval, which is no news under load.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


@cli.command()
def version() -> None:
    """Print the release."""
    click.echo(f"moontide {RELEASE}")


for _command in (service, migrate, user, job):
    cli.add_command(_command)
