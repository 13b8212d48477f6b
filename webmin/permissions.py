"""Who may use which route: declared beside each view, enforced before it, never implied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Flask, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from webmin.context import find_user, may

View = TypeVar("View", bound=Callable[..., object])

_ATTRIBUTE = "moontide_permission"
_PUBLIC = "public"


class UndeclaredRouteError(RuntimeError):
    """Routes exist whose views say not who may use them."""

    def __init__(self, endpoints: list[str]) -> None:
        self.endpoints = endpoints
        super().__init__(f"These routes declare no permission: {', '.join(endpoints)}. Use @requires or @public.")


def requires(role: Role) -> Callable[[View], View]:
    """Let only ``role`` and the roles above it use the view."""

    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, role)
        return view

    return mark


def public(view: View) -> View:
    """Let everybody use the view, signed in or not."""
    setattr(view, _ATTRIBUTE, _PUBLIC)
    return view


def permission_of(app: Flask, endpoint: str) -> Role | str | None:
    """Return the role an endpoint needs, ``"public"``, or None when nothing is declared."""
    declared: Role | str | None = getattr(app.view_functions.get(endpoint), _ATTRIBUTE, None)
    return declared


def check_all_declared(app: Flask) -> None:
    """Refuse an application with a route that declares nothing.

    :raises UndeclaredRouteError: naming every such endpoint.
    """
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    if missing := sorted(endpoint for endpoint in endpoints if permission_of(app, endpoint) is None):
        raise UndeclaredRouteError(missing)


def enforce() -> ResponseReturnValue | None:
    """Stop a request whose sender may not use the route."""
    if request.endpoint is None:
        return None
    needed = permission_of(current_app, request.endpoint)
    if needed == _PUBLIC:
        return None
    if find_user() is None:
        if request.headers.get("Moontide-Region") or request.accept_mimetypes.best == "application/json":
            abort(401)
        here = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("account.login", next=None if here == "/" else here), code=303)
    if not isinstance(needed, Role) or not may(needed):
        abort(403)
    return None
