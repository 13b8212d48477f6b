"""Connections and transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from jobservice.domain.errors import StoreUnavailableError
from jobservice.store.turns import Turns

__all__ = ["Connection", "Database", "IntegrityError"]

BUSY_TIMEOUT_MS = 5_000
_WRITES = "moontide_writes"
_READ_ONLY_TRANSACTION = "25006"
"""PostgreSQL's code for a write to a standby, or to a database set to read-only."""


class Database:
    """One database, SQLite or PostgreSQL, and its two kinds of transaction.

    :param url: an SQLAlchemy URL.
    :param pool_size: connections kept open; as many again may be opened for a while.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            _make_private_file(Path(parsed.database))
        self.engine = create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_timeout=10)
        # SQLite's busy handler sleeps without a queue; within one process a lock hands the turn on at once.
        self._turn = Turns() if self.is_sqlite else None
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgresql)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a short transaction that reads.

        :raises StoreUnavailableError: the database cannot be reached.
        """
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction that writes; committed at the end, rolled back on any error.

        On SQLite it holds the write lock from its start, since a transaction
        that reads first and then writes is refused when another wrote in
        between.

        :raises StoreUnavailableError: the database cannot be reached or is full; nothing was written.
        """
        with _translated(), self._turn or nullcontext(), self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})  # noqa: PLW2901 - the same connection
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()


def _make_private_file(path: Path) -> None:
    """Make the database file where it is missing, readable by its owner alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailableError(f"the folder {path.parent} cannot be made ({error.strerror}).") from error
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreUnavailableError(f"the file {path} cannot be made ({error.strerror}).") from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreUnavailableError(_reason(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated or _refuses_work(error):
            raise StoreUnavailableError(_reason(error)) from error
        raise


def _refuses_work(error: DBAPIError) -> bool:
    """Return whether the database, not the statement, is at fault: it is read-only, or its file is no database."""
    cause = error.orig
    if getattr(cause, "sqlstate", None) == _READ_ONLY_TRANSACTION:
        return True
    return type(cause) is sqlite3.DatabaseError


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # A node that freezes in a transaction must not hold its row locks for as long as it sleeps.
        cursor.execute("SET idle_in_transaction_session_timeout = '5s'")
    connection.commit()
