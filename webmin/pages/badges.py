"""How statuses, states and outcomes look: an icon, a tone, a word, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

from jobservice.domain.job import JobStatus
from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.read_models import RunRow, ServiceState


@dataclass(frozen=True, slots=True)
class Badge:
    """A status for people who see colours, icons or words.

    :ivar icon: Font Awesome name without ``fa-``.
    :ivar tone: modifier of the CSS block ``state-mark``.
    :ivar hint: hover text: what it means.
    """

    icon: str
    tone: str
    word: str
    hint: str


JOB_STATUSES = {
    JobStatus.OK: Badge("check", "good", "OK", "Active: it runs on its schedule."),
    JobStatus.SLEEPING: Badge(
        "hourglass-end",
        "good",
        "Sleeping",
        "Active: the script returned SLEEP, so it runs again 24 hours after its last run, or when it said.",
    ),
    JobStatus.STOPPED: Badge(
        "sync-alt", "waiting", "Stopped", "Still active, but the script returned STOP: it will not run until a reload."
    ),
    JobStatus.INACTIVE: Badge("ban", "bad", "Inactive", "Not active: it will not run until somebody reactivates it."),
    JobStatus.ONCE_PENDING: Badge("hourglass-start", "good", "Once: waiting", "Run Once: it has not run yet."),
    JobStatus.ONCE_DONE: Badge(
        "coffee", "quiet", "Once: done", "Run Once: it has run, and runs again only after a restart of the job service."
    ),
}

OUTCOMES = {
    Outcome.OK: Badge("check", "good", "OK", "The script returned OK."),
    Outcome.SLEEP: Badge("hourglass-end", "good", "Sleep", "The script returned SLEEP."),
    Outcome.STOP: Badge("sync-alt", "waiting", "Stop", "The script returned STOP: the job waits for a reload."),
    Outcome.EXIT: Badge("ban", "bad", "Exit", "The script returned EXIT: the job was deactivated."),
    Outcome.FAILED: Badge("circle-xmark", "bad", "Failed", "An error ended it; the job was deactivated."),
    Outcome.TIMED_OUT: Badge("stopwatch", "bad", "Timed out", "It ran longer than its time limit and was ended."),
    Outcome.KILLED: Badge("skull", "bad", "Killed", "It crashed its worker, or broke a limit."),
    Outcome.CANCELLED: Badge(
        "hand", "quiet", "Cancelled", "Cancelled by somebody, or taken back by an earlier return."
    ),
    Outcome.ABANDONED: Badge("plug-circle-xmark", "waiting", "Abandoned", "Cut short through no fault of its script."),
    Outcome.MISFIRED: Badge("clock", "waiting", "Missed", "Its time passed while nothing could run."),
    Outcome.SKIPPED: Badge("forward", "quiet", "Skipped", "The job was still running when its time came."),
}

RUN_STATES = {
    RunState.QUEUED: Badge("list", "quiet", "Waiting", "It waits for the job service."),
    RunState.LEASED: Badge("clock", "quiet", "Due soon", "The job service holds it ready for its time."),
    RunState.RUNNING: Badge("spinner", "running", "Running", "It is running now."),
}

SERVICE_STATES = {
    ServiceState.RUNNING: Badge("circle-play", "good", "Running", "Jobs run on their schedules."),
    ServiceState.RELOADING: Badge("rotate", "waiting", "Reloading", "Edited jobs are being taken into force."),
    ServiceState.STOPPING: Badge("circle-pause", "waiting", "Stopping", "Runs end; no new ones start."),
    ServiceState.STOPPED: Badge("circle-stop", "bad", "Stopped", "No job runs until the job service is started."),
    ServiceState.NEVER_STARTED: Badge(
        "circle-stop", "bad", "Not started", "The job service has never run on this database."
    ),
}

CAUSES = {
    Cause.SCHEDULE: "On schedule",
    Cause.HAND: "By hand",
    Cause.RETRY: "Repeated after a crash",
}


def run_badge(row: RunRow) -> Badge:
    """Return how a run looks: by its outcome once it has one, else by its state."""
    if row.outcome is not None:
        return OUTCOMES[row.outcome]
    return RUN_STATES.get(row.state, RUN_STATES[RunState.QUEUED])
