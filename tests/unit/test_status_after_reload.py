"""What a reload and a boot do to a job (reference: reload L1-L10, cases T1-T17)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.status import InForce, Loaded, after_boot, after_reload
from jobservice.schedules import parse_schedule

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LAST = NOW - timedelta(seconds=60)
JOB = JobDefinition(name="a", path="a.lua", schedule="120")
ONCE = replace(JOB, run_once=True, schedule="30")
NEW = InForce(loaded=None, status=JobStatus.OK, next_fire_at=None, anchor_at=None, ran_once_in_boot=None)
RUNNING = InForce(JOB, JobStatus.OK, LAST + timedelta(seconds=120), LAST, None)
BOOT = 7


def in_s(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def reload(before: InForce, definition: JobDefinition) -> Loaded:
    schedule = parse_schedule(definition.schedule)
    return after_reload(before, definition=definition, schedule=schedule, now=NOW, boot=BOOT)


def boot(before: InForce) -> Loaded:
    assert before.loaded is not None
    return after_boot(before, schedule=parse_schedule(before.loaded.schedule), now=NOW)


def test_new_job_first_runs_one_interval_after_its_reload():
    assert reload(NEW, JOB) == Loaded(JobStatus.OK, in_s(120), is_fresh=True)


def test_new_run_once_job_is_pending_and_runs_one_interval_after_its_reload():
    assert reload(NEW, ONCE) == Loaded(JobStatus.ONCE_PENDING, in_s(30), is_fresh=True)


@pytest.mark.parametrize("job", [JOB, ONCE], ids=["recurring", "once"])
def test_job_without_active_is_out_of_the_intervals(job):
    for before in (NEW, RUNNING, replace(RUNNING, status=JobStatus.ONCE_DONE, ran_once_in_boot=BOOT)):
        assert reload(before, replace(job, active=False)) == Loaded(JobStatus.INACTIVE, None)


def test_unchanged_schedule_keeps_the_remaining_time():
    assert reload(RUNNING, JOB) == Loaded(JobStatus.OK, in_s(60))


def test_other_edits_keep_the_remaining_time_too():
    assert reload(RUNNING, replace(JOB, path="b.lua", time_limit_s=5)) == Loaded(JobStatus.OK, in_s(60))


def test_changed_schedule_counts_from_the_last_fire_time():
    assert reload(RUNNING, replace(JOB, schedule="300")) == Loaded(JobStatus.OK, LAST + timedelta(seconds=300))


def test_shortened_schedule_whose_time_has_passed_runs_now_and_not_before():
    assert reload(RUNNING, replace(JOB, schedule="10")) == Loaded(JobStatus.OK, NOW)


def test_stopped_job_is_back_at_last_plus_interval():
    stopped = replace(RUNNING, status=JobStatus.STOPPED, next_fire_at=None)

    assert reload(stopped, JOB) == Loaded(JobStatus.OK, in_s(60))


def test_stopped_job_whose_interval_has_passed_is_back_now():
    long_ago = replace(RUNNING, status=JobStatus.STOPPED, next_fire_at=None, anchor_at=NOW - timedelta(days=300))

    assert reload(long_ago, JOB) == Loaded(JobStatus.OK, NOW)


def test_sleeping_job_keeps_the_rest_of_its_24_hours_also_with_a_new_schedule():
    asleep = replace(RUNNING, status=JobStatus.SLEEPING, next_fire_at=in_s(23 * 3_600))

    assert reload(asleep, JOB) == Loaded(JobStatus.SLEEPING, in_s(23 * 3_600))
    assert reload(asleep, replace(JOB, schedule="10")) == Loaded(JobStatus.SLEEPING, in_s(23 * 3_600))


def test_run_once_job_that_ran_in_this_boot_stays_done():
    done = InForce(ONCE, JobStatus.ONCE_DONE, None, LAST, BOOT)

    assert reload(done, ONCE) == Loaded(JobStatus.ONCE_DONE, None)
    assert reload(done, replace(ONCE, schedule="300")) == Loaded(JobStatus.ONCE_DONE, None)


def test_run_once_job_that_ran_in_an_earlier_boot_is_pending():
    pending = InForce(ONCE, JobStatus.ONCE_PENDING, in_s(12), LAST, BOOT - 1)

    assert reload(pending, ONCE) == Loaded(JobStatus.ONCE_PENDING, in_s(12))


def test_run_once_taken_off_a_done_job_makes_it_recurring_again():
    done = InForce(ONCE, JobStatus.ONCE_DONE, None, LAST, BOOT)

    assert reload(done, JOB) == Loaded(JobStatus.OK, in_s(60))


def test_recurring_job_made_run_once_is_pending_with_its_remaining_time():
    assert reload(RUNNING, replace(JOB, run_once=True)) == Loaded(JobStatus.ONCE_PENDING, in_s(60))


def test_reactivated_job_is_back_in_the_intervals_one_interval_from_now():
    inactive = replace(RUNNING, status=JobStatus.INACTIVE, next_fire_at=None)

    assert reload(inactive, JOB) == Loaded(JobStatus.OK, in_s(120), is_fresh=True)


def test_job_that_stays_inactive_is_not_revived_by_a_reload():
    inactive = replace(RUNNING, status=JobStatus.INACTIVE, next_fire_at=None)

    assert reload(inactive, replace(JOB, active=False)) == Loaded(JobStatus.INACTIVE, None)


def test_reload_long_past_a_fire_time_keeps_it_for_the_misfire_policy():
    late = replace(RUNNING, next_fire_at=NOW - timedelta(hours=5))

    assert reload(late, JOB) == Loaded(JobStatus.OK, NOW - timedelta(hours=5))


def test_boot_clears_stop_at_last_plus_interval_or_now():
    stopped = replace(RUNNING, status=JobStatus.STOPPED, next_fire_at=None)

    assert boot(stopped) == Loaded(JobStatus.OK, in_s(60))
    assert boot(replace(stopped, anchor_at=NOW - timedelta(days=9))) == Loaded(JobStatus.OK, NOW)


def test_boot_makes_run_once_pending_again_one_interval_from_now():
    done = InForce(ONCE, JobStatus.ONCE_DONE, None, LAST, BOOT - 1)

    assert boot(done) == Loaded(JobStatus.ONCE_PENDING, in_s(30), is_fresh=True)


@pytest.mark.parametrize("status", [JobStatus.OK, JobStatus.SLEEPING, JobStatus.ONCE_PENDING])
def test_boot_keeps_next_fire_times_also_those_that_have_passed(status):
    missed = replace(RUNNING, status=status, next_fire_at=NOW - timedelta(hours=2))

    assert boot(missed) == Loaded(status, NOW - timedelta(hours=2))


def test_boot_leaves_an_inactive_job_inactive():
    inactive = replace(RUNNING, status=JobStatus.INACTIVE, next_fire_at=None)

    assert boot(inactive) == Loaded(JobStatus.INACTIVE, None)
