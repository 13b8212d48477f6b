"""Scripts: the editor."""

from __future__ import annotations

from flask import Blueprint, flash, jsonify, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from jobservice.domain.errors import ConflictError, InvalidInputError, NotFoundError
from jobservice.domain.job import path_problem
from jobservice.read_models import ScriptView
from webmin.context import backend, console, get_user, may
from webmin.forms.fields import take_problems
from webmin.forms.script import ScriptForm
from webmin.pages.scripts import EditorParts, ScriptPage
from webmin.permissions import requires
from webmin.rendering import show, wants_json
from webmin.security import allow_modules

views = Blueprint("scripts", __name__)

_MOST_LINE_DIGITS = 7
_PROBE = "crelt"


@views.get("/scripts/<path:path>")
@requires(Role.VIEWER)
def edit_script(path: str) -> ResponseReturnValue:
    """Show a script in the editor, at ``?line=``."""
    script = _find_script(path)
    if script is None and not may(Role.ADMIN):
        raise NotFoundError("script", path)
    form = ScriptForm(formdata=None, data={"revision": str(script.revision) if script else ""})
    return show("scripts/edit.html", _page(path, script, form, script.source if script else "", line=_read_line()))


def _find_script(path: str) -> ScriptView | None:
    if problem := path_problem(path):
        raise InvalidInputError({"path": [problem]})
    try:
        return backend().queries.get_script(path)
    except NotFoundError:
        return None


def _read_line() -> int | None:
    text = request.args.get("line")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_LINE_DIGITS and int(text) > 0):
        raise InvalidInputError({"line": ["Use the number of a line, from 1."]})
    return int(text)


def _page(
    path: str,
    script: ScriptView | None,
    form: ScriptForm,
    source: str,
    *,
    line: int | None = None,
    conflict: str = "",
) -> ScriptPage:
    parts = _editor_parts()
    allow_modules(parts.cdn_map["imports"].values(), parts.probe)
    return ScriptPage(
        path=path,
        script=script,
        form=form,
        source=source,
        editable=may(Role.ADMIN),
        parts=parts,
        revisions=backend().queries.list_revisions(path) if script else (),
        line=line,
        conflict=conflict,
        stored_source=script.source if script and conflict else "",
        used_by=script.used_by if script else {},
    )


def _editor_parts() -> EditorParts:
    vendor = console().vendor
    probe = next(file for file in vendor.modules if file.module == _PROBE)
    return EditorParts(
        probe=vendor.cdn_url(probe),
        cdn_map=vendor.import_map(vendor.cdn_url),
        own_map=vendor.import_map(lambda file: url_for("static", filename=f"vendor/{file.file}")),
    )


@views.post("/scripts/<path:path>")
@requires(Role.ADMIN)
def save_script(path: str) -> ResponseReturnValue:
    """Store a new revision; a refused text stays in the editor."""
    script = _find_script(path)
    form = ScriptForm()
    try:
        revision = backend().service.save_script(
            path, form.text, expected_revision=form.expected_revision, by=get_user().name
        )
    except ConflictError as error:
        return _conflict(path, form, str(error))
    except InvalidInputError as error:
        if wants_json():
            return make_response(
                jsonify(message=" ".join(text for texts in error.problems.values() for text in texts)), 422
            )
        take_problems(form, error)
        return show("scripts/edit.html", _page(path, script, form, form.text), status=422)
    if wants_json():
        return jsonify(revision=revision, message=f"Saved as revision {revision}.")
    flash(f"Saved as revision {revision}. The next run uses it.", "success")
    return redirect(url_for("scripts.edit_script", path=path), code=303)


def _conflict(path: str, form: ScriptForm, sentence: str) -> ResponseReturnValue:
    if wants_json():
        return make_response(jsonify(message=sentence), 409)
    stored = _find_script(path)
    # Saving again is then a decision made in sight of the other's text.
    form.revision.data = str(stored.revision) if stored else ""
    return show("scripts/edit.html", _page(path, stored, form, form.text, conflict=sentence), status=409)


@views.post("/scripts/<path:path>/check")
@requires(Role.ADMIN)
def check_script(path: str) -> ResponseReturnValue:
    """Compile what stands in the editor, and say what is wrong at which line."""
    if problem := path_problem(path):
        raise InvalidInputError({"path": [problem]})
    problems = backend().service.check_script(path, ScriptForm().text)
    return jsonify(
        problems=[
            {"line": found.line, "message": found.message, "text": f"Line {found.line}: {found.message}"}
            for found in problems
        ]
    )
