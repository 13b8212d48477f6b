"""Column types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Integer
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEYS_END = 2**63

Id = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only in a column declared INTEGER."""



def is_key(value: int) -> bool:
    """Return whether a number can be a row's key; databases refuse to look for any other."""
    return 0 < value < _KEYS_END


def is_text(value: str) -> bool:
    """Return whether a text can be stored; PostgreSQL refuses to look for one that holds a NUL."""
    return "\0" not in value


class Instant(TypeDecorator[datetime]):
    """An aware instant, stored as whole microseconds since 1970 in UTC.

    The same number on every database: exact, ordered, without a zone to
    get wrong, and quicker to bind than a date text.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the number to store; a naive datetime raises TypeError."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the stored instant in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)
