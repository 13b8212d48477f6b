"""``moontide service …``."""

from __future__ import annotations

import getpass
import logging
import os
import signal
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from jobservice.bootstrap import build_console_backend, build_service, lock_path
from jobservice.cli.output import ExitCode, print_json, reports_errors, shown_time
from jobservice.cli.parent import end_with_parent
from jobservice.lock import holder_of
from jobservice.read_models import ServiceState
from jobservice.settings import Settings

_LOOK_EVERY_S = 0.1
_STOP_MARGIN_S = 10

log = logging.getLogger(__name__)


@click.group()
def service() -> None:
    """Start, stop and ask the job service."""


@service.command()
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
@reports_errors
def start(parent: int | None) -> None:
    """Run the job service in the foreground until SIGTERM or Ctrl-C.

    What runs at the stop gets MOONTIDE_STOP_GRACE_SECONDS to finish; the
    rest is killed, and repeated at the next start where its job allows that.
    """
    if parent is not None:
        end_with_parent(parent)
    settings = Settings.from_environment()
    logging.getLogger().setLevel(settings.log_level)
    running = build_service(settings)

    def stop(_signal: int, _frame: Any) -> None:
        running.supervisor.request_stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        running.supervisor.start()
        log.info("The job service runs (node %d, boot %d)", running.engine.node_id, running.engine.boot)
        running.supervisor.wait()
        # Once another service has taken the runs over, they must not go on here.
        grace = timedelta(0) if running.supervisor.lease_lost else settings.stop_grace
        log.info("The job service stops; runs get %d s to finish", grace.total_seconds())
        running.supervisor.stop(grace)
    finally:
        running.close()
    if running.supervisor.lease_lost:
        sys.exit(ExitCode.FAILED)


@service.command()
@reports_errors
def stop() -> None:
    """Stop the job service on this machine and wait for its end."""
    settings = Settings.from_environment()
    path = lock_path(settings)
    pid = holder_of(path)
    if pid is None:
        click.echo("No job service runs here.", err=True)
        sys.exit(ExitCode.NOT_RUNNING)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # It has just ended by itself.
    except PermissionError:
        click.echo(f"Process {pid} belongs to another user. Stop it as that user.", err=True)
        sys.exit(ExitCode.FAILED)
    deadline = time.monotonic() + settings.stop_grace_seconds + _STOP_MARGIN_S
    while holder_of(path) == pid:
        if time.monotonic() > deadline:
            click.echo(f"Process {pid} is still stopping.", err=True)
            sys.exit(ExitCode.FAILED)
        time.sleep(_LOOK_EVERY_S)
    click.echo("The job service has stopped.")


@service.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def status(*, as_json: bool) -> None:
    """Say whether the job service runs; exits with 7 when it does not."""
    backend = build_console_backend(Settings.from_environment())
    try:
        found = backend.queries.service_status()
        waiting = backend.queries.count_pending()
    finally:
        backend.close()
    if as_json:
        print_json({**asdict(found), "waiting_changes": waiting})
    else:
        since = "" if found.since is None else f" since {shown_time(found.since)}"
        click.echo(
            f"{found.state.replace('_', ' ').capitalize()}{since}; changed jobs that wait for a reload: {waiting}."
        )
        for layer in found.missing_hardening:
            click.echo(f"Missing protection: {layer}")
    if found.state in {ServiceState.STOPPED, ServiceState.NEVER_STARTED}:
        sys.exit(ExitCode.NOT_RUNNING)


@service.command()
@click.option("--timeout", "timeout_s", default=60, show_default=True, help="Seconds to wait for the end.")
@reports_errors
def reload(timeout_s: int) -> None:
    """Take edited jobs into force and wait until that is done."""
    backend = build_console_backend(Settings.from_environment())
    try:
        waiting = backend.queries.count_pending()
        backend.service.request_reload(by=getpass.getuser())
        deadline = time.monotonic() + timeout_s
        while (state := backend.queries.service_status().state) is ServiceState.RELOADING:
            if time.monotonic() > deadline:
                click.echo(f"The reload has not ended after {timeout_s} s; it goes on.", err=True)
                sys.exit(ExitCode.FAILED)
            time.sleep(_LOOK_EVERY_S)
    finally:
        backend.close()
    if state is not ServiceState.RUNNING:
        click.echo("No job service runs; the reload is done when one starts.", err=True)
        sys.exit(ExitCode.NOT_RUNNING)
    click.echo(f"Reloaded; {waiting} changed {'job is' if waiting == 1 else 'jobs are'} in force.")
