"""Settings in, wired parts out: the only place that picks implementations."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from jobservice.accounts import Accounts
from jobservice.clock import SystemClock
from jobservice.domain.errors import MoontideError, SettingsError
from jobservice.executors.lua_pool import LuaPool
from jobservice.executors.script_checker import LuaScriptChecker
from jobservice.lock import ServiceLock
from jobservice.loops.engine import Engine, Stores
from jobservice.loops.scripts import ScriptCache
from jobservice.loops.supervisor import Supervisor
from jobservice.ports import Clock, Executor, ScriptChecker
from jobservice.queries import Queries
from jobservice.service import Service
from jobservice.settings import Settings
from jobservice.store.engine import Database
from jobservice.store.history import HistoryStore
from jobservice.store.loading import LoadStore
from jobservice.store.nodes import NodeStore
from jobservice.store.planning import PlanStore
from jobservice.store.recording import RecordStore
from jobservice.store.runs import RunStore
from jobservice.store.schema import check_schema
from jobservice.store.scripts import ScriptStore
from jobservice.wake import Bell, ring

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ConsoleBackend:
    """What the console and the commands work with."""

    settings: Settings
    service: Service
    queries: Queries
    accounts: Accounts
    clock: Clock
    checker: ScriptChecker
    secret_key: bytes
    database: Database

    def close(self) -> None:
        """End the checker's worker and close the database's connections."""
        if isinstance(self.checker, LuaScriptChecker):
            self.checker.close()
        self.database.close()


def build_console_backend(settings: Settings, *, clock: Clock | None = None) -> ConsoleBackend:
    """Return the parts behind pages and commands.

    :raises SchemaMismatchError: the database is not migrated to this release.
    :raises StoreUnavailableError: the database cannot be reached.
    """
    clock = clock or SystemClock()
    database = _checked_database(settings)
    scripts, nodes = ScriptStore(database), NodeStore(database)
    checker = LuaScriptChecker()
    return ConsoleBackend(
        settings=settings,
        service=Service(
            database,
            scripts,
            nodes,
            checker,
            clock,
            ring=lambda: ring(settings.control_socket),
            apply_at_once=settings.apply_changes_at_once,
        ),
        queries=Queries(database, scripts, nodes, clock),
        accounts=Accounts(
            database,
            clock,
            session_idle=timedelta(minutes=settings.session_idle_minutes),
            session_absolute=timedelta(hours=settings.session_absolute_hours),
        ),
        clock=clock,
        checker=checker,
        secret_key=_secret_key(settings.data_dir),
        database=database,
    )


def lock_path(settings: Settings) -> Path:
    """Return the lock file of the job service: beside an SQLite file, else in the data folder."""
    if settings.is_sqlite:
        # Two names of one file are one database.
        return Path(settings.database_url.removeprefix("sqlite:///")).resolve().with_suffix(".service-lock")
    return settings.data_dir / "service-lock"


@dataclass(frozen=True, slots=True)
class RunningService:
    """A job service that is ready to start."""

    supervisor: Supervisor
    engine: Engine
    lock: ServiceLock
    database: Database

    def close(self) -> None:
        """Close the database's connections and let the lock go."""
        self.database.close()
        self.lock.release()


def build_service(settings: Settings, *, clock: Clock | None = None) -> RunningService:
    """Return a job service, entered as a node but not yet started.

    :raises ServiceRunningError: another one works on this database file or data folder.
    :raises SchemaMismatchError: the database is not migrated to this release.
    :raises StoreUnavailableError: the database cannot be reached.
    """
    clock = clock or SystemClock()
    _private_folder(settings.data_dir)
    lock = ServiceLock(lock_path(settings))
    try:
        database = _checked_database(settings)
    except MoontideError:
        lock.release()
        raise
    scripts = ScriptCache(ScriptStore(database))
    pool = LuaPool(
        scripts=scripts,
        clock=clock,
        workers=settings.lua_workers,
        max_workers=settings.lua_workers_max,
        logger=logging.getLogger("jobservice.lua_pool"),
    )
    engine = build_engine(
        database, scripts, pool, clock, settings, alone=settings.is_sqlite, missing=lambda: _missing_layers(pool)
    )
    return RunningService(Supervisor(engine, Bell(settings.control_socket)), engine, lock, database)


def build_engine(
    database: Database,
    scripts: ScriptCache,
    executor: Executor,
    clock: Clock,
    settings: Settings,
    *,
    alone: bool,
    missing: Callable[[], Sequence[str]] = tuple,
) -> Engine:
    """Return an engine over a database, entered as a node."""
    stores = Stores(
        plans=PlanStore(database),
        runs=RunStore(database),
        records=RecordStore(database),
        history=HistoryStore(database),
        loads=LoadStore(database),
        nodes=NodeStore(database),
    )
    return Engine(stores, scripts, executor, clock, settings, missing_hardening=missing, alone=alone)


def _checked_database(settings: Settings) -> Database:
    database = Database(settings.database_url)
    try:
        check_schema(database)
    except MoontideError:
        database.close()
        raise
    return database


def _missing_layers(pool: LuaPool) -> Sequence[str]:
    return [f"{name}: {state}" for name, state in pool.report().layers.items() if state is not True]


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            [f"MOONTIDE_DATA_DIR is {str(folder)!r}: the folder cannot be made ({error.strerror})."]
        ) from error


def _secret_key(data_dir: Path) -> bytes:
    """Return the key that signs cookies, made at the first start and readable by the owner alone."""
    _private_folder(data_dir)
    path = data_dir / "secret.key"
    if not path.exists():
        draft, name = tempfile.mkstemp(dir=data_dir, prefix="secret-")
        with os.fdopen(draft, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        # A link appears whole or not at all, and fails when another process was first.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        os.unlink(name)
    return _stored_key(path)


def _stored_key(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        logging.getLogger(__name__).warning("%s was readable by others; its mode is now 0600", path)
        path.chmod(0o600)
    key = path.read_bytes()
    if len(key) < _KEY_BYTES:
        raise SettingsError([f"{path} is too short to be a key. Remove it; the next start makes a new one."])
    return key
