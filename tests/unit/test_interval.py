"""The interval trigger: a fixed grid, as APScheduler asks for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from hypothesis import given
from hypothesis import strategies as st

from jobservice.schedules import IntervalSchedule

ANCHOR = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_next_is_strictly_after_the_instant():
    trigger = IntervalSchedule(timedelta(seconds=10)).fire_times(ANCHOR)

    assert trigger.next_after(ANCHOR) == ANCHOR + timedelta(seconds=10)
    assert trigger.next_after(ANCHOR - TICK) == ANCHOR
    assert trigger.next_after(ANCHOR + timedelta(seconds=10)) == ANCHOR + timedelta(seconds=20)


def test_last_is_at_or_before_the_instant():
    trigger = IntervalSchedule(timedelta(seconds=10)).fire_times(ANCHOR)

    assert trigger.last_at_or_before(ANCHOR + timedelta(seconds=10), first=ANCHOR) == ANCHOR + timedelta(seconds=10)
    assert trigger.last_at_or_before(ANCHOR + timedelta(seconds=10) - TICK, first=ANCHOR) == ANCHOR


def test_count_includes_both_ends():
    trigger = IntervalSchedule(timedelta(seconds=10)).fire_times(ANCHOR)

    assert trigger.count(ANCHOR, ANCHOR) == 1
    assert trigger.count(ANCHOR, ANCHOR + timedelta(seconds=30)) == 4


@given(interval_s=st.integers(1, 31_536_000), steps=st.integers(1, 1_000_000))
def test_intervals_never_drift_and_keep_the_anchors_fraction_of_a_second(interval_s, steps):
    interval = timedelta(seconds=interval_s)
    fire_time = ANCHOR + min(steps, 3_000_000_000 // interval_s) * interval
    trigger = IntervalSchedule(interval).fire_times(ANCHOR)

    following = trigger.next_after(fire_time)

    assert following - fire_time == interval
    assert (following - ANCHOR) % interval == timedelta(0)
    assert following.microsecond == ANCHOR.microsecond


@given(st.integers(-10_000_000, 10_000_000), st.integers(1, 100_000))
def test_any_instant_lies_between_its_last_and_its_next_fire_time(offset_ms, interval_s):
    instant = ANCHOR + timedelta(milliseconds=offset_ms)
    trigger = IntervalSchedule(timedelta(seconds=interval_s)).fire_times(ANCHOR)

    last, following = trigger.last_at_or_before(instant, first=ANCHOR), trigger.next_after(instant)

    assert last <= instant < following
    assert trigger.count(last, following) == 2


def test_late_start_of_a_run_does_not_move_the_grid_for_apscheduler():
    trigger = IntervalSchedule(timedelta(seconds=60)).fire_times(ANCHOR)
    fire_time, late = ANCHOR + timedelta(seconds=60), ANCHOR + timedelta(seconds=69)

    assert trigger.get_next_fire_time(fire_time, late) == ANCHOR + timedelta(seconds=120)
    assert trigger.get_next_fire_time(None, late) == ANCHOR + timedelta(seconds=120)


def test_an_instant_of_another_zone_means_the_same():
    trigger = IntervalSchedule(timedelta(hours=1)).fire_times(ANCHOR)
    elsewhere = ANCHOR.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert trigger.next_after(elsewhere) == ANCHOR + timedelta(hours=1)


def test_a_naive_instant_is_refused():
    trigger = IntervalSchedule(timedelta(hours=1)).fire_times(ANCHOR)

    with pytest.raises(TypeError):
        trigger.next_after(ANCHOR.replace(tzinfo=None))


def test_apscheduler_takes_the_trigger_as_one_of_its_own():
    trigger = IntervalSchedule(timedelta(days=1)).fire_times(ANCHOR)
    scheduler = BackgroundScheduler(timezone=UTC)

    scheduler.start(paused=True)
    try:
        job = scheduler.add_job(lambda: None, trigger)
        assert isinstance(trigger, BaseTrigger)
        assert (job.next_run_time - ANCHOR) % timedelta(days=1) == timedelta(0)
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "every second"),
        (59, "every 59 seconds"),
        (61, "every 61 seconds"),
        (86_400, "every day"),
        (604_800, "every week"),
        (31_536_000, "every 365 days"),
        (31_535_999, "every 31,535,999 seconds"),
    ],
)
def test_words_use_the_largest_unit_that_fits_exactly(seconds, words):
    assert IntervalSchedule(timedelta(seconds=seconds)).words() == words
