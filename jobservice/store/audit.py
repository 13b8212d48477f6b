"""Who did what: written in the transaction of the deed itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from jobservice.store import tables as t


def record(
    connection: Connection,
    action: str,
    *,
    at: datetime,
    by: str,
    subject: str = "",
    address: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append one line to the audit table.

    :param action: a verb in words with dots, such as ``job.create``.
    :param by: the account's name, ``service`` for the job service itself.
    :param detail: plain JSON values; never a secret.
    """
    connection.execute(
        insert(t.audit).values(
            at=at,
            by=by[:64],
            address=address[:64],
            action=action,
            subject=subject[:255],
            detail=dict(detail or {}),
        )
    )
