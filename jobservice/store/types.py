"""Column types."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from jobservice.domain.job import JobDefinition

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


class Definition(TypeDecorator[JobDefinition]):
    """A job's definition, stored as JSON text and parsed once a text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JobDefinition | None, dialect: Dialect) -> str | None:
        """Return the text to store."""
        return None if value is None else json.dumps(value.to_dict(), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> JobDefinition | None:
        """Return the stored definition."""
        return None if value is None else _parsed(value)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> JobDefinition:
    return JobDefinition.from_dict(json.loads(text))
