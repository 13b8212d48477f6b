"""The entry of ``moontide``: the job service's commands, and ``console`` and ``up``."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

import click

from jobservice.bootstrap import ConsoleBackend, build_console_backend
from jobservice.cli.main import cli
from jobservice.cli.output import ExitCode, reports_errors
from jobservice.cli.parent import end_with_parent
from jobservice.domain.errors import SchemaMismatchError, SettingsError
from jobservice.settings import Settings
from jobservice.store.engine import Database
from jobservice.store.schema import check_schema
from jobservice.store.schema import migrate as migrate_schema

_RESTART_AFTER_S = 1.0
_LOOK_EVERY_S = 0.2
_CONSOLE_GRACE_S = 5

log = logging.getLogger(__name__)


def console_address(settings: Settings) -> str:
    """Return the console's address as a person on this machine opens it."""
    if settings.public_url is not None:
        return settings.public_url
    host = f"[{settings.bind_host}]" if ":" in settings.bind_host else settings.bind_host
    return f"http://{host}:{settings.bind_port}"


@click.command()
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
@reports_errors
def console(parent: int | None) -> None:
    """Serve the web console in the foreground until SIGTERM or Ctrl-C."""
    if parent is not None:
        end_with_parent(parent)
    from webmin.app import serve  # noqa: PLC0415 - the other commands start faster without Flask

    settings = Settings.from_environment()
    logging.getLogger().setLevel(settings.log_level)
    backend = build_console_backend(settings)
    try:
        _print_setup_link(backend, settings)
        signal.signal(signal.SIGTERM, _leave)
        serve(backend, lambda: log.info("The console listens on %s", console_address(settings)))
    finally:
        backend.close()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _print_setup_link(backend: ConsoleBackend, settings: Settings) -> None:
    """Print the one-time link while there is no admin, and refuse to be reached from outside until then."""
    if backend.accounts.has_admin():
        return
    if not settings.is_loopback_only:
        problem = (
            f"MOONTIDE_BIND_HOST is {settings.bind_host!r}, but no admin exists yet, so whoever comes first could "
            "become one. Start on 127.0.0.1 and open the setup link, or run: moontide user add NAME --role admin"
        )
        raise SettingsError([problem])
    token = backend.accounts.setup_token()
    click.echo(f"\n  Open this link once to make the first admin:\n\n    {console_address(settings)}/setup/{token}\n")


@click.command()
@reports_errors
def up() -> None:
    """Start console and job service together on this machine.

    An empty database gets its schema by itself; an older one needs
    ``moontide migrate``.  Either process is started again when it dies, and left alone when
    it was stopped on request.
    """
    settings = Settings.from_environment()
    _prepare_database(settings)
    sys.exit(_Pair(settings).run())


def _prepare_database(settings: Settings) -> None:
    database = Database(settings.database_url)
    try:
        check_schema(database)
    except SchemaMismatchError as mismatch:
        if mismatch.found is not None:
            raise
        migrate_schema(database)
    finally:
        database.close()


class _Pair:
    """The two processes, kept alive until a signal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._commands = {"service": ["service", "start"], "console": ["console"]}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> int:
        """Keep both alive; return the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._stopping.set())
        started = {name: self._start(name) for name in self._commands}
        while self._children and not self._stopping.wait(_LOOK_EVERY_S):
            for name, child in list(self._children.items()):
                code = child.poll()
                if code is None:
                    continue
                if code in {ExitCode.USAGE, ExitCode.SCHEMA, ExitCode.CONFLICT}:
                    # It has said why, and starting it again would say the same.
                    self._stop()
                    return code
                if code == ExitCode.OK:
                    log.info("The %s was stopped on request; the other one goes on until Ctrl-C", name)
                    del self._children[name]
                    continue
                log.warning("The %s ended with code %d and is started again", name, code)
                pause = _RESTART_AFTER_S - (time.monotonic() - started[name])
                self._stopping.wait(max(0.0, pause))
                started[name] = self._start(name)
        self._stop()
        return ExitCode.OK

    def _start(self, name: str) -> float:
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", "webmin", *self._commands[name], "--parent", str(os.getpid())],
            start_new_session=True,
        )
        return time.monotonic()

    def _stop(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                os.kill(child.pid, signal.SIGTERM)
        graces = {"service": self._settings.stop_grace_seconds + _CONSOLE_GRACE_S, "console": _CONSOLE_GRACE_S}
        for name, child in self._children.items():
            try:
                child.wait(timeout=graces[name])
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def main() -> None:
    """Run ``moontide`` with every command."""
    cli(prog_name="moontide")


for _command in (up, console):
    cli.add_command(_command)
