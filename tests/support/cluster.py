"""Services on one database that a test steps, freezes and kills by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, func, select, update

from jobservice.bootstrap import build_engine
from jobservice.domain.job import JobId
from jobservice.domain.run import Outcome, RunOrder, RunState
from jobservice.loops.planner import HORIZON
from jobservice.loops.scripts import ScriptCache
from jobservice.settings import Settings
from jobservice.store import tables as t
from jobservice.testing import FakeClock
from tests.support.moontide import Moontide
from tests.support.scripted_executor import Behaviour, ScriptedExecutor

_MOST_ROUNDS = 4
LEASE_TICK_S = 2.0
TAKEOVER_S = 12
"""By then a living node has noticed that another one is dead, and has closed what it left."""


def keeps_running(_: RunOrder) -> Outcome | None:
    """Leave a run going on until the test finishes it."""
    return None


class Node:
    """One service process: an engine and its executor.  Killing it is dropping it."""

    def __init__(self, cluster: Cluster, *, alone: bool, behaviour: Behaviour | None) -> None:
        self.clock = cluster.clock
        self.executor = ScriptedExecutor(self.clock, behaviour) if behaviour else ScriptedExecutor(self.clock)
        self.engine = build_engine(
            cluster.database, ScriptCache(cluster.scripts), self.executor, self.clock, cluster.settings, alone=alone
        )
        self.engine.start()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def beat(self) -> None:
        self.engine.heartbeat.step(self.now)

    def reap(self) -> int:
        return self.engine.reaper.step(self.now)

    def tick(self) -> None:
        self.engine.tick(self.now)

    def claim(self) -> None:
        self.engine.dispatcher.claim_step(self.now)

    def hand_over(self) -> None:
        self.engine.dispatcher.hand_over_step(self.now)

    def record(self) -> int:
        return self.engine.recorder.step(self.now)

    def step(self) -> None:
        """Let every loop run at the present instant, until nothing more happens."""
        self.beat()
        self.reap()
        for _ in range(_MOST_ROUNDS):
            held, handed_over = self.engine.dispatcher.known(), len(self.executor.orders)
            self.tick()
            self.claim()
            self.hand_over()
            recorded = self.record()
            is_quiet = not recorded and len(self.executor.orders) == handed_over
            if is_quiet and self.engine.dispatcher.known() == held:
                return

    def finish(self, outcome: Outcome = Outcome.OK) -> None:
        """End everything that this node's executor is running."""
        for run_id in list(self.executor.running):
            self.executor.finish(run_id, outcome)


class Cluster(Moontide):
    """The verbs and read models of ``Moontide`` over any number of nodes."""

    def __init__(self, settings: Settings, clock: FakeClock) -> None:
        super().__init__(settings, ScriptedExecutor(clock), clock)
        if self.database.is_sqlite:
            # Nobody pulls the plug during these tests, so no commit need wait for the disk.
            event.listen(self.database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
        self.nodes_alive: list[Node] = []
        self.orders: list[RunOrder] = []
        """What was ever handed over at nodes that are dead by now."""

    @property
    def node(self) -> Node:
        """The only living node."""
        (node,) = self.nodes_alive
        return node

    def start_node(self, behaviour: Behaviour | None = None, *, alone: bool | None = None) -> Node:
        """Start a service as a new process would, alone where the database is an SQLite file."""
        node = Node(self, alone=self.database.is_sqlite if alone is None else alone, behaviour=behaviour)
        self.nodes_alive.append(node)
        return node

    def kill(self, node: Node) -> None:
        """End a node as kill -9 does: nothing in its memory reaches the database any more."""
        self.nodes_alive.remove(node)
        self.orders.extend(node.executor.orders)

    def kill_and_boot(self, behaviour: Behaviour | None = None) -> Node:
        """Kill the only node and start another one, which takes over what it left."""
        self.kill(self.node)
        node = self.start_node(behaviour)
        if not self.database.is_sqlite:
            # The process id of the dead one is this test's own, so only its lease tells that it is gone.
            self.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)
        return node

    def step(self) -> None:
        for node in self.nodes_alive:
            node.step()

    def advance(self, duration: timedelta | float, *, tick_s: float | None = None) -> None:
        """Move the clock on, stepping every node when something is due and, with several nodes, as leases need it."""
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        end = self.clock.now() + timedelta(seconds=seconds)
        self.step()
        while (now := self.clock.now()) < end:
            moments = [end, *self._due_after(now)]
            if tick_s is not None or len(self.nodes_alive) > 1:
                moments.append(now + timedelta(seconds=tick_s or LEASE_TICK_S))
            self.clock.move_to(min(moments))
            self.step()

    def advance_to(self, instant: datetime) -> None:
        self.advance(instant - self.clock.now())

    def _due_after(self, now: datetime) -> list[datetime]:
        planned = select(func.min(t.job_state.c.next_fire_at)).where(t.job_state.c.next_fire_at > now + HORIZON)
        armed = select(func.min(t.run.c.fire_time)).where(t.run.c.state == RunState.LEASED, t.run.c.fire_time > now)
        with self.database.read() as connection:
            to_plan, to_start = connection.execute(planned).scalar(), connection.execute(armed).scalar()
        return [instant for instant in (to_plan and to_plan - HORIZON, to_start) if instant]

    def all_orders(self) -> list[RunOrder]:
        return self.orders + [order for node in self.nodes_alive for order in node.executor.orders]

    def starts_of(self, job_id: JobId) -> int:
        """Return how often an executor was given a run of this job."""
        return sum(order.job_id == job_id for order in self.all_orders())

    def run_rows(self, job_id: JobId | None = None) -> list[Any]:
        """Return run rows as stored, by fire time and attempt."""
        query = select(t.run).order_by(t.run.c.job_id, t.run.c.fire_time, t.run.c.attempt)
        if job_id is not None:
            query = query.where(t.run.c.job_id == job_id)
        with self.database.read() as connection:
            return list(connection.execute(query).all())

    def planned_up_to(self, job_id: JobId) -> datetime | None:
        """Return the first fire time that is not planned yet; the job list shows the first that has not started."""
        with self.database.read() as connection:
            state = select(t.job_state.c.next_fire_at).where(t.job_state.c.job_id == job_id)
            return connection.execute(state).scalar_one()

    def check_history(self, job_id: JobId, *, interval_s: float) -> None:
        """Check that every fire time up to the next one is on record once, and nothing was started twice."""
        check_history(self.run_rows(job_id), interval_s=interval_s, until=self.planned_up_to(job_id))
        check_nothing_started_twice(self.all_orders())

    def set_state(self, job_id: JobId, **values: Any) -> None:
        """Write into a job's state behind the service's back."""
        with self.database.write() as connection:
            connection.execute(update(t.job_state).where(t.job_state.c.job_id == job_id).values(**values))


def outcomes(rows: Sequence[Any]) -> list[tuple[int, str | None]]:
    """Return (attempt, outcome) of each row."""
    return [(row.attempt, row.outcome) for row in rows]


def check_history(rows: Sequence[Any], *, interval_s: float, until: datetime | None = None) -> None:
    """Check that a job's scheduled fire times follow one another without a gap and without an overlap.

    :param rows: as ``Cluster.run_rows`` returns them, of one job.
    :param until: the job's next fire time, which must come right after the last row.
    """
    interval = timedelta(seconds=interval_s)
    firsts = [row for row in rows if row.attempt == 1 and row.cause == "schedule"]
    assert firsts, "nothing is on record"
    expected = firsts[0].first_fire_time
    for row in firsts:
        assert row.first_fire_time == expected, f"a gap or an overlap before {row.first_fire_time}"
        assert row.fire_count == (row.fire_time - row.first_fire_time) // interval + 1
        expected = row.fire_time + interval
    if until is not None:
        assert expected == until
    check_attempts(rows)


def check_attempts(rows: Sequence[Any]) -> None:
    """Check that a fire time is tried again only after an attempt that was cut short, and goes well at most once."""
    tries: defaultdict[tuple[int, datetime], list[Any]] = defaultdict(list)
    for row in rows:
        tries[row.job_id, row.fire_time].append(row)
    for attempts in tries.values():
        assert [row.attempt for row in attempts] == list(range(1, len(attempts) + 1))
        assert all(row.outcome == Outcome.ABANDONED for row in attempts[:-1])


def check_nothing_started_twice(orders: Sequence[RunOrder]) -> None:
    """Check that no attempt was handed to an executor more than once."""
    counts = Counter(order.run_id for order in orders)
    assert [run_id for run_id, count in counts.items() if count > 1] == []
