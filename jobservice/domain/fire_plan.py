"""What becomes of fire times that fell due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jobservice.domain.job import MisfirePolicy

CATCH_UP_LIMIT = 100
"""Most runs that the policy ALL starts after a standstill; older fire times are recorded as misfired."""

_TICK = timedelta(microseconds=1)


class FireTimes(Protocol):
    """The fire times of one schedule; a calendar without state."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first fire time strictly after ``instant``."""
        ...

    def last_at_or_before(self, instant: datetime, *, first: datetime) -> datetime:
        """Return the last fire time not after ``instant``, given that ``first`` is one that is not."""
        ...

    def count(self, first: datetime, last: datetime) -> int:
        """Return how many fire times lie from ``first`` to ``last``, both of which are fire times."""
        ...


class Schedule(Protocol):
    """When a job should run, as parsed from its text."""

    @property
    def is_interval(self) -> bool:
        """Whether it counts from an anchor, rather than by the calendar."""
        ...

    def fire_times(self, anchor: datetime) -> FireTimes:
        """Return its fire times; an interval's are ``anchor`` and every interval before and after it."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedFire:
    """One line of a plan: a run to start, or fire times that will not run.

    :ivar fire_time: the fire time, or the last of several.
    :ivar first_fire_time: the first of several; equal to ``fire_time`` for one.
    :ivar fire_count: how many fire times it stands for.
    :ivar misfired: True when none of them will run.
    """

    fire_time: datetime
    first_fire_time: datetime
    fire_count: int
    misfired: bool = False


@dataclass(frozen=True, slots=True)
class FirePlan:
    """Every fire time up to a horizon, each accounted for once.

    :ivar fires: ascending.
    :ivar next_fire_at: the first fire time past the horizon, or None when the schedule has run out.
    """

    fires: tuple[PlannedFire, ...]
    next_fire_at: datetime | None


def plan_fires(
    fire_times: FireTimes,
    *,
    first: datetime,
    now: datetime,
    horizon: datetime,
    policy: MisfirePolicy,
    grace: timedelta,
) -> FirePlan:
    """Sort the fire times from ``first`` to ``horizon`` into runs and misfires.

    Fire times after ``now`` become one run each.  Those at or before ``now``
    are late, and the policy decides: LAST starts one run that stands for all
    of them; SKIP records those more than ``grace`` late as misfired and
    starts one run for the others; ALL starts one run each, the newest
    ``CATCH_UP_LIMIT`` at most.  A fire time exactly ``grace`` late still
    starts.

    :param first: the next fire time on record; a fire time of the schedule.
    :param now: the instant of the decision.
    :param horizon: how far ahead to plan; not before ``now``.
    :returns: the plan; the cost does not grow with the length of a standstill.
    """
    fires: list[PlannedFire] = []
    upcoming: datetime | None = first
    if first <= now:
        fires.extend(_late_fires(fire_times, first=first, now=now, policy=policy, grace=grace))
        upcoming = fire_times.next_after(now)
    while upcoming is not None and upcoming <= horizon:
        fires.append(PlannedFire(upcoming, upcoming, 1))
        upcoming = fire_times.next_after(upcoming)
    return FirePlan(tuple(fires), upcoming)


def _late_fires(
    fire_times: FireTimes, *, first: datetime, now: datetime, policy: MisfirePolicy, grace: timedelta
) -> list[PlannedFire]:
    last = fire_times.last_at_or_before(now, first=first)
    if policy is MisfirePolicy.LAST:
        return [_span(fire_times, first, last)]
    if policy is MisfirePolicy.SKIP:
        return _split(fire_times, first=first, last=last, keep_from=now - grace, merge=True)
    return _split(fire_times, first=first, last=last, keep_from=_newest(fire_times, first, last), merge=False)


def _newest(fire_times: FireTimes, first: datetime, last: datetime) -> datetime:
    """Return the fire time from which ``CATCH_UP_LIMIT`` remain up to ``last``."""
    surplus = fire_times.count(first, last) - CATCH_UP_LIMIT
    if surplus <= 0:
        return first
    low, high = first, last
    while high - low > _TICK:  # The count falls as the start moves on, so halving finds the edge.
        middle = low + (high - low) / 2
        start = fire_times.next_after(middle)
        if start is not None and start <= last and fire_times.count(start, last) >= CATCH_UP_LIMIT:
            low = middle
        else:
            high = middle
    return fire_times.next_after(low) or last


def _split(
    fire_times: FireTimes, *, first: datetime, last: datetime, keep_from: datetime, merge: bool
) -> list[PlannedFire]:
    """Misfire what lies before ``keep_from``; start the rest, merged into one run or each."""
    kept = first if first >= keep_from else fire_times.next_after(keep_from - _TICK)
    if kept is None or kept > last:
        return [_span(fire_times, first, last, misfired=True)]
    fires: list[PlannedFire] = []
    if kept > first:
        before = fire_times.last_at_or_before(kept - _TICK, first=first)
        fires.append(_span(fire_times, first, before, misfired=True))
    if merge:
        fires.append(_span(fire_times, kept, last))
        return fires
    each: datetime | None = kept
    while each is not None and each <= last:
        fires.append(PlannedFire(each, each, 1))
        each = fire_times.next_after(each)
    return fires


def _span(fire_times: FireTimes, first: datetime, last: datetime, *, misfired: bool = False) -> PlannedFire:
    return PlannedFire(last, first, fire_times.count(first, last), misfired)
