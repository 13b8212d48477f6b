"""How commands print, and how they fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from jobservice.domain import errors

P = ParamSpec("P")
R = TypeVar("R")


class ExitCode(IntEnum):
    """What scripts can tell apart."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    SCHEMA = 6
    NOT_RUNNING = 7


_CODES: tuple[tuple[type[errors.MoontideError], ExitCode], ...] = (
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.ConflictError, ExitCode.CONFLICT),
    (errors.ServiceRunningError, ExitCode.CONFLICT),
    (errors.StoreUnavailableError, ExitCode.UNAVAILABLE),
    (errors.SchemaMismatchError, ExitCode.SCHEMA),
    (errors.SettingsError, ExitCode.USAGE),
    (errors.InvalidInputError, ExitCode.USAGE),
)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command end with a sentence and an exit code instead of a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except errors.MoontideError as error:
            click.echo(f"moontide: {error}", err=True)
            code = next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)
            sys.exit(code)

    return wrapped


def print_json(value: Any) -> None:
    """Print a value as JSON; instants as ISO 8601 in UTC, durations as seconds."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their longest cell."""
    widths = [max(len(str(row[index])) for row in [headings, *rows]) for index in range(len(headings))]
    for row in [headings, *rows]:
        click.echo("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def shown_time(instant: datetime | None) -> str:
    """Return an instant as a person reads it, in UTC, or a dash."""
    return "–" if instant is None else instant.strftime("%Y-%m-%d %H:%M:%S UTC")


def shown_duration(duration: timedelta | None) -> str:
    """Return a duration as a person reads it, or a dash."""
    if duration is None:
        return "–"
    seconds = duration.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
