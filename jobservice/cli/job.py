"""``moontide job …``."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from jobservice.bootstrap import ConsoleBackend, build_console_backend
from jobservice.cli.output import ExitCode, print_json, print_table, reports_errors, shown_duration, shown_time
from jobservice.domain.errors import NotFoundError
from jobservice.domain.job import JobId, JobStatus
from jobservice.domain.run import Outcome, RunId, RunState
from jobservice.read_models import JobRow, RunView, ServiceState
from jobservice.settings import Settings

_LOOK_EVERY_S = 0.1


@contextmanager
def _backend() -> Iterator[ConsoleBackend]:
    backend = build_console_backend(Settings.from_environment())
    try:
        yield backend
    finally:
        backend.close()


def _find(backend: ConsoleBackend, name_or_id: str) -> JobId:
    try:
        return backend.queries.find_job_id(name_or_id)
    except NotFoundError:
        if name_or_id.isascii() and name_or_id.isdigit():
            return JobId(int(name_or_id))
        raise


@click.group()
def job() -> None:
    """Look at jobs and run them."""


@job.command(name="list")
@click.option("--status", type=click.Choice([status.value for status in JobStatus]), help="Only jobs of this status.")
@click.option("--search", default="", metavar="TEXT", help="Only jobs with TEXT in name, path or description.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def list_jobs(status: str | None, search: str, *, as_json: bool) -> None:
    """List jobs by name."""
    with _backend() as backend:
        rows: list[JobRow] = []
        after: str | None = None
        while True:
            page = backend.queries.list_jobs(
                search=search, status=JobStatus(status) if status else None, after=after, limit=500
            )
            rows.extend(page.rows)
            after = page.next_after
            if after is None:
                break
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ["ID", "NAME", "STATUS", "SCHEDULE", "LAST RUN", "NEXT RUN", "WAITS FOR RELOAD"],
        [
            [
                str(row.job_id),
                row.name,
                row.status,
                row.schedule_words,
                shown_time(row.last_started_at),
                shown_time(row.next_fire_at),
                row.pending or "",
            ]
            for row in rows
        ],
    )


@job.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def show(name: str, *, as_json: bool) -> None:
    """Show the job NAME (or its id) with its last runs."""
    with _backend() as backend:
        job_id = _find(backend, name)
        view = backend.queries.get_job(job_id)
        runs = backend.queries.list_runs(job_id, limit=10).rows
    if as_json:
        print_json({"job": asdict(view), "runs": [asdict(run) for run in runs]})
        return
    facts = [
        ("Name", view.definition.name),
        ("Script", view.definition.path),
        ("Status", view.row.status),
        ("Schedule", view.row.schedule_words),
        ("Next run", shown_time(view.row.next_fire_at)),
        ("Waits for reload", view.row.pending or "nothing"),
        ("Last error", str(view.row.last_error) if view.row.last_error else "none"),
    ]
    for label, value in facts:
        click.echo(f"{label + ':':18}{value}")
    click.echo()
    print_table(
        ["RUN", "FIRE TIME", "OUTCOME", "DURATION", "NOTE"],
        [
            [
                str(run.run_id),
                shown_time(run.fire_time),
                run.outcome or run.state,
                shown_duration(run.duration),
                str(run.error) if run.error else run.note,
            ]
            for run in runs
        ],
    )


@job.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Wait for the end, print the log, and exit with 1 unless it went well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def run(name: str, *, wait: bool, as_json: bool) -> None:
    """Run the job NAME (or its id) now."""
    with _backend() as backend:
        run_id = backend.service.run_now(_find(backend, name), by=getpass.getuser())
        view = _follow(backend, run_id, quiet=as_json) if wait else backend.queries.get_run(run_id)
    if as_json:
        print_json(asdict(view))
    elif wait:
        error = f": {view.row.error}" if view.row.error else ""
        click.echo(f"Run {run_id} ended as {view.row.outcome}{error}", err=True)
    else:
        click.echo(f"Run {run_id} is queued.")
    if wait and view.row.outcome not in {Outcome.OK, Outcome.SLEEP, Outcome.STOP, Outcome.EXIT}:
        sys.exit(ExitCode.FAILED)


def _follow(backend: ConsoleBackend, run_id: RunId, *, quiet: bool) -> RunView:
    """Print a run's log as it grows, until the run has ended."""
    after = 0
    while True:
        view = backend.queries.get_run(run_id)
        output = backend.queries.run_output(run_id, after=after)
        after = output.last_sequence
        if not quiet:
            for chunk in output.chunks:
                click.echo(chunk.text, nl=False)
        if view.row.state is RunState.FINISHED and not output.more:
            return view
        if not output.more:
            if backend.queries.service_status().state in {ServiceState.STOPPED, ServiceState.NEVER_STARTED}:
                click.echo("No job service runs; the run waits until one does.", err=True)
                sys.exit(ExitCode.NOT_RUNNING)
            time.sleep(_LOOK_EVERY_S)
