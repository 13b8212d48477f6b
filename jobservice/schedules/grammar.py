"""From schedule text to a schedule."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.job import SCHEDULE_MAX_CHARS
from jobservice.schedules.interval import IntervalSchedule

INTERVAL_RANGE_S = (1, 31_536_000)

_UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_SECONDS = re.compile(r"\d+\Z", re.ASCII)
_EVERY = re.compile(r"every\s+(?:(\d+)\s+)?([a-z]+)\Z", re.ASCII | re.IGNORECASE)
_ALLOWED = "Enter a number of seconds, such as 120, or “every N unit”, such as “every 5 minutes”."


@lru_cache(maxsize=4096)
def parse_schedule(text: str) -> IntervalSchedule:
    """Return the schedule that ``text`` means.

    Understood are a whole number of seconds (``120``) and ``every N unit``
    with seconds, minutes, hours, days or weeks (``every 5 minutes``,
    ``every hour``), from 1 second to 365 days.

    :raises InvalidInputError: field ``schedule``, with what is wrong and
        what is allowed.
    """
    stripped = text.strip()
    if not stripped:
        raise _problem(_ALLOWED)
    if len(stripped) > SCHEDULE_MAX_CHARS:
        raise _problem(f"A schedule has at most {SCHEDULE_MAX_CHARS} characters. {_ALLOWED}")
    if _SECONDS.match(stripped):
        return _interval(stripped, 1)
    every = _EVERY.match(stripped)
    if every is None:
        raise _problem(f"“{stripped}” is not understood. {_ALLOWED}")
    number, unit = every.groups()
    unit_s = _UNIT_SECONDS.get(unit.lower().removesuffix("s"))
    if unit_s is None:
        raise _problem(f"“{unit}” is not a unit. Use seconds, minutes, hours, days or weeks.")
    return _interval(number or "1", unit_s)


def _interval(number: str, unit_s: int) -> IntervalSchedule:
    low, high = INTERVAL_RANGE_S
    seconds = int(number) * unit_s
    if not low <= seconds <= high:
        raise _problem(f"An interval is from {low} second to {high:,} seconds (365 days); this one is {seconds:,}.")
    return IntervalSchedule(timedelta(seconds=seconds))


def _problem(sentence: str) -> InvalidInputError:
    return InvalidInputError({"schedule": [sentence]})
