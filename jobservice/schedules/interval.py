"""Intervals: a fixed time apart, counted from an anchor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """A schedule of elapsed time, without calendar or zone."""

    interval: timedelta

    @property
    def is_interval(self) -> bool:
        """Return True: it counts from an anchor."""
        return True

    def fire_times(self, anchor: datetime) -> IntervalTrigger:
        """Return the grid of instants ``interval`` apart that ``anchor`` lies on."""
        return IntervalTrigger(self.interval, anchor)

    def words(self) -> str:
        """Return it as a person says it.

        >>> IntervalSchedule(timedelta(seconds=120)).words()
        'every 2 minutes'
        >>> IntervalSchedule(timedelta(seconds=3600)).words()
        'every hour'
        >>> IntervalSchedule(timedelta(seconds=90)).words()
        'every 90 seconds'
        """
        seconds = int(self.interval.total_seconds())
        for unit, unit_s in _UNITS:
            number, rest = divmod(seconds, unit_s)
            if rest == 0 and number > 0:
                return f"every {unit}" if number == 1 else f"every {number:,} {unit}s"
        raise AssertionError("an interval is at least one second")


class IntervalTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types.
    """An APScheduler trigger over a fixed grid.

    APScheduler's own interval trigger rounds its start up to whole seconds
    and re-bases on the previous fire time; this one never leaves its grid.
    """

    def __init__(self, interval: timedelta, anchor: datetime) -> None:
        self._interval = interval
        self._anchor = anchor

    def next_after(self, instant: datetime) -> datetime:
        """Return the first instant of the grid strictly after ``instant``."""
        return self._anchor + self._interval * ((instant - self._anchor) // self._interval + 1)

    def last_at_or_before(self, instant: datetime, *, first: datetime) -> datetime:
        """Return the last instant of the grid not after ``instant``."""
        return self._anchor + self._interval * ((instant - self._anchor) // self._interval)

    def count(self, first: datetime, last: datetime) -> int:
        """Return how many instants of the grid lie from ``first`` to ``last``, both included."""
        return (last - first) // self._interval + 1

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next fire time as APScheduler asks for it."""
        return self.next_after(previous_fire_time or now)
