"""Rows of the printed table."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One measured figure.

    :ivar figure: what was measured, with its unit.
    :ivar target: what it should be, or "" for a reference.
    """

    what: str
    figure: str
    target: str = ""
