"""How a job's status and next fire time follow from what happens to it.

The rules are Coronium's, with this project's decisions where its documents
are silent; ``docs/rules.md`` states them for users.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobservice.domain.fire_plan import Schedule
from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.run import CRITICAL_OUTCOMES, Outcome, RunResult

SLEEP_DURATION = timedelta(hours=24)
"""How long SLEEP lasts unless the script says otherwise."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What a finished run does to its job.

    :ivar status: the new status, or None when it stays.
    :ivar next_fire_at: the new next fire time; meaningful when ``sets_next``.
    :ivar sets_next: whether ``next_fire_at`` replaces the planned one.
    :ivar deactivates: whether the job's Active flag goes OFF.
    :ivar ran_once: whether a Run Once job has had its run of this boot.
    """

    status: JobStatus | None = None
    next_fire_at: datetime | None = None
    sets_next: bool = False
    deactivates: bool = False
    ran_once: bool = False

    @property
    def halts(self) -> bool:
        """Whether fire times that are armed already must not start."""
        return self.sets_next


def after_run(result: RunResult, *, definition: JobDefinition, status: JobStatus, schedule: Schedule) -> StatusChange:
    """Return what a run's end does to its job.

    OK leaves the planned grid alone: it is counted from fire times, so that
    intervals do not drift, and a run by hand does not shift it.  SLEEP counts
    24 hours from the start of the run; with a calendar schedule the first
    fire time from then on.  STOP and EXIT plan nothing more.  An error, a
    time-out or a broken worker deactivates like EXIT.  A cancelled or
    abandoned run changes nothing, for neither is the script's word; but a
    Run Once job whose run was cancelled has had its chance in this boot.

    :param status: the job's status when the run ended.
    :param definition: the definition that was in force.
    """
    outcome = result.outcome
    if outcome is Outcome.EXIT or outcome in CRITICAL_OUTCOMES:
        return StatusChange(JobStatus.INACTIVE, sets_next=True, deactivates=True)
    if status is JobStatus.INACTIVE or outcome is Outcome.ABANDONED:
        return StatusChange()
    if definition.run_once:
        return StatusChange(JobStatus.ONCE_DONE, sets_next=True, ran_once=True)
    if outcome is Outcome.STOP:
        return StatusChange(JobStatus.STOPPED, sets_next=True)
    if outcome is Outcome.SLEEP:
        wake = result.started_at + (result.sleep or SLEEP_DURATION)
        return StatusChange(JobStatus.SLEEPING, next_fire_at=_wake_time(schedule, wake), sets_next=True)
    return StatusChange()


def _wake_time(schedule: Schedule, wake: datetime) -> datetime | None:
    """Return ``wake`` itself for an interval, else the calendar's first fire time from then on."""
    if schedule.is_interval:
        return wake
    return schedule.fire_times(wake).next_after(wake - timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class InForce:
    """A job's state as the service works with it.

    :ivar loaded: the definition loaded last, or None.
    :ivar anchor_at: from when its interval counts: the last fire time that was started, or when the job
        was loaded first; None before that.
    :ivar ran_once_in_boot: boot in which a Run Once job had its run, or None.
    """

    loaded: JobDefinition | None
    status: JobStatus
    next_fire_at: datetime | None
    anchor_at: datetime | None
    ran_once_in_boot: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a reload leaves: status, next fire time and whether the interval starts anew from now."""

    status: JobStatus
    next_fire_at: datetime | None
    is_fresh: bool = False


def after_reload(before: InForce, *, definition: JobDefinition, schedule: Schedule, now: datetime, boot: int) -> Loaded:
    """Return a job's state after its edited definition was taken into force.

    A new or revived job first runs one interval from now.  An unchanged
    schedule keeps its next fire time, and so its remaining time.  A changed
    one counts from the last fire time by the new rule, not before now.  A
    stopped job is back at max(now, last + interval).  A Run Once job that
    ran in this boot stays done; an inactive one stays inactive.
    """
    if not definition.active:
        return Loaded(JobStatus.INACTIVE, None)
    if definition.run_once and before.ran_once_in_boot == boot:
        return Loaded(JobStatus.ONCE_DONE, None)
    waiting = JobStatus.ONCE_PENDING if definition.run_once else JobStatus.OK
    if before.loaded is None or before.status is JobStatus.INACTIVE or before.anchor_at is None:
        return Loaded(waiting, first_fire(schedule, now), is_fresh=True)
    if before.status is JobStatus.SLEEPING and not definition.run_once:
        return Loaded(JobStatus.SLEEPING, before.next_fire_at)
    same_schedule = before.loaded.schedule == definition.schedule
    if same_schedule and before.next_fire_at is not None:
        return Loaded(waiting, before.next_fire_at)
    return Loaded(waiting, _resume(schedule, before.anchor_at, now))


def after_boot(before: InForce, *, schedule: Schedule, now: datetime) -> Loaded:
    """Return a job's state when the service starts.

    STOP is cleared and Run Once is pending again, one interval from now.
    Everything else keeps its next fire time, so that fire times missed
    while the service was down are seen and handled by the job's policy.
    """
    if before.status is JobStatus.STOPPED:
        base = before.anchor_at or now
        return Loaded(JobStatus.OK, _resume(schedule, base, now))
    if before.status is JobStatus.ONCE_DONE:
        return Loaded(JobStatus.ONCE_PENDING, first_fire(schedule, now), is_fresh=True)
    return Loaded(before.status, before.next_fire_at)


def first_fire(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the first fire time of a job that starts to count now."""
    return schedule.fire_times(now).next_after(now)


def _resume(schedule: Schedule, anchor: datetime, now: datetime) -> datetime | None:
    """Return the first fire time counted from the last one, or now when that has passed."""
    resumed = schedule.fire_times(anchor).next_after(anchor)
    return None if resumed is None else max(now, resumed)
