"""The group ``moontide`` with the job service's commands; ``webmin.command`` adds the console's."""

from __future__ import annotations

import click

from jobservice.cli.database import migrate
from jobservice.cli.job import job
from jobservice.cli.logs import start_logging
from jobservice.cli.service import service
from jobservice.cli.user import user
from jobservice.loops.engine import RELEASE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Schedule Lua jobs, and see what they did.

    Settings come from MOONTIDE_… environment variables; docs/settings.md
    lists them.
    """
    start_logging("INFO")


@cli.command()
def version() -> None:
    """Print the release."""
    click.echo(f"moontide {RELEASE}")


for _command in (service, migrate, user, job):
    cli.add_command(_command)
