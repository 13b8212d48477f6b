"""The job service: reload, and whether the console is alive."""

from __future__ import annotations

from flask import Blueprint, flash, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from webmin.context import backend, get_user
from webmin.pages.service import ReloadPage, ServicePanel
from webmin.permissions import public, requires
from webmin.rendering import show
from webmin.sessions import safe_next

views = Blueprint("service", __name__)


def service_panel() -> ServicePanel:
    """Return the job service as it is now."""
    queries = backend().queries
    return ServicePanel.of(queries.service_status(), queries.count_pending())


@views.get("/reload")
@requires(Role.VIEWER)
def show_reload() -> ResponseReturnValue:
    """List what a reload will change."""
    return show("service/reload.html", ReloadPage(service_panel(), backend().queries.pending_changes()))


@views.post("/reload")
@requires(Role.OPERATOR)
def request_reload() -> ResponseReturnValue:
    """Ask the job service to take the edited jobs into force."""
    panel = service_panel()
    backend().service.request_reload(by=get_user().name)
    if panel.is_down:
        flash("The reload is noted, but the job service is not running: it happens when the service starts.", "warning")
    else:
        flash("Reload requested.", "success")
    return redirect(safe_next(request.form.get("back"), url_for("jobs.list_jobs")), code=303)


@views.get("/healthz")
@public
def health() -> ResponseReturnValue:
    """Say that the console and its database answer, and nothing more."""
    backend().accounts.has_admin()
    return jsonify(status="ok")
