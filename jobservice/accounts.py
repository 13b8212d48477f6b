"""Accounts: setting up the first one, logging in, sessions and passwords."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from jobservice.domain.account import Role, User, check_account_name, check_password
from jobservice.domain.errors import InvalidInputError, NotAllowedError
from jobservice.ports import Clock
from jobservice.store import accounts as store
from jobservice.store import audit
from jobservice.store.engine import Database

__all__ = ["Accounts", "Role", "User"]

_SETUP = "setup_token_sha256"
_TOUCH_EVERY = timedelta(minutes=1)
_TOKEN_BYTES = 32


class Accounts:
    """Who may come in.

    :param session_idle: a session ends this long after its last use.
    :param session_absolute: and this long after the login, however busy.
    :param hasher: argon2id; tests pass a cheap one.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        session_idle: timedelta,
        session_absolute: timedelta,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._idle = session_idle
        # Noted before a tenth of the idle time has passed, or else a busy but short session would end.
        self._touch_every = min(_TOUCH_EVERY, session_idle / 10)
        self._absolute = session_absolute
        self._hasher = hasher or PasswordHasher()
        self._nobody_hash = self._hasher.hash(secrets.token_hex(8))

    def has_admin(self) -> bool:
        """Return whether an admin can log in."""
        with self._database.read() as connection:
            return store.has_admin(connection)

    def setup_token(self) -> str | None:
        """Make a new one-time setup token, which replaces any before it; None when an admin exists."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with self._database.write() as connection:
            if store.has_admin(connection):
                return None
            store.put_setting(connection, _SETUP, _sha256(token))
        return token

    def complete_setup(self, token: str, *, name: str, password: str) -> User:
        """Make the first admin and use the token up.

        :raises NotAllowedError: the token is wrong or used.
        :raises InvalidInputError: name or password is not acceptable; the token stays good.
        """
        if not self.is_setup_token(token):
            raise NotAllowedError("This setup link is not valid any more.")
        check_account_name(name)
        check_password(password)
        password_hash = self._hasher.hash(password)
        now = self._clock.now()
        with self._database.write() as connection:
            if store.has_admin(connection) or not store.delete_setting(connection, _SETUP):
                raise NotAllowedError("This setup link has been used.")
            user_id = store.insert_account(connection, name=name, role=Role.ADMIN, password_hash=password_hash, at=now)
            audit.record(connection, "account.setup", at=now, by=name, subject=name)
        return User(user_id, name, Role.ADMIN)

    def is_setup_token(self, token: str) -> bool:
        """Return whether a setup token is good."""
        with self._database.read() as connection:
            stored = store.get_setting(connection, _SETUP)
        return stored is not None and hmac.compare_digest(stored, _sha256(token))

    def create_user(self, *, name: str, role: Role, password: str, by: str) -> User:
        """Make an account.

        :raises InvalidInputError: name or password is not acceptable, or the name is taken.
        """
        check_account_name(name)
        check_password(password)
        password_hash = self._hasher.hash(password)
        now = self._clock.now()
        with self._database.write() as connection:
            user_id = store.insert_account(connection, name=name, role=role, password_hash=password_hash, at=now)
            audit.record(connection, "account.create", at=now, by=by, subject=name, detail={"role": role})
        return User(user_id, name, role)

    def authenticate(self, name: str, password: str) -> User | None:
        """Return the user whose password this is, or None; an unknown name takes as long as a wrong password."""
        with self._database.read() as connection:
            account = store.find_account(connection, name)
        known = account is not None and not account.disabled
        matches = self._matches(account.password_hash if account and known else self._nobody_hash, password)
        if account is None or not known or not matches:
            return None
        if self._hasher.check_needs_rehash(account.password_hash):
            with self._database.write() as connection:
                store.set_password(connection, account.account_id, self._hasher.hash(password))
        return User(account.account_id, account.name, account.role)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def open_session(self, user_id: int, *, address: str, agent: str) -> str:
        """Begin a session and return its token, which is stored only as a hash."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = self._clock.now()
        with self._database.write() as connection:
            store.delete_stale_sessions(connection, seen_before=now - self._idle, created_before=now - self._absolute)
            store.insert_session(
                connection, token_sha256=_sha256(token), account_id=user_id, address=address, agent=agent, at=now
            )
        return token

    def find_session(self, token: str, *, touch: bool = True) -> User | None:
        """Return the user of a session that is still good, or None.

        :param touch: whether this counts as use; a page that refreshes itself does not.
        """
        digest = _sha256(token)
        now = self._clock.now()
        with self._database.read() as connection:
            session = store.find_session(connection, digest)
        if session is None or session.account.disabled:
            return None
        if now - session.seen_at >= self._idle or now - session.created_at >= self._absolute:
            return None
        if touch and now - session.seen_at >= self._touch_every:
            with self._database.write() as connection:
                store.touch_session(connection, digest, now)
        return User(session.account.account_id, session.account.name, session.account.role)

    def close_session(self, token: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            store.delete_session(connection, _sha256(token))

    def close_other_sessions(self, user_id: int, keep_token: str) -> int:
        """End a user's other sessions and return how many there were."""
        with self._database.write() as connection:
            return store.delete_other_sessions(connection, user_id, _sha256(keep_token))

    def change_password(self, user_id: int, *, old: str, new: str) -> None:
        """Replace a user's password.

        :raises InvalidInputError: field ``old`` or ``new``; nothing was changed.
        """
        with self._database.read() as connection:
            account = store.get_account(connection, user_id)
        if not self._matches(account.password_hash, old):
            raise InvalidInputError({"old": ["This is not your present password."]})
        check_password(new, field="new")
        if new == old:
            raise InvalidInputError({"new": ["The new password is the present one."]})
        password_hash = self._hasher.hash(new)
        now = self._clock.now()
        with self._database.write() as connection:
            store.set_password(connection, user_id, password_hash)
            audit.record(connection, "account.password", at=now, by=account.name, subject=account.name)

    def record(self, action: str, *, by: str, address: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append a line to the audit table that is about coming and going."""
        with self._database.write() as connection:
            audit.record(connection, action, at=self._clock.now(), by=by, address=address, detail=detail)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
