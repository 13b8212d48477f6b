"""The console over a real database, and visitors who use it as a browser does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from jobservice.accounts import Accounts
from jobservice.bootstrap import ConsoleBackend
from jobservice.domain.account import Role
from jobservice.domain.run import RunId
from jobservice.ports import ScriptProblem
from jobservice.service import Service
from jobservice.testing import FakeClock
from tests.support.moontide import Moontide, copy_template, settings_for
from tests.support.scripted_executor import ScriptedExecutor
from webmin.app import create_app
from webmin.context import EXTENSION
from webmin.throttle import LoginThrottle

PASSWORD = "correct horse battery"
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_SECRET_KEY = b"a key for tests, not for anything else"


_apps: list[Flask] = []


def _app_over(backend: ConsoleBackend) -> Flask:
    """Return an application over ``backend``: one that earlier tests used, since building one takes a while."""
    if not _apps:
        _apps.append(create_app(backend))
    app = _apps[0]
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], backend=backend, throttle=LoginThrottle())
    return app


class TalkingExecutor(ScriptedExecutor):
    """A scripted executor whose runs also print."""

    def say(self, run_id: RunId, text: str) -> None:
        assert self._events is not None
        self._events.run_output(run_id, text, self.clock.now())


class AtSignChecker:
    """Finds a problem in every line with an ``@``."""

    def check(self, path: str, source: str) -> Sequence[ScriptProblem]:
        lines = enumerate(source.split("\n"), start=1)
        return [ScriptProblem(number, "unexpected symbol near '@'") for number, line in lines if "@" in line]


class Text(HTMLParser):
    """What a reader sees of a page: its text, without markup."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def text_of(answer: TestResponse) -> str:
    """Return the text of a page, white space collapsed."""
    return str(Text(answer.text))


class Visitor:
    """Somebody with a browser that keeps cookies and sends the token of the page before."""

    def __init__(self, app: Flask, address: str = "127.0.0.1") -> None:
        self.client: FlaskClient = app.test_client()
        self.address = address

    def get(self, address: str, /, *, region: str = "", digest: str = "") -> TestResponse:
        headers = {"Moontide-Region": region, "Moontide-Digest": digest}
        sent = {name: value for name, value in headers.items() if value}
        return self.client.get(address, headers=sent, environ_base={"REMOTE_ADDR": self.address}, buffered=True)

    def token(self) -> str:
        """Return a CSRF token of this visitor's session; every page has one in its theme form."""
        found = _TOKEN.search(self.get("/nowhere").text)
        assert found is not None
        return unescape(found[1])

    def post(self, address: str, /, *, accept: str = "", **fields: object) -> TestResponse:
        """Send a form with its token."""
        return self.post_bare(address, accept=accept, csrf_token=self.token(), **fields)

    def post_bare(self, address: str, /, *, accept: str = "", **fields: object) -> TestResponse:
        """Send exactly these fields."""
        headers = {"Accept": accept} if accept else {}
        return self.client.post(
            address, data=fields, headers=headers, environ_base={"REMOTE_ADDR": self.address}, buffered=True
        )

    def follow(self, answer: TestResponse) -> TestResponse:
        """Go where a redirect leads."""
        assert answer.status_code == 303, (answer.status, text_of(answer))
        return self.get(answer.location)


class Console:
    """A console with one account of each role, over a Moontide whose engine the test steps."""

    def __init__(self, moontide: Moontide, executor: TalkingExecutor) -> None:
        self.moontide = moontide
        self.executor = executor
        self.accounts = Accounts(
            moontide.database,
            moontide.clock,
            session_idle=timedelta(hours=8),
            session_absolute=timedelta(days=7),
            hasher=_CHEAP,
        )
        checker = AtSignChecker()
        self.backend = ConsoleBackend(
            settings=moontide.settings,
            service=Service(
                moontide.database, moontide.scripts, moontide.nodes, checker, moontide.clock, ring=lambda: None
            ),
            queries=moontide.queries,
            accounts=self.accounts,
            clock=moontide.clock,
            checker=checker,
            secret_key=_SECRET_KEY,
            database=moontide.database,
        )
        self.app = _app_over(self.backend)

    def visitor(self, address: str = "127.0.0.1") -> Visitor:
        """Return somebody who is not signed in."""
        return Visitor(self.app, address)

    def sign_in(self, role: Role) -> Visitor:
        """Return somebody of that role, whose account is named like it."""
        if self.accounts.authenticate(role.value, PASSWORD) is None:
            self.accounts.create_user(name=role.value, role=role, password=PASSWORD, by="test")
        visitor = self.visitor()
        answer = visitor.post("/login", name=role.value, password=PASSWORD)
        assert answer.status_code == 303, text_of(answer)
        return visitor


def make_console(folder: Path, template: Path, clock: FakeClock) -> Console:
    """Return a console over a fresh database whose service has been started."""
    copy_template(template, folder)
    executor = TalkingExecutor(clock)
    moontide = Moontide(settings_for(folder), executor, clock)
    # Nobody pulls the plug during these tests, so no commit need wait for the disk.
    event.listen(moontide.database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    moontide.waits_for_runs = False
    moontide.boot()
    return Console(moontide, executor)
