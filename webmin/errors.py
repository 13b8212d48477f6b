"""Every error as a page: what happened, and what to do; never a traceback."""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, g, jsonify, make_response, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError

from jobservice.domain.errors import (
    ConflictError,
    InvalidInputError,
    MoontideError,
    NotAllowedError,
    NotFoundError,
    StoreUnavailableError,
)
from webmin.context import find_user
from webmin.pages.errors import ErrorPage
from webmin.rendering import asked_region, show, wants_json

_log = logging.getLogger(__name__)

_TEXTS = {
    400: ("That request makes no sense", "Go back, reload the page and try again."),
    401: ("You are signed out", "Sign in again; what you typed elsewhere is still in its tab."),
    403: ("You may not do this", "Ask an admin for a role that may."),
    404: ("Not found", "It may have been deleted, or the address is mistyped."),
    405: ("Not this way", "Use the buttons of the console."),
    409: ("Somebody was faster", "Reload the page, look at what changed, and decide again."),
    413: ("Too much at once", "A request has at most 2 MiB and a script at most 1 MiB. Send less."),
    415: ("That kind of content is not accepted", "Use the forms of the console."),
    422: ("That input is not allowed", "Correct it and try again."),
    429: ("Too many attempts", "Wait, then try again."),
    503: ("The database cannot be reached", "Nothing was lost. Try again in a moment."),
}
_CLIENT_ERRORS = range(400, 500)


def init_errors(app: Flask) -> None:
    """Register the handlers of every error that can reach a view."""
    app.register_error_handler(CSRFError, _on_csrf)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(MoontideError, _on_moontide)
    app.register_error_handler(Exception, _on_unexpected)


def answer_error(page: ErrorPage) -> Response:
    """Answer with an error in the form that the request can read."""
    if wants_json():
        return make_response(jsonify(message=" ".join([page.happened, *page.details])), page.status)
    if asked_region():
        return make_response(page.happened, page.status, {"Content-Type": "text/plain; charset=utf-8"})
    return show("error.html", page, status=page.status)


def _on_csrf(error: CSRFError) -> ResponseReturnValue:
    if g.get("session_ended"):
        return answer_error(
            ErrorPage(
                401,
                "You are signed out",
                "Your session has ended, so nothing was done.",
                "Sign in in another tab, then go back in this one and send the form again.",
                **_way_on(401),
            )
        )
    return answer_error(
        ErrorPage(
            400,
            "This form is out of date",
            "The form was not sent from a page of your present session, so nothing was done.",
            "Go back and send it again. If that does not help, allow cookies for this address.",
        )
    )


def _on_http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.get_response()
    status = error.code or 500
    title, advice = _TEXTS.get(status, (error.name, "Go back and try again."))
    response = answer_error(ErrorPage(status, title, _happened(status, error), advice, **_way_on(status)))
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    return response


def _happened(status: int, error: HTTPException) -> str:
    user = find_user()
    own_words = error.description if error.description != type(error).description else None
    match status:
        case 401:
            return "Your session has ended."
        case 403 if user is not None:
            return f"Your role is {user.role.value}, which is not enough for this."
        case 404:
            return own_words or f"There is nothing at {request.path}."
        case 405:
            return f"This address does not answer to {request.method}."
        case 413:
            return "The request is larger than the console accepts, so nothing was saved."
    return own_words or f"The console answered {status} {error.name}."


def _on_moontide(error: MoontideError) -> ResponseReturnValue:
    status, happened, details = _explain(error)
    if status not in _CLIENT_ERRORS:
        _log.error("The database is not available.", extra={"event": "store_unavailable"}, exc_info=error)
    title, advice = _TEXTS[status]
    response = answer_error(ErrorPage(status, title, happened, advice, details, **_way_on(status)))
    if status == 503:  # noqa: PLR2004
        response.headers["Retry-After"] = "5"
    return response


def _explain(error: MoontideError) -> tuple[int, str, tuple[str, ...]]:
    match error:
        case InvalidInputError(problems=problems):
            sentences = tuple(f"{field}: {text}" for field, texts in problems.items() for text in texts)
            return 400, "Part of the address or form is not allowed.", sentences
        case NotFoundError(kind=kind, key=key):
            return 404, f"There is no {kind} {key}.", ()
        case ConflictError():
            return 409, str(error), ()
        case NotAllowedError():
            return 403, str(error), ()
        case StoreUnavailableError():
            return 503, "The console cannot reach its database.", ()
    return 503, str(error), ()


def _on_unexpected(error: Exception) -> ResponseReturnValue:
    if isinstance(error, InternalServerError) and error.original_exception is not None:
        error = error.original_exception  # type: ignore[assignment]
    reference = secrets.token_hex(4)
    _log.error(
        "A page failed.", extra={"event": "page_failed", "reference": reference, "path": request.path}, exc_info=error
    )
    return answer_error(
        ErrorPage(
            500,
            "Something broke in the console",
            "Your jobs are not affected: they run in another process.",
            f"Try again. If it happens again, look for {reference} in the console's log.",
        )
    )


def _way_on(status: int) -> dict[str, str]:
    if status == 401:  # noqa: PLR2004
        return {"back_url": url_for("account.login"), "back_label": "Sign in"}
    return {}
