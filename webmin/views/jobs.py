"""Jobs: the list, one job, and what can be done to it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from jobservice.domain.errors import ConflictError, InvalidInputError
from jobservice.domain.job import JobId, JobStatus
from webmin.context import backend, get_user
from webmin.forms.fields import take_problems
from webmin.forms.job import JobForm
from webmin.pages.definitions import differences
from webmin.pages.jobs import JobDeletePage, JobFilter, JobFormPage, JobListPage, JobShowPage
from webmin.permissions import public, requires
from webmin.rendering import show
from webmin.sessions import safe_next
from webmin.views.service import service_panel

views = Blueprint("jobs", __name__)

_SEARCH_MAX_CHARS = 200
_LIST_REGIONS = {"job-list": "jobs/_list.html"}
_SHOW_REGIONS = {"job-live": "jobs/_live.html"}


@views.get("/")
@public
def index() -> ResponseReturnValue:
    """Lead to the list, which asks for a login where that is missing."""
    return redirect(url_for("jobs.list_jobs"), code=303)


@views.get("/jobs")
@requires(Role.VIEWER)
def list_jobs() -> ResponseReturnValue:
    """Show the jobs, narrowed by the URL."""
    chosen = _read_filter()
    jobs = backend().queries.list_jobs(search=chosen.search, status=chosen.status, after=chosen.after)
    values: dict[str, Any] = dict(chosen.url_values(chosen.after))
    here = url_for("jobs.list_jobs", **values)
    return show(
        "jobs/list.html", JobListPage.of(jobs, chosen, service_panel(), here), regions=_LIST_REGIONS, live="yes"
    )


def _read_filter() -> JobFilter:
    search = request.args.get("search", "").strip()
    if len(search) > _SEARCH_MAX_CHARS:
        raise InvalidInputError({"search": [f"Search for at most {_SEARCH_MAX_CHARS} characters."]})
    status = request.args.get("status", "")
    if status and status not in set(JobStatus):
        raise InvalidInputError({"status": [f"“{status}” is no status; use one of {', '.join(JobStatus)}."]})
    return JobFilter(search, JobStatus(status) if status else None, request.args.get("after") or None)


@views.get("/jobs/new")
@requires(Role.ADMIN)
def new_job() -> ResponseReturnValue:
    """Show the empty form."""
    return show("jobs/new.html", JobFormPage(JobForm(formdata=None)))


@views.post("/jobs/new")
@requires(Role.ADMIN)
def create_job() -> ResponseReturnValue:
    """Make a job and go on to its script."""
    form = JobForm()
    if form.is_sound(backend().queries.explain_schedule):
        definition = form.definition()
        try:
            backend().service.create_job(definition, by=get_user().name)
        except InvalidInputError as error:
            take_problems(form, error)
        else:
            when = "" if backend().settings.apply_changes_at_once else " It runs after the next reload."
            flash(f"“{definition.name}” is made. Write its script here.{when}", "success")
            return redirect(url_for("scripts.edit_script", path=definition.path), code=303)
    return show("jobs/new.html", JobFormPage(form), status=422)


@views.get("/jobs/<key:job_id>")
@requires(Role.VIEWER)
def show_job(job_id: int) -> ResponseReturnValue:
    """Show a job and its history."""
    before = request.args.get("before") or None
    job = backend().queries.get_job(JobId(job_id))
    runs = backend().queries.list_runs(JobId(job_id), before=before)
    here = url_for("jobs.show_job", job_id=job_id, before=before)
    page = JobShowPage.of(job, runs, service_panel(), is_newest=before is None, here=here)
    return show("jobs/show.html", page, regions=_SHOW_REGIONS, live="yes")


@views.get("/jobs/<key:job_id>/edit")
@requires(Role.ADMIN)
def edit_job(job_id: int) -> ResponseReturnValue:
    """Show the form with the job's definition."""
    job = backend().queries.get_job(JobId(job_id))
    return show("jobs/edit.html", JobFormPage(JobForm.filled(job.definition, job.version), job))


@views.post("/jobs/<key:job_id>/edit")
@requires(Role.ADMIN)
def update_job(job_id: int) -> ResponseReturnValue:
    """Change a job; what was typed survives every refusal."""
    job = backend().queries.get_job(JobId(job_id))
    form = JobForm()
    version = form.expected_version
    if form.is_sound(backend().queries.explain_schedule):
        try:
            backend().service.update_job(JobId(job_id), form.definition(), expected_version=version, by=get_user().name)
        except InvalidInputError as error:
            take_problems(form, error)
        except ConflictError as error:
            return _conflict(form, JobId(job_id), str(error))
        else:
            at_once = backend().settings.apply_changes_at_once
            flash("Saved." if at_once else "Saved. The change waits for a reload.", "success")
            return redirect(url_for("jobs.show_job", job_id=job_id), code=303)
    return show("jobs/edit.html", JobFormPage(form, job), status=422)


def _conflict(form: JobForm, job_id: JobId, sentence: str) -> ResponseReturnValue:
    job = backend().queries.get_job(job_id)
    changed = differences(job.definition, form.definition())
    # Sending the form again is then a decision made in sight of the other's change.
    form.version.data = str(job.version)
    return show("jobs/edit.html", JobFormPage(form, job, sentence, changed), status=409)


@views.get("/jobs/<key:job_id>/delete")
@requires(Role.ADMIN)
def confirm_delete(job_id: int) -> ResponseReturnValue:
    """Ask, and say what goes with the job."""
    queries = backend().queries
    return show(
        "jobs/delete.html", JobDeletePage(queries.get_job(JobId(job_id)), queries.deletion_preview(JobId(job_id)))
    )


@views.post("/jobs/<key:job_id>/delete")
@requires(Role.ADMIN)
def delete_job(job_id: int) -> ResponseReturnValue:
    """Delete the job, with its script when asked to."""
    job = backend().queries.get_job(JobId(job_id))
    delete_script = request.form.get("delete_script") == "yes"
    backend().service.delete_job(JobId(job_id), delete_script=delete_script, by=get_user().name)
    kept = "" if delete_script or not job.script_exists else f" Its script {job.definition.path} is kept."
    flash(f"“{job.definition.name}” is deleted.{kept}", "success")
    return redirect(url_for("jobs.list_jobs"), code=303)


@views.post("/jobs/<key:job_id>/run")
@requires(Role.OPERATOR)
def run_job(job_id: int) -> ResponseReturnValue:
    """Order a run and go to its page."""
    run_id = backend().service.run_now(JobId(job_id), by=get_user().name)
    return redirect(url_for("runs.show_run", run_id=run_id), code=303)


@views.post("/jobs/<key:job_id>/deactivate")
@requires(Role.OPERATOR)
def deactivate_job(job_id: int) -> ResponseReturnValue:
    """Take the job out of the intervals at once."""
    backend().service.deactivate_job(JobId(job_id), by=get_user().name)
    flash("Deactivated. It will not run until somebody reactivates it.", "success")
    return _back(job_id)


@views.post("/jobs/<key:job_id>/reactivate")
@requires(Role.OPERATOR)
def reactivate_job(job_id: int) -> ResponseReturnValue:
    """Set the job active again, from the next reload on."""
    backend().service.reactivate_job(JobId(job_id), by=get_user().name)
    at_once = backend().settings.apply_changes_at_once
    flash("Reactivated." if at_once else "Reactivated. It runs after the next reload.", "success")
    return _back(job_id)


def _back(job_id: int) -> ResponseReturnValue:
    default = url_for("jobs.show_job", job_id=job_id)
    return redirect(safe_next(request.form.get("back"), default), code=303)
