"""Rows of the printed table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One measured figure.

    :ivar figure: what was measured, with its unit.
    :ivar target: what it should be, or "" for a reference.
    """

    what: str
    figure: str
    target: str = ""


def quantile_ms(values: Sequence[float], share: float) -> float:
    """Return a quantile of seconds, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000
