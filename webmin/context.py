"""What a request handler may ask for: the engine behind the console, and who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, g, request

from jobservice.bootstrap import ConsoleBackend
from jobservice.domain.account import Role, User
from webmin.throttle import LoginThrottle
from webmin.vendor import Vendor

EXTENSION = "moontide"

_ORDER = tuple(Role)
"""Each role may do what the ones before it may."""


@dataclass(frozen=True, slots=True)
class Console:
    """What lives as long as the application."""

    backend: ConsoleBackend
    vendor: Vendor
    throttle: LoginThrottle


def console() -> Console:
    """Return the parts of the running application."""
    return cast(Console, current_app.extensions[EXTENSION])


def backend() -> ConsoleBackend:
    """Return the engine's verbs and read models."""
    return console().backend


def find_user() -> User | None:
    """Return who is signed in, or None."""
    return cast("User | None", g.get("user"))


def get_user() -> User:
    """Return who is signed in; only for routes that require a role."""
    user = find_user()
    assert user is not None, "the route does not require a role"  # noqa: S101
    return user


def may(role: Role) -> bool:
    """Whether the person may do what ``role`` may."""
    user = find_user()
    return user is not None and _ORDER.index(user.role) >= _ORDER.index(role)


def client_address() -> str:
    """Return the address the request came from, as far as trusted proxies tell."""
    return request.remote_addr or "unknown"
