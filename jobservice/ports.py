"""What the engine's replaceable parts must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jobservice.domain.run import RunId, RunOrder, RunResult


class Clock(Protocol):
    """The time, injected everywhere."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from some fixed point; never goes back, and counts time asleep."""
        ...


class RunEvents(Protocol):
    """Who hears from an executor.

    Called from the executor's own threads; every method returns at once and
    never raises.
    """

    def run_started(self, run_id: RunId, fence: int, started_at: datetime) -> None:
        """Note that a worker has begun the run."""
        ...

    def run_output(self, run_id: RunId, text: str, at: datetime) -> None:
        """Take a piece of the run's log: one or more whole lines, each ending in a newline."""
        ...

    def run_finished(self, result: RunResult) -> None:
        """Take the run's end; called exactly once for every submitted order."""
        ...


class Executor(Protocol):
    """Carries runs out.

    Every order that was submitted ends in exactly one ``run_finished``, also
    when its worker dies, and all its output is reported before that call.
    """

    def start(self, events: RunEvents) -> None:
        """Make ready; returns when orders can be submitted."""
        ...

    def submit(self, orders: Sequence[RunOrder]) -> None:
        """Accept orders without blocking; safe from any thread."""
        ...

    def cancel(self, run_id: RunId) -> bool:
        """End a waiting or running order as CANCELLED; False when it is not here."""
        ...

    def stop(self, grace: timedelta) -> None:
        """Refuse new orders, wait up to ``grace`` for what runs, then kill the rest.

        A run killed here is reported as ABANDONED, so that it is repeated
        where its job allows that.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScriptProblem:
    """One thing a compiler found wrong in a script.

    :ivar line: from 1.
    """

    line: int
    message: str


class ScriptChecker(Protocol):
    """Compiles a script without running it."""

    def check(self, path: str, source: str) -> Sequence[ScriptProblem]:
        """Return what is wrong with the source; empty when it compiles."""
        ...


class ScriptSource(Protocol):
    """Where scripts come from at run time."""

    def read(self, path: str) -> str | None:
        """Return the script's newest source, or None when there is none."""
        ...
