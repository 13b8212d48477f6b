"""Takes edited definitions into force when somebody asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.status import InForce, Loaded, after_boot, after_reload
from jobservice.schedules import parse_schedule
from jobservice.store.loading import LoadStore
from jobservice.store.nodes import NodeState, NodeStore

log = logging.getLogger(__name__)


class Reloader:
    """Serves reload requests, one at a time.

    :param settle: brings what runs have already done onto the record, so
        that the reload decides from facts.
    """

    def __init__(
        self, loads: LoadStore, nodes: NodeStore, *, node_id: int, boot: int, settle: Callable[[datetime], object]
    ) -> None:
        self._loads = loads
        self._nodes = nodes
        self._node_id = node_id
        self._boot = boot
        self._settle = settle

    def step(self, now: datetime) -> int | None:
        """Do the reload that was asked for; return how many jobs were loaded, or None when nobody asked."""
        requests = self._nodes.take_reload(self._node_id)
        if not requests:
            return None
        self._nodes.set_state(self._node_id, NodeState.RELOADING, now=now)
        self._settle(now)
        loaded = self._loads.reload(lambda before, definition: self._load(before, definition, now), now=now)
        self._nodes.finish_reload(requests, node_id=self._node_id, now=now)
        log.info("Reloaded", extra={"event": "reloaded", "jobs": loaded})
        return loaded

    def _load(self, before: InForce, definition: JobDefinition, now: datetime) -> Loaded:
        try:
            schedule = parse_schedule(definition.schedule)
        except InvalidInputError:
            log.exception(
                "A stored schedule is not understood", extra={"event": "bad_schedule", "job": definition.name}
            )
            return Loaded(JobStatus.INACTIVE, None)
        return after_reload(before, definition=definition, schedule=schedule, now=now, boot=self._boot)

    def boot_step(self, now: datetime) -> None:
        """Begin a boot: clear STOP, make Run Once pending again."""

        def start(before: InForce) -> Loaded:
            assert before.loaded is not None  # noqa: S101 - the store asks for loaded jobs alone
            try:
                schedule = parse_schedule(before.loaded.schedule)
            except InvalidInputError:
                log.exception(
                    "A stored schedule is not understood", extra={"event": "bad_schedule", "job": before.loaded.name}
                )
                return Loaded(JobStatus.INACTIVE, None)
            return after_boot(before, schedule=schedule, now=now)

        self._loads.boot(start, now=now)
