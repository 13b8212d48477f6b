"""Every error that the job service raises on purpose.

MoontideError
├── InvalidInputError        a person's input breaks a rule; says field and rule
├── NotFoundError            the named thing does not exist
├── ConflictError            somebody else was first; nothing was written
├── NotAllowedError          the account may not do this
├── StoreUnavailableError    the database cannot be reached
├── SchemaMismatchError      the database's schema is not this release's
├── SettingsError            one or more settings are wrong
└── ServiceRunningError      another service holds this database
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class MoontideError(Exception):
    """Base of every error the job service raises on purpose."""


class InvalidInputError(MoontideError):
    """Input that breaks a rule.

    :ivar problems: field name -> sentences for the person who typed it.
    """

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        self.problems = {field: tuple(sentences) for field, sentences in problems.items()}
        super().__init__("; ".join(f"{field}: {' '.join(texts)}" for field, texts in self.problems.items()))


class NotFoundError(MoontideError):
    """The named thing does not exist, or no longer does."""

    def __init__(self, kind: str, key: object) -> None:
        self.kind = kind
        self.key = key
        super().__init__(f"There is no {kind} {key!r}.")


class ConflictError(MoontideError):
    """The thing changed, or is in a state that does not allow the action; nothing was written."""


class NotAllowedError(MoontideError):
    """The account or credential may not do this."""


class StoreUnavailableError(MoontideError):
    """The database cannot be reached or refuses to write; the call is safe to repeat."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The database is not available: {reason}")


class SchemaMismatchError(MoontideError):
    """The database's schema is older or newer than this release's."""

    def __init__(self, *, found: str | None, wanted: str, known: bool) -> None:
        self.found = found
        self.wanted = wanted
        if found is None:
            text = f"The database holds no Moontide schema (this release needs {wanted}). Run: moontide migrate"
        elif known:
            text = f"The database schema is {found}; this release needs {wanted}. Run: moontide migrate"
        else:
            text = (
                f"The database schema is {found}, which this release does not know (it needs {wanted}). "
                "A newer Moontide has upgraded this database: install that release, or restore a backup."
            )
        super().__init__(text)


class SettingsError(MoontideError):
    """One or more settings are wrong; all of them are named at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("Settings are wrong:\n" + "\n".join(f"  - {problem}" for problem in problems))


class ServiceRunningError(MoontideError):
    """Another job service already works on this database."""
