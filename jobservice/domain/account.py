"""Accounts: who may do what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.job import NAME_MAX_CHARS

PASSWORD_RANGE_CHARS = (12, 200)
_COMMONEST_SHARE = 0.6


class Role(StrEnum):
    """What an account may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    """See everything but secrets."""
    OPERATOR = "operator"
    """Also run, cancel, reload, deactivate and reactivate."""
    ADMIN = "admin"
    """Also edit and delete jobs and scripts, and manage accounts."""

    @classmethod
    def from_word(cls, word: str) -> Self:
        """Return the role of that word.

        :raises InvalidInputError: field ``role``.
        """
        try:
            return cls(word)
        except ValueError:
            raise InvalidInputError({"role": ["A role is viewer, operator or admin."]}) from None


@dataclass(frozen=True, slots=True)
class User:
    """An account that has proved who it is."""

    user_id: int
    name: str
    role: Role


def check_account_name(name: str) -> None:
    """Check a new account's name.

    :raises InvalidInputError: field ``name``.
    """
    if not name:
        raise InvalidInputError({"name": ["Enter a name."]})
    if len(name) > NAME_MAX_CHARS:
        raise InvalidInputError({"name": [f"A name has at most {NAME_MAX_CHARS} characters."]})
    if not name.isprintable() or name != name.strip():
        raise InvalidInputError({"name": ["A name is one line without spaces at its ends."]})
    if name == "service":
        raise InvalidInputError({"name": ["“service” is the job service's own name. Choose another."]})


def check_password(password: str, *, field: str = "password") -> None:
    """Check a new password.

    :raises InvalidInputError: the named field.
    """
    low, high = PASSWORD_RANGE_CHARS
    if not low <= len(password) <= high:
        raise InvalidInputError({field: [f"A password has {low} to {high} characters; this one has {len(password)}."]})
    (_, commonest), *_ = Counter(password).most_common(1)
    if commonest > len(password) * _COMMONEST_SHARE:
        raise InvalidInputError({field: ["This password is nearly one character repeated. Choose another."]})
