"""Stand-ins that honour the same contracts as the real parts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that stands still until it is told to move.

    :param start: the first instant, with a UTC offset.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)) -> None:
        self._now = start.astimezone(UTC)
        self._elapsed_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the instant it stands at, aware, in UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Return seconds that this clock was advanced by, in all."""
        with self._lock:
            return self._elapsed_s

    def advance(self, duration: timedelta) -> datetime:
        """Move forward (or back) and return the new instant."""
        with self._lock:
            self._now += duration
            self._elapsed_s += max(0.0, duration.total_seconds())
            return self._now

    def move_to(self, instant: datetime) -> datetime:
        """Jump to ``instant`` and return it."""
        with self._lock:
            self._elapsed_s += max(0.0, (instant - self._now).total_seconds())
            self._now = instant.astimezone(UTC)
            return self._now
