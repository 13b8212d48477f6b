"""What becomes of fire times: every one is accounted for, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.domain.fire_plan import CATCH_UP_LIMIT, FirePlan, PlannedFire, plan_fires
from jobservice.domain.job import MisfirePolicy
from jobservice.schedules import IntervalSchedule
from jobservice.schedules.interval import IntervalTrigger

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GRACE = timedelta(minutes=5)
TICK = timedelta(microseconds=1)


def plan(
    first: datetime,
    now: datetime,
    *,
    policy: MisfirePolicy = MisfirePolicy.LAST,
    grace: timedelta = GRACE,
    ahead: timedelta = timedelta(0),
    interval: timedelta = MINUTE,
) -> FirePlan:
    fire_times = IntervalSchedule(interval).fire_times(first)
    return plan_fires(fire_times, first=first, now=now, horizon=now + ahead, policy=policy, grace=grace)


@pytest.mark.parametrize("policy", MisfirePolicy)
def test_fire_time_ahead_becomes_one_run_whatever_the_policy(policy):
    planned = plan(NOON + TICK, NOON, policy=policy, ahead=timedelta(seconds=2))

    assert planned.fires == (PlannedFire(NOON + TICK, NOON + TICK, 1),)
    assert planned.next_fire_at == NOON + TICK + MINUTE


def test_nothing_due_plans_nothing_and_keeps_the_next_fire_time():
    planned = plan(NOON + MINUTE, NOON, ahead=timedelta(seconds=2))

    assert planned == FirePlan((), NOON + MINUTE)


def test_fire_time_exactly_at_the_horizon_is_planned_and_one_past_it_is_not():
    at_horizon = plan(NOON + timedelta(seconds=2), NOON, ahead=timedelta(seconds=2))
    past_horizon = plan(NOON + timedelta(seconds=2) + TICK, NOON, ahead=timedelta(seconds=2))

    assert len(at_horizon.fires) == 1
    assert past_horizon.fires == ()


def test_fire_time_exactly_now_is_one_run():
    assert plan(NOON, NOON).fires == (PlannedFire(NOON, NOON, 1),)


def test_last_starts_one_run_that_stands_for_all_late_fire_times():
    planned = plan(NOON, NOON + 10 * MINUTE, policy=MisfirePolicy.LAST)

    assert planned.fires == (PlannedFire(NOON + 10 * MINUTE, NOON, 11),)
    assert planned.next_fire_at == NOON + 11 * MINUTE


def test_last_starts_however_late():
    planned = plan(NOON, NOON + timedelta(hours=9, seconds=1), interval=timedelta(days=1), grace=timedelta(seconds=1))

    assert planned.fires == (PlannedFire(NOON, NOON, 1),)


def test_skip_starts_a_fire_time_exactly_at_grace():
    planned = plan(NOON, NOON + GRACE, policy=MisfirePolicy.SKIP, interval=timedelta(hours=1))

    assert planned.fires == (PlannedFire(NOON, NOON, 1),)


def test_skip_misfires_a_fire_time_just_past_grace():
    planned = plan(NOON, NOON + GRACE + TICK, policy=MisfirePolicy.SKIP, interval=timedelta(hours=1))

    assert planned.fires == (PlannedFire(NOON, NOON, 1, misfired=True),)


def test_skip_records_the_stale_ones_and_starts_one_run_for_the_others():
    planned = plan(NOON, NOON + 10 * MINUTE, policy=MisfirePolicy.SKIP)

    assert planned.fires == (
        PlannedFire(NOON + 4 * MINUTE, NOON, 5, misfired=True),
        PlannedFire(NOON + 10 * MINUTE, NOON + 5 * MINUTE, 6),
    )


def test_all_starts_one_run_for_each():
    planned = plan(NOON, NOON + 3 * MINUTE, policy=MisfirePolicy.ALL)

    assert planned.fires == tuple(PlannedFire(NOON + n * MINUTE, NOON + n * MINUTE, 1) for n in range(4))


@pytest.mark.parametrize(("late", "misfired"), [(CATCH_UP_LIMIT, 0), (CATCH_UP_LIMIT + 1, 1)])
def test_all_catches_up_the_newest_hundred_at_most(late, misfired):
    planned = plan(NOON, NOON + (late - 1) * MINUTE, policy=MisfirePolicy.ALL)

    runs = [fire for fire in planned.fires if not fire.misfired]
    assert len(runs) == CATCH_UP_LIMIT
    assert runs[-1].fire_time == NOON + (late - 1) * MINUTE
    assert sum(fire.fire_count for fire in planned.fires if fire.misfired) == misfired


class Counting:
    """Fire times that count how often they were asked."""

    def __init__(self, fire_times: IntervalTrigger) -> None:
        self.fire_times = fire_times
        self.asked = 0

    def next_after(self, instant: datetime) -> datetime | None:
        self.asked += 1
        return self.fire_times.next_after(instant)

    def last_at_or_before(self, instant: datetime, *, first: datetime) -> datetime:
        self.asked += 1
        return self.fire_times.last_at_or_before(instant, first=first)

    def count(self, first: datetime, last: datetime) -> int:
        self.asked += 1
        return self.fire_times.count(first, last)


@pytest.mark.parametrize("policy", MisfirePolicy)
def test_a_standstill_of_ten_years_costs_no_more_than_one_of_an_hour(policy):
    fire_times = Counting(IntervalTrigger(timedelta(seconds=1), NOON))
    now = NOON + timedelta(days=3_650)

    planned = plan_fires(fire_times, first=NOON, now=now, horizon=now, policy=policy, grace=GRACE)

    assert fire_times.asked < 4 * CATCH_UP_LIMIT
    assert sum(fire.fire_count for fire in planned.fires) == 3_650 * 86_400 + 1


def test_a_schedule_that_has_run_out_leaves_no_next_fire_time():
    class Once:
        def next_after(self, instant: datetime) -> datetime | None:
            return NOON if instant < NOON else None

        def last_at_or_before(self, instant: datetime, *, first: datetime) -> datetime:
            return first

        def count(self, first: datetime, last: datetime) -> int:
            return 1

    planned = plan_fires(Once(), first=NOON, now=NOON, horizon=NOON, policy=MisfirePolicy.LAST, grace=GRACE)

    assert planned == FirePlan((PlannedFire(NOON, NOON, 1),), None)


@given(
    policy=st.sampled_from(MisfirePolicy),
    interval_s=st.integers(1, 500),
    late_s=st.integers(-100, 50_000),
    ahead_s=st.integers(0, 600),
    grace_s=st.integers(1, 3_600),
)
def test_every_fire_time_up_to_the_horizon_is_accounted_for_once(policy, interval_s, late_s, ahead_s, grace_s):
    now, interval, grace = NOON, timedelta(seconds=interval_s), timedelta(seconds=grace_s)
    first, horizon = now - timedelta(seconds=late_s), now + timedelta(seconds=ahead_s)

    planned = plan(first, now, policy=policy, grace=grace, ahead=horizon - now, interval=interval)

    expected = first
    for fire in planned.fires:
        assert fire.first_fire_time == expected, "fire times follow each other without a gap"
        assert fire.fire_time == fire.first_fire_time + (fire.fire_count - 1) * interval
        expected = fire.fire_time + interval
    assert planned.next_fire_at == expected
    assert expected > horizon
    assert all(fire.fire_time <= horizon for fire in planned.fires)
    assert not any(fire.misfired and fire.fire_time > now for fire in planned.fires), "nothing ahead misfires"
    if policy is MisfirePolicy.LAST:
        assert not any(fire.misfired for fire in planned.fires)
    if policy is MisfirePolicy.SKIP:
        assert all((now - fire.fire_time > grace) == fire.misfired for fire in planned.fires)
    if policy is MisfirePolicy.ALL:
        assert all(fire.misfired or fire.fire_count == 1 for fire in planned.fires)
