"""What protects a page: cookies, content security policy, headers, CSRF."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from flask_wtf.csrf import CSRFProtect

from jobservice.domain.errors import InvalidInputError
from jobservice.settings import Settings
from webmin.context import backend

REQUEST_LIMIT_BYTES = 2 * 1024 * 1024

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

csrf = CSRFProtect()


def init_security(app: Flask, settings: Settings, secret_key: bytes) -> None:
    """Set cookies, limits and hooks of ``app``."""
    app.config.update(
        SECRET_KEY=secret_key,
        # A __Host- cookie cannot be set or shadowed by another host of the domain.
        SESSION_COOKIE_NAME="__Host-moontide" if settings.secure_cookies else "moontide",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_absolute_hours),
        MAX_CONTENT_LENGTH=REQUEST_LIMIT_BYTES,
        MAX_FORM_MEMORY_SIZE=REQUEST_LIMIT_BYTES,
        MAX_FORM_PARTS=100,
        WTF_CSRF_TIME_LIMIT=None,
        # The Origin check below covers this, also behind a proxy that ends TLS.
        WTF_CSRF_SSL_STRICT=False,
    )
    app.before_request(_refuse_nul)
    app.before_request(_refuse_other_sites)
    csrf.init_app(app)
    app.after_request(_add_headers)


def nonce() -> str:
    """Return this request's nonce for scripts and styles."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)


def allow_modules(addresses: Iterable[str], probe: str) -> None:
    """Let this answer's page import exactly these modules from elsewhere, and ask whether ``probe`` is there."""
    g.csp_modules = (tuple(addresses), probe)


def _refuse_other_sites() -> None:
    """Stop a form that another site sent: the second line behind the CSRF token."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            abort(400, "This form was sent by another site.")
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc not in _own_hosts():
        abort(400, "This form was sent by another site.")


def _refuse_nul() -> None:
    """Stop a URL parameter that no database stores."""
    for name, value in request.args.items(multi=True):
        if "\0" in name + value:
            raise InvalidInputError({name.replace("\0", ""): ["Leave out the NUL character."]})


def _own_hosts() -> set[str]:
    hosts = {request.host}
    if public_url := backend().settings.public_url:
        hosts.add(urlsplit(public_url).netloc)
    return hosts


def content_security_policy() -> str:
    """Return the policy for the present answer."""
    modules, probe = g.get("csp_modules", ((), ""))
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", f"'nonce-{nonce()}'", *modules]),
            f"style-src 'self' 'nonce-{nonce()}'",
            # Tabler draws check marks and arrows with data: images.
            "img-src 'self' data:",
            f"connect-src 'self' {probe}".rstrip(),
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", content_security_policy())
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    elif "/vendor/" in request.path and response.status_code == 200:  # noqa: PLR2004
        # A vendored file's path names its version, so it never changes.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
