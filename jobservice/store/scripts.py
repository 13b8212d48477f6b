"""Scripts and their revisions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, LargeBinary, cast, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobservice.domain.errors import ConflictError, NotFoundError
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.types import is_text


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A script's newest revision."""

    path: str
    source: str
    revision: int
    author: str
    saved_at: datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """One revision without its source."""

    number: int
    author: str
    saved_at: datetime
    size_bytes: int


class ScriptStore:
    """Durable scripts; every save is a revision."""

    def __init__(self, database: Database) -> None:
        self._database = database
        source = t.script_revision.c.source
        # Characters are not bytes; SQLite counts bytes in blobs alone.
        self._size_bytes = func.length(cast(source, LargeBinary)) if database.is_sqlite else func.octet_length(source)

    def get(self, path: str) -> StoredScript:
        """Return the newest revision.

        :raises NotFoundError: no script is stored under the path.
        """
        script = self.find(path)
        if script is None:
            raise NotFoundError("script", path)
        return script

    def find(self, path: str) -> StoredScript | None:
        """Return the newest revision, or None."""
        if not is_text(path):
            return None
        with self._database.read() as connection:
            row = connection.execute(_NEWEST.where(t.script.c.path == path)).one_or_none()
        return None if row is None else StoredScript(*row)

    def find_all(self, paths: Iterable[str]) -> list[StoredScript]:
        """Return the newest revision of each path that exists."""
        with self._database.read() as connection:
            rows = connection.execute(_NEWEST.where(t.script.c.path.in_(list(paths))))
            return [StoredScript(*row) for row in rows]

    def newest_revisions(self, paths: Iterable[str]) -> Mapping[str, tuple[int, str]]:
        """Return number and SHA-256 of the newest revision for each path that exists."""
        with self._database.read() as connection:
            rows = connection.execute(_REVISIONS.where(t.script.c.path.in_(list(paths))))
            return {row.path: (row.number, row.sha256) for row in rows}

    def list_revisions(self, path: str, *, limit: int = 100) -> list[StoredRevision]:
        """Return the newest revisions, newest first."""
        revision = t.script_revision.c
        if not is_text(path):
            return []
        with self._database.read() as connection:
            rows = connection.execute(
                select(revision.number, revision.author, revision.saved_at, self._size_bytes)
                .join(t.script, t.script.c.id == revision.script_id)
                .where(t.script.c.path == path)
                .order_by(revision.number.desc())
                .limit(limit)
            )
            return [StoredRevision(*row) for row in rows]

    def save(
        self,
        connection: Connection,
        path: str,
        source: str,
        *,
        expected_revision: int | None,
        author: str,
        at: datetime,
    ) -> int:
        """Store a new revision and return its number.

        :param expected_revision: the newest revision that the author saw; None when the script must be new.
        :raises ConflictError: somebody else has saved it meanwhile.
        """
        number = 1 if expected_revision is None else expected_revision + 1
        if expected_revision is None:
            script_id = self._create(connection, path)
        else:
            script_id = connection.execute(
                update(t.script)
                .where(t.script.c.path == path, t.script.c.revision == expected_revision)
                .values(revision=number)
                .returning(t.script.c.id)
            ).scalar_one_or_none()
        if script_id is None:
            raise _changed(connection, path, expected_revision)
        connection.execute(
            insert(t.script_revision).values(
                script_id=script_id,
                number=number,
                source=source,
                sha256=hashlib.sha256(source.encode()).hexdigest(),
                author=author,
                saved_at=at,
            )
        )
        return number

    def _create(self, connection: Connection, path: str) -> int | None:
        try:
            with connection.begin_nested():
                new = insert(t.script).values(path=path, revision=1).returning(t.script.c.id)
                return int(connection.execute(new).scalar_one())
        except IntegrityError:
            return None

    def rename(self, connection: Connection, old: str, new: str) -> bool:
        """Move a script with its revisions; False when ``old`` does not exist.

        :raises ConflictError: a script is stored under ``new`` already.
        """
        if connection.execute(select(t.script.c.id).where(t.script.c.path == new)).first():
            raise ConflictError(f"A script is stored under {new} already.")
        moved = connection.execute(update(t.script).where(t.script.c.path == old).values(path=new))
        return moved.rowcount == 1

    def delete(self, connection: Connection, path: str) -> bool:
        """Remove a script with its revisions; False when there is none."""
        return connection.execute(delete(t.script).where(t.script.c.path == path)).rowcount == 1

    def exists(self, connection: Connection, path: str) -> bool:
        """Return whether a script is stored under the path."""
        return connection.execute(select(t.script.c.id).where(t.script.c.path == path)).first() is not None


_IS_NEWEST = (t.script_revision.c.script_id == t.script.c.id) & (t.script_revision.c.number == t.script.c.revision)
_NEWEST = select(
    t.script.c.path,
    t.script_revision.c.source,
    t.script_revision.c.number,
    t.script_revision.c.author,
    t.script_revision.c.saved_at,
    t.script_revision.c.sha256,
).join(t.script_revision, _IS_NEWEST)
_REVISIONS = select(t.script.c.path, t.script_revision.c.number, t.script_revision.c.sha256).join(
    t.script_revision, _IS_NEWEST
)


def _changed(connection: Connection, path: str, expected: int | None) -> ConflictError:
    row = connection.execute(_NEWEST.where(t.script.c.path == path)).one_or_none()
    if row is None:
        return ConflictError(f"The script {path} was deleted meanwhile. Nothing was saved.")
    newest = StoredScript(*row)
    what = "exists already" if expected is None else f"was saved meanwhile by {newest.author}"
    return ConflictError(f"The script {path} {what} (revision {newest.revision}). Nothing was saved.")
