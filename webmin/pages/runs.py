"""Pages about runs."""

from __future__ import annotations

from dataclasses import dataclass

from jobservice.domain.run import CRITICAL_OUTCOMES, Outcome, RunState
from jobservice.read_models import RunOutput, RunView
from webmin.filters import duration
from webmin.pages.badges import CAUSES, Badge, run_badge

_ENDINGS = {
    Outcome.OK: "Finished OK",
    Outcome.SLEEP: "Finished and asked to sleep",
    Outcome.STOP: "Finished and asked to stop until a reload",
    Outcome.EXIT: "Finished and asked to be deactivated",
    Outcome.FAILED: "Failed",
    Outcome.TIMED_OUT: "Ended at its time limit",
    Outcome.KILLED: "Killed",
    Outcome.CANCELLED: "Cancelled",
    Outcome.ABANDONED: "Abandoned because the job service died",
    Outcome.MISFIRED: "Not started: its time passed while nothing could run",
    Outcome.SKIPPED: "Not started: the job was still running",
}
_STANDINGS = {
    RunState.QUEUED: "Waiting until the job service runs and the job is free",
    RunState.LEASED: "Ready; it starts at its time",
    RunState.RUNNING: "The script is running now",
}


@dataclass(frozen=True, slots=True)
class RunShowPage:
    """One run with its log.

    :ivar output: part of the log; ``after`` is where this part begins.
    """

    run: RunView
    badge: Badge
    verdict: str
    cause: str
    output: RunOutput
    after: int

    @classmethod
    def of(cls, run: RunView, output: RunOutput, after: int) -> RunShowPage:
        """Return the page that shows ``run``."""
        return cls(run, run_badge(run.row), _verdict(run), CAUSES[run.row.cause], output, after)

    @property
    def is_going_on(self) -> bool:
        """Whether the run has not ended."""
        return self.run.row.outcome is None

    @property
    def has_failed(self) -> bool:
        """Whether the script is to blame."""
        return self.run.row.outcome in CRITICAL_OUTCOMES

    @property
    def live(self) -> str:
        """Whether asking again brings something: ``more`` at once, ``yes`` later, or ``no``."""
        if self.output.more:
            return "more"
        return "yes" if self.is_going_on else "no"


def _verdict(run: RunView) -> str:
    row = run.row
    if row.outcome is None:
        if run.cancel_requested:
            return "Being cancelled."
        return f"{_STANDINGS.get(row.state, 'Running')}."
    took = f" after {duration(row.duration)}" if row.duration is not None else ""
    deactivated = row.outcome in CRITICAL_OUTCOMES or row.outcome is Outcome.EXIT
    return f"{_ENDINGS[row.outcome]}{took}{'; this deactivated the job' if deactivated else ''}."
