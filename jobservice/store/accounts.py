"""Accounts and their login sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobservice.domain.account import Role
from jobservice.domain.errors import InvalidInputError
from jobservice.store import tables as t
from jobservice.store.types import is_text


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account with its password hash."""

    account_id: int
    name: str
    role: Role
    password_hash: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A login session with its account."""

    account: StoredAccount
    created_at: datetime
    seen_at: datetime


_ACCOUNT = (t.account.c.id, t.account.c.name, t.account.c.role, t.account.c.password_hash, t.account.c.disabled)


def _account(row: Any) -> StoredAccount:
    return StoredAccount(row[0], row[1], Role(row[2]), row[3], row[4])


def has_admin(connection: Connection) -> bool:
    """Return whether an admin can log in."""
    query = select(t.account.c.id).where(t.account.c.role == Role.ADMIN, t.account.c.disabled.is_(False))
    return connection.execute(query.limit(1)).first() is not None


def find_account(connection: Connection, name: str) -> StoredAccount | None:
    """Return the account of that name, or None."""
    if not is_text(name):
        return None
    row = connection.execute(select(*_ACCOUNT).where(t.account.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def get_account(connection: Connection, account_id: int) -> StoredAccount:
    """Return an account by id; the caller has a session of it."""
    return _account(connection.execute(select(*_ACCOUNT).where(t.account.c.id == account_id)).one())


def insert_account(connection: Connection, *, name: str, role: Role, password_hash: str, at: datetime) -> int:
    """Store a new account and return its id.

    :raises InvalidInputError: field ``name`` when it is taken.
    """
    try:
        with connection.begin_nested():
            new = insert(t.account).values(
                name=name, role=role, password_hash=password_hash, disabled=False, created_at=at
            )
            return int(connection.execute(new.returning(t.account.c.id)).scalar_one())
    except IntegrityError:
        raise InvalidInputError({"name": [f"An account named “{name}” exists already."]}) from None


def set_password(connection: Connection, account_id: int, password_hash: str) -> None:
    """Replace a password hash."""
    connection.execute(update(t.account).where(t.account.c.id == account_id).values(password_hash=password_hash))


def insert_session(
    connection: Connection, *, token_sha256: str, account_id: int, address: str, agent: str, at: datetime
) -> None:
    """Store a new session."""
    connection.execute(
        insert(t.login_session).values(
            token_sha256=token_sha256,
            account_id=account_id,
            address=address[:64],
            agent=agent[:300],
            created_at=at,
            seen_at=at,
        )
    )


def find_session(connection: Connection, token_sha256: str) -> StoredSession | None:
    """Return a session with its account, or None."""
    row = connection.execute(
        select(*_ACCOUNT, t.login_session.c.created_at, t.login_session.c.seen_at)
        .join(t.login_session, t.login_session.c.account_id == t.account.c.id)
        .where(t.login_session.c.token_sha256 == token_sha256)
    ).one_or_none()
    return None if row is None else StoredSession(_account(row), row[5], row[6])


def touch_session(connection: Connection, token_sha256: str, at: datetime) -> None:
    """Note that a session is in use."""
    connection.execute(update(t.login_session).where(t.login_session.c.token_sha256 == token_sha256).values(seen_at=at))


def delete_session(connection: Connection, token_sha256: str) -> None:
    """End a session."""
    connection.execute(delete(t.login_session).where(t.login_session.c.token_sha256 == token_sha256))


def delete_other_sessions(connection: Connection, account_id: int, kept_sha256: str) -> int:
    """End an account's other sessions and return how many there were."""
    others = (t.login_session.c.account_id == account_id) & (t.login_session.c.token_sha256 != kept_sha256)
    return connection.execute(delete(t.login_session).where(others)).rowcount


def delete_stale_sessions(connection: Connection, *, seen_before: datetime, created_before: datetime) -> None:
    """Remove sessions that have expired."""
    stale = (t.login_session.c.seen_at < seen_before) | (t.login_session.c.created_at < created_before)
    connection.execute(delete(t.login_session).where(stale))


def get_setting(connection: Connection, name: str) -> Any:
    """Return a stored setting's value, or None."""
    return connection.execute(select(t.setting.c.value).where(t.setting.c.name == name)).scalar_one_or_none()


def put_setting(connection: Connection, name: str, value: Any) -> None:
    """Store a setting's value."""
    connection.execute(delete(t.setting).where(t.setting.c.name == name))
    connection.execute(insert(t.setting).values(name=name, value=value))


def delete_setting(connection: Connection, name: str) -> bool:
    """Remove a setting; False when it was not there, because somebody else has removed it."""
    return connection.execute(delete(t.setting).where(t.setting.c.name == name)).rowcount == 1
