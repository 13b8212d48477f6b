"""Runs: one run, its log, cancel and repeat."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, flash, redirect, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from jobservice.domain.errors import InvalidInputError
from jobservice.domain.run import RunId
from jobservice.read_models import RunOutput
from webmin.context import backend, get_user
from webmin.pages.runs import RunShowPage
from webmin.permissions import requires
from webmin.rendering import asked_region, show

views = Blueprint("runs", __name__)

_SUMMARY = "run-summary"
_REGIONS = {_SUMMARY: "runs/_summary.html", "run-log-lines": "runs/_lines.html"}
_LOG_PART_BYTES = 256 * 1024
_LARGEST_SEQUENCE = 2**31 - 1


@views.get("/runs/<key:run_id>")
@requires(Role.VIEWER)
def show_run(run_id: int) -> ResponseReturnValue:
    """Show a run and its log, from the chunk behind ``?after=`` on."""
    after = _read_after()
    # The run is read before its log: when it has ended by then, the log read next is complete.
    run = backend().queries.get_run(RunId(run_id))
    if asked_region() == _SUMMARY:
        output = RunOutput(chunks=(), last_sequence=after, more=False)
    else:
        output = backend().queries.run_output(RunId(run_id), after=after, limit_bytes=_LOG_PART_BYTES)
    page = RunShowPage.of(run, output, after)
    return show("runs/show.html", page, regions=_REGIONS, live=page.live)


def _read_after() -> int:
    text = request.args.get("after", "0")
    if not (text.isascii() and text.isdecimal() and int(text[:11]) <= _LARGEST_SEQUENCE and len(text) <= 10):  # noqa: PLR2004
        raise InvalidInputError({"after": ["Use the number of a part of the log, 0 or more."]})
    return int(text)


@views.get("/runs/<key:run_id>/log.txt")
@requires(Role.VIEWER)
def download_log(run_id: int) -> ResponseReturnValue:
    """Send the whole log as a text file."""
    backend().queries.get_run(RunId(run_id))
    return Response(
        stream_with_context(_log_parts(RunId(run_id))),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="run-{run_id}.txt"'},
    )


def _log_parts(run_id: RunId) -> Iterator[str]:
    after, more = 0, True
    while more:
        output = backend().queries.run_output(run_id, after=after, limit_bytes=_LOG_PART_BYTES)
        yield "".join(chunk.text for chunk in output.chunks)
        more, after = output.more and output.last_sequence > after, output.last_sequence


@views.post("/runs/<key:run_id>/cancel")
@requires(Role.OPERATOR)
def cancel_run(run_id: int) -> ResponseReturnValue:
    """End a run that waits or runs."""
    backend().service.cancel_run(RunId(run_id), by=get_user().name)
    flash("The run is being cancelled.", "success")
    return redirect(url_for("runs.show_run", run_id=run_id), code=303)


@views.post("/runs/<key:run_id>/again")
@requires(Role.OPERATOR)
def run_again(run_id: int) -> ResponseReturnValue:
    """Order another run of the same job."""
    new_id = backend().service.run_again(RunId(run_id), by=get_user().name)
    flash("Another run is ordered; this is its page.", "success")
    return redirect(url_for("runs.show_run", run_id=new_id), code=303)
