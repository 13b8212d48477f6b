"""What a run's end does to its job (reference: returns and errors, run once)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.run import Outcome, RunError, RunId, RunResult
from jobservice.domain.status import SLEEP_DURATION, StatusChange, after_run
from jobservice.schedules import IntervalSchedule

STARTED = datetime(2026, 1, 5, 12, 0, 3, tzinfo=UTC)
RECURRING = JobDefinition(name="a", path="a.lua", schedule="60")
ONCE = JobDefinition(name="a", path="a.lua", schedule="60", run_once=True)
EVERY_MINUTE = IntervalSchedule(timedelta(minutes=1))
ERRORS = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED)
NO_WORD_OF_THE_SCRIPT = (Outcome.CANCELLED, Outcome.ABANDONED, Outcome.SKIPPED, Outcome.MISFIRED)
WAITING = (JobStatus.OK, JobStatus.SLEEPING, JobStatus.STOPPED, JobStatus.ONCE_PENDING, JobStatus.ONCE_DONE)


class Mornings:
    """A calendar schedule: every day at 06:00 UTC."""

    is_interval = False

    def fire_times(self, anchor: datetime) -> Mornings:
        return self

    def next_after(self, instant: datetime) -> datetime:
        morning = instant.replace(hour=6, minute=0, second=0, microsecond=0)
        return morning if morning > instant else morning + timedelta(days=1)

    def last_at_or_before(self, instant: datetime, *, first: datetime) -> datetime:
        raise NotImplementedError

    def count(self, first: datetime, last: datetime) -> int:
        raise NotImplementedError


def change(
    outcome: Outcome,
    definition: JobDefinition = RECURRING,
    status: JobStatus = JobStatus.OK,
    *,
    sleep: timedelta | None = None,
    schedule: IntervalSchedule | Mornings = EVERY_MINUTE,
) -> StatusChange:
    error = RunError("boom") if outcome in ERRORS else None
    result = RunResult(
        run_id=RunId(1),
        fence=1,
        outcome=outcome,
        started_at=STARTED,
        finished_at=STARTED + timedelta(seconds=20),
        sleep=sleep,
        error=error,
    )
    return after_run(result, definition=definition, status=status, schedule=schedule)


@pytest.mark.parametrize("status", [JobStatus.OK, JobStatus.SLEEPING, JobStatus.STOPPED, JobStatus.INACTIVE])
def test_ok_leaves_status_and_planned_grid_alone(status):
    assert change(Outcome.OK, status=status) == StatusChange()


def test_sleep_counts_24_hours_from_the_start_of_the_run_whatever_the_interval():
    assert change(Outcome.SLEEP) == StatusChange(
        JobStatus.SLEEPING, next_fire_at=STARTED + timedelta(hours=24), sets_next=True
    )
    assert timedelta(hours=24) == SLEEP_DURATION


def test_sleep_with_a_number_of_seconds_sleeps_that_long():
    assert change(Outcome.SLEEP, sleep=timedelta(seconds=600)).next_fire_at == STARTED + timedelta(seconds=600)


def test_sleep_of_a_calendar_job_wakes_at_its_first_fire_time_from_then_on():
    woken = change(Outcome.SLEEP, schedule=Mornings()).next_fire_at

    assert woken == datetime(2026, 1, 7, 6, 0, tzinfo=UTC)


def test_sleep_that_ends_exactly_at_a_calendar_fire_time_wakes_there():
    until_six = datetime(2026, 1, 6, 6, 0, tzinfo=UTC) - STARTED

    assert change(Outcome.SLEEP, schedule=Mornings(), sleep=until_six).next_fire_at == STARTED + until_six


def test_stop_keeps_active_and_plans_nothing_more():
    stopped = change(Outcome.STOP)

    assert stopped == StatusChange(JobStatus.STOPPED, next_fire_at=None, sets_next=True)
    assert stopped.halts
    assert not stopped.deactivates


@pytest.mark.parametrize("definition", [RECURRING, ONCE], ids=["recurring", "once"])
@pytest.mark.parametrize("outcome", [Outcome.EXIT, *ERRORS])
def test_exit_and_every_error_deactivate_also_a_run_once_job(definition, outcome):
    ended = change(outcome, definition)

    assert ended == StatusChange(JobStatus.INACTIVE, next_fire_at=None, sets_next=True, deactivates=True)


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.SLEEP, Outcome.STOP])
def test_ok_sleep_and_stop_all_end_a_run_once_job_for_this_boot(outcome):
    ended = change(outcome, ONCE, JobStatus.ONCE_PENDING)

    assert ended == StatusChange(JobStatus.ONCE_DONE, next_fire_at=None, sets_next=True, ran_once=True)


@pytest.mark.parametrize("outcome", NO_WORD_OF_THE_SCRIPT)
def test_an_end_that_is_not_the_scripts_word_changes_nothing(outcome):
    assert change(outcome, RECURRING) == StatusChange()


def test_an_abandoned_run_once_is_still_pending():
    assert change(Outcome.ABANDONED, ONCE) == StatusChange()


def test_a_cancelled_run_once_has_had_its_chance_in_this_boot():
    assert change(Outcome.CANCELLED, ONCE) == StatusChange(JobStatus.ONCE_DONE, sets_next=True, ran_once=True)


@pytest.mark.parametrize("definition", [RECURRING, ONCE], ids=["recurring", "once"])
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.SLEEP, Outcome.STOP])
def test_a_run_by_hand_does_not_revive_an_inactive_job(definition, outcome):
    assert change(outcome, definition, JobStatus.INACTIVE) == StatusChange()


@pytest.mark.parametrize("status", WAITING)
def test_exit_deactivates_from_every_status(status):
    assert change(Outcome.EXIT, status=status).status is JobStatus.INACTIVE


def test_only_what_sets_the_next_fire_time_takes_armed_fire_times_back():
    assert {outcome for outcome in Outcome if change(outcome).halts} == {
        Outcome.SLEEP,
        Outcome.STOP,
        Outcome.EXIT,
        *ERRORS,
    }
