"""The running service: its loops, wired for one node and one boot."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from jobservice.loops.dispatcher import Dispatcher
from jobservice.loops.housekeeping import LEASE, Heartbeat, InvariantCheck, Reaper, Retention
from jobservice.loops.planner import Planner
from jobservice.loops.recorder import Recorder
from jobservice.loops.reloader import Reloader
from jobservice.loops.scripts import ScriptCache
from jobservice.ports import Clock, Executor
from jobservice.settings import Settings
from jobservice.store.history import HistoryStore
from jobservice.store.loading import LoadStore
from jobservice.store.nodes import ALIVE, NodeState, NodeStore
from jobservice.store.planning import PlanStore
from jobservice.store.recording import RecordStore
from jobservice.store.runs import RunStore

log = logging.getLogger(__name__)

RELEASE = "0.1.0"


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that the engine works on."""

    plans: PlanStore
    runs: RunStore
    records: RecordStore
    history: HistoryStore
    loads: LoadStore
    nodes: NodeStore


class Engine:
    """One node's loops.  Each has a step; ``Supervisor`` calls them in time, tests call them by hand.

    :param missing_hardening: which layers of protection this machine lacks, in words; asked once the
        executor is ready.
    :param alone: no other service can work on this database, because the
        caller holds the lock on its file.
    """

    def __init__(
        self,
        stores: Stores,
        scripts: ScriptCache,
        executor: Executor,
        clock: Clock,
        settings: Settings,
        *,
        missing_hardening: Callable[[], Sequence[str]] = tuple,
        alone: bool,
    ) -> None:
        now = clock.now()
        self._stores = stores
        self._executor = executor
        self._missing_hardening = missing_hardening
        self.clock = clock
        if not alone:
            _bury_dead_on_this_host(stores.nodes, stores.runs, now)
        self.node_id, self.boot, self.is_new_boot = stores.nodes.join(
            hostname=socket.gethostname(),
            pid=os.getpid(),
            process_space=_process_space(),
            release=RELEASE,
            now=now,
            lease_expires_at=now + LEASE,
            alone=alone,
        )
        self.recorder = Recorder(stores.records, boot=self.boot)
        self.dispatcher = Dispatcher(
            stores.runs,
            scripts,
            node_id=self.node_id,
            zone=settings.timezone,
            executor=executor,
            recorder=self.recorder,
            lease_is_valid=lambda: self.heartbeat.lease_is_valid(),  # noqa: PLW0108 - made further down
        )
        self.recorder.on_recorded = self.dispatcher.recorded
        self.heartbeat = Heartbeat(stores.nodes, self.dispatcher, node_id=self.node_id, clock=clock)
        self.planner = Planner(stores.plans, node_id=self.node_id, arm=self.dispatcher.arm)
        self.reaper = Reaper(
            stores.nodes, stores.runs, self.dispatcher, self.heartbeat, node_id=self.node_id, alone=alone
        )
        self.invariant = InvariantCheck(stores.loads)
        self.retention = Retention(
            stores.history, days=settings.history_days, runs_per_job=settings.history_runs_per_job
        )
        self.reloader = Reloader(
            stores.loads, stores.nodes, node_id=self.node_id, boot=self.boot, settle=self.recorder.step
        )

    def start(self) -> None:
        """Close what dead services left, begin the boot if it is a new one, and make the executor ready."""
        now = self.clock.now()
        self.reaper.step(now)
        if self.is_new_boot:
            self.reloader.boot_step(now)
        self._executor.start(self.dispatcher)
        missing = self._missing_hardening()
        for layer in missing:
            log.warning("Scripts run without one layer of protection: %s", layer, extra={"event": "hardening"})
        self._stores.nodes.set_missing_hardening(self.node_id, missing)

    def tick(self, now: datetime) -> None:
        """Serve requests and plan ahead; what the supervisor calls four times a second and on every ring."""
        self.reaper.cancel_step()
        if not self.heartbeat.lease_is_valid():
            return  # Others may have buried this node, and would not look for what it takes now.
        self.reloader.step(now)
        self.planner.step(now)

    def stop(self, grace: timedelta) -> None:
        """Hand back what has not started, give what runs ``grace`` to finish, and leave."""
        self._stores.nodes.set_state(self.node_id, NodeState.STOPPING, now=self.clock.now())
        self.dispatcher.give_back()
        self._stores.nodes.hand_back(self.node_id)
        self._executor.stop(grace)
        now = self.clock.now()
        self.recorder.step(now)
        self._stores.nodes.hand_back(self.node_id)
        self._stores.nodes.set_state(self.node_id, NodeState.STOPPED, now=now)


def _process_space() -> str:
    """Name the space in which a process id of this machine means something: one boot, one pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _bury_dead_on_this_host(nodes: NodeStore, runs: RunStore, now: datetime) -> None:
    """Close services of this machine whose process is gone, without waiting for their leases."""
    here = _process_space()
    gone = [
        node.node_id
        for node in nodes.newest()
        if node.state in ALIVE and node.process_space == here != "" and not _process_exists(node.pid)
    ]
    if gone:
        while runs.close_lost(gone, now=now, limit=200):
            pass
        nodes.bury(gone, now=now)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
