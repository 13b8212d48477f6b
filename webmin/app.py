"""The console as a WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import waitress
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from jobservice.bootstrap import ConsoleBackend
from jobservice.domain.errors import SettingsError
from webmin.context import EXTENSION, Console
from webmin.errors import init_errors
from webmin.permissions import check_all_declared, enforce, public
from webmin.rendering import init_rendering
from webmin.security import REQUEST_LIMIT_BYTES, init_security
from webmin.sessions import load_user
from webmin.throttle import LoginThrottle
from webmin.vendor import Vendor
from webmin.views import account, jobs, runs, scripts, service

_ROOT = Path(__file__).resolve().parent.parent
_LARGEST_KEY = 2**63 - 1


class KeyConverter(IntegerConverter):
    """A database key in a URL; larger numbers are simply not found."""

    def __init__(self, url_map: object) -> None:
        super().__init__(url_map, min=1, max=_LARGEST_KEY)  # type: ignore[arg-type]


def create_app(backend: ConsoleBackend) -> Flask:
    """Return the console over ``backend``.

    :raises UndeclaredRouteError: a route does not say who may use it.
    """
    app = Flask(__name__, template_folder=str(_ROOT / "templates"), static_folder=str(_ROOT / "static"))
    app.extensions[EXTENSION] = Console(
        backend=backend,
        vendor=Vendor.load(_ROOT / "static" / "vendor" / "manifest.json"),
        throttle=LoginThrottle(),
    )
    app.url_map.converters["key"] = KeyConverter
    app.before_request(load_user)
    init_security(app, backend.settings, backend.secret_key)
    app.before_request(enforce)
    init_rendering(app)
    init_errors(app)
    for module in (jobs, runs, scripts, service, account):
        app.register_blueprint(module.views)
    public(app.view_functions["static"])
    check_all_declared(app)
    if proxies := backend.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]
    return app


def serve(backend: ConsoleBackend, on_listening: Callable[[], None]) -> None:
    """Answer requests until the process is told to stop.

    :param on_listening: called once the port answers.
    :raises SettingsError: the address or port cannot be used, mostly because another program has it.
    """
    settings = backend.settings
    # A browser's six connections at once are no reason to warn.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        server = waitress.create_server(
            create_app(backend),
            host=settings.bind_host,
            port=settings.bind_port,
            threads=8,
            ident=None,
            # The application refuses what is too large, with a page; this is only the outer wall.
            max_request_body_size=4 * REQUEST_LIMIT_BYTES,
            clear_untrusted_proxy_headers=settings.trusted_proxies == 0,
        )
    except OSError as error:
        address = f"{settings.bind_host}, port {settings.bind_port}"
        problem = f"The console cannot listen on {address}: {error.strerror}. Set MOONTIDE_BIND_PORT to a free port."
        raise SettingsError([problem]) from error
    on_listening()
    server.run()
