"""``moontide user …``."""

from __future__ import annotations

import sys

import click

from jobservice.bootstrap import build_console_backend
from jobservice.cli.output import reports_errors
from jobservice.domain.account import Role
from jobservice.settings import Settings


@click.group()
def user() -> None:
    """Manage accounts."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default="viewer", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@reports_errors
def add(name: str, role: str, *, password_stdin: bool) -> None:
    """Make an account named NAME.

    A viewer sees everything; an operator also runs, cancels and reloads; an
    admin also edits.
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    backend = build_console_backend(Settings.from_environment())
    try:
        made = backend.accounts.create_user(name=name, role=Role(role), password=password, by="command line")
    finally:
        backend.close()
    click.echo(f"Made the {made.role} {made.name}.")
