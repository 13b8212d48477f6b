"""An executor that does what the test says, for rules that need no Lua."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from jobservice.domain.run import Outcome, RunError, RunId, RunOrder, RunResult
from jobservice.ports import Clock, RunEvents

Behaviour = Callable[[RunOrder], Outcome | None]


class ScriptedExecutor:
    """Ends each run at once as ``behaviour`` says; None keeps it running until ``finish``."""

    def __init__(self, clock: Clock, behaviour: Behaviour = lambda _: Outcome.OK) -> None:
        self.clock = clock
        self.behaviour = behaviour
        self.orders: list[RunOrder] = []
        self.running: dict[RunId, RunOrder] = {}
        self._events: RunEvents | None = None

    def start(self, events: RunEvents) -> None:
        self._events = events

    def submit(self, orders: Sequence[RunOrder]) -> None:
        for order in orders:
            self.orders.append(order)
            self.running[order.run_id] = order
            assert self._events is not None
            self._events.run_started(order.run_id, order.fence, self.clock.now())
            outcome = self.behaviour(order)
            if outcome is not None:
                self.finish(order.run_id, outcome)

    def finish(self, run_id: RunId, outcome: Outcome, *, sleep: timedelta | None = None, note: str = "") -> None:
        order = self.running.pop(run_id)
        now = self.clock.now()
        failed = outcome in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED}
        assert self._events is not None
        self._events.run_finished(
            RunResult(
                run_id=run_id,
                fence=order.fence,
                outcome=outcome,
                started_at=now,
                finished_at=now,
                sleep=sleep,
                note=note,
                error=RunError("boom", order.path, 1) if failed else None,
            )
        )

    def cancel(self, run_id: RunId) -> bool:
        if run_id not in self.running:
            return False
        self.finish(run_id, Outcome.CANCELLED)
        return True

    def stop(self, grace: timedelta) -> None:
        for run_id in list(self.running):
            self.finish(run_id, Outcome.ABANDONED)
