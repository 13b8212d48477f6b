"""Signing in and out; the browser's cookie holds nothing but a session token and messages."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import g, request, session

from jobservice.domain.account import User
from webmin.context import backend, client_address
from webmin.rendering import asked_region

_TOKEN = "session_token"  # noqa: S105 - the name of a cookie field
_MOST_AGENT_CHARS = 200


def load_user() -> None:
    """Find out who sent the request, for ``context.find_user``."""
    g.user = None
    if request.endpoint in {None, "static", "service.health"}:
        return
    token = session.get(_TOKEN)
    if isinstance(token, str):
        # A page that refreshes itself is not a person at work.
        g.user = backend().accounts.find_session(token, touch=asked_region() is None)
        if g.user is None:
            session.clear()
            g.session_ended = True


def sign_in(user: User) -> None:
    """Begin a new session for ``user``; whatever the old one held is gone, so that nobody can plant one."""
    sign_out()
    session[_TOKEN] = backend().accounts.open_session(
        user.user_id, address=client_address(), agent=str(request.user_agent)[:_MOST_AGENT_CHARS]
    )
    session.permanent = True
    g.user = user


def sign_out() -> None:
    """End the session, here and in the database."""
    token = session.get(_TOKEN)
    if isinstance(token, str):
        backend().accounts.close_session(token)
    session.clear()
    g.user = None


def close_other_sessions(user: User) -> None:
    """Sign ``user`` out everywhere but here."""
    backend().accounts.close_other_sessions(user.user_id, session[_TOKEN])


def safe_next(target: str | None, default: str) -> str:
    r"""Return ``target`` when it is a plain path of this console, else ``default``.

    >>> safe_next("/jobs?search=a", "/")
    '/jobs?search=a'
    >>> [safe_next(bad, "/") for bad in ("https://evil.test/", "//evil.test", "/\\evil.test", "jobs", "/\tx", None)]
    ['/', '/', '/', '/', '/', '/']
    """
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return default
    if not target.isprintable():
        return default
    parts = urlsplit(target)
    return default if parts.scheme or parts.netloc else target
