"""Templates and the answers made of them: whole pages, and regions of the same pages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    get_flashed_messages,
    make_response,
    render_template,
    request,
    url_for,
)
from jinja2 import StrictUndefined

from jobservice.domain.account import Role
from webmin.context import console, find_user, may
from webmin.filters import FILTERS
from webmin.security import nonce

REGION_HEADER = "Moontide-Region"
DIGEST_HEADER = "Moontide-Digest"
LIVE_HEADER = "Moontide-Live"

THEMES = ("system", "light", "dark")
THEME_COOKIE = "moontide_theme"


@dataclass(frozen=True, slots=True)
class Shell:
    """What surrounds every page.

    :ivar user_name: None when nobody is signed in.
    :ivar messages: pairs of category and text, shown once.
    """

    user_name: str | None
    role: str | None
    may_operate: bool
    may_edit: bool
    theme: str
    messages: list[tuple[str, str]]

    @classmethod
    def present(cls) -> Shell:
        """Return the shell of the request that is being answered."""
        user = find_user()
        theme = request.cookies.get(THEME_COOKIE, "")
        return cls(
            user_name=user.name if user else None,
            role=user.role.value if user else None,
            may_operate=may(Role.OPERATOR),
            may_edit=may(Role.ADMIN),
            theme=theme if theme in THEMES else THEMES[0],
            messages=cast("list[tuple[str, str]]", get_flashed_messages(with_categories=True)),
        )


def init_rendering(app: Flask) -> None:
    """Set filters, globals and strictness of the templates of ``app``."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals.update(csp_nonce=nonce, asset=_asset, vendor_asset=_vendor_asset)


def show(
    template: str,
    page: object,
    *,
    status: int = 200,
    regions: Mapping[str, str] | None = None,
    live: str = "no",
) -> Response:
    """Answer with a page, or with the one region of it that the request asks for.

    A region's answer carries a digest; a request that names the same digest
    gets an empty 204, so that a poll costs nothing while nothing changes.

    :param page: the template's whole context, beside the shell.
    :param regions: region name -> template; the names are the regions' ids.
    :param live: whether asking again can bring something new: ``no``, ``yes``, or ``more`` for at once.
    """
    wanted = asked_region()
    if wanted is None:
        return make_response(render_template(template, page=page, shell=Shell.present()), status)
    if wanted not in (regions or {}):
        abort(400, f"This page has no region “{wanted}”.")
    return show_region((regions or {})[wanted], page, status=status, live=live)


def show_region(template: str, page: object, *, status: int = 200, live: str = "no") -> Response:
    """Answer with a region, or with 204 when the browser has this very text."""
    # A region never shows flashed messages: reading them here would lose them.
    html = render_template(template, page=page, may_operate=may(Role.OPERATOR), may_edit=may(Role.ADMIN))
    digest = hashlib.blake2s(html.encode(), digest_size=12).hexdigest()
    response = make_response("", 204) if request.headers.get(DIGEST_HEADER) == digest else make_response(html, status)
    response.headers[DIGEST_HEADER] = digest
    response.headers[LIVE_HEADER] = live
    response.headers["Vary"] = REGION_HEADER
    return response


def asked_region() -> str | None:
    """Return the region that the request wants in place of the whole page, or None."""
    return request.headers.get(REGION_HEADER)


def wants_json() -> bool:
    """Whether a script of ours asks, which reads JSON."""
    return request.accept_mimetypes.best == "application/json"


def _asset(path: str) -> str:
    """Return the address of one of our own static files, which changes when the file does."""
    changed = int((Path(str(current_app.static_folder)) / path).stat().st_mtime)
    return url_for("static", filename=path, v=changed)


def _vendor_asset(name: str, source: str) -> str:
    return url_for("static", filename=f"vendor/{console().vendor.find(name, source).file}")
