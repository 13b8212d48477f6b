"""Arms runs ahead of their fire times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.fire_plan import FirePlan, plan_fires
from jobservice.schedules import parse_schedule
from jobservice.store.planning import ArmedRun, DueJob, PlanStore

HORIZON = timedelta(seconds=2)
BATCH = 200

log = logging.getLogger(__name__)


class Planner:
    """Claims the jobs that fall due within the horizon and passes their runs on.

    :param arm: takes the armed runs; called outside any transaction.
    """

    def __init__(self, store: PlanStore, *, node_id: int, arm: Callable[[Sequence[ArmedRun]], None]) -> None:
        self._store = store
        self._node_id = node_id
        self._arm = arm

    def step(self, now: datetime) -> int:
        """Plan everything due within the horizon and lease what is queued; return how many runs were armed."""
        armed = 0
        claimed = BATCH
        while claimed == BATCH:
            runs, claimed = self._store.plan_due(
                lambda job: _plan(job, now), now=now, horizon=now + HORIZON, node_id=self._node_id, limit=BATCH
            )
            self._arm(runs)
            armed += len(runs)
        if self._store.has_queued():
            queued = self._store.lease_queued(node_id=self._node_id, limit=BATCH, now=now)
            self._arm(queued)
            armed += len(queued)
        return armed


def _plan(job: DueJob, now: datetime) -> FirePlan:
    definition = job.definition
    try:
        schedule = parse_schedule(definition.schedule)
    except InvalidInputError:
        # Another release may have stored it.  The invariant check names the job; the others go on.
        log.exception("A stored schedule is not understood", extra={"event": "bad_schedule", "job_id": job.job_id})
        return FirePlan((), None)
    return plan_fires(
        schedule.fire_times(job.next_fire_at),
        first=job.next_fire_at,
        now=now,
        horizon=now + HORIZON,
        policy=definition.misfire,
        grace=timedelta(seconds=definition.misfire_grace_s),
    )
