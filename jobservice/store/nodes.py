"""Nodes: running services, their leases, and what they are asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, RowMapping, func, insert, select, update

from jobservice.domain.run import RunState
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.planning import retract


class NodeState(StrEnum):
    """What a service is doing."""

    RUNNING = "running"
    RELOADING = "reloading"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


ALIVE = (NodeState.RUNNING, NodeState.RELOADING, NodeState.STOPPING)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One service, alive or not."""

    node_id: int
    boot: int
    hostname: str
    pid: int
    process_space: str
    state: NodeState
    started_at: datetime
    heartbeat_at: datetime
    lease_expires_at: datetime
    stopped_at: datetime | None
    last_reload_at: datetime | None
    missing_hardening: Sequence[str]


class NodeStore:
    """Durable nodes.  Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(
        self,
        *,
        hostname: str,
        pid: int,
        process_space: str,
        release: str,
        now: datetime,
        lease_expires_at: datetime,
        alone: bool,
    ) -> tuple[int, int, bool]:
        """Enter a service and return its id, its boot and whether a new boot began.

        A boot is a life of the service as a whole: it begins when no other
        node is alive.

        :param alone: the caller holds a lock that proves that no other
            service works on this database, so all others are dead.
        """
        with self._database.write() as connection:
            alive = select(t.node.c.boot).where(t.node.c.state.in_(ALIVE), t.node.c.lease_expires_at > now)
            boot = None if alone else connection.execute(alive.limit(1)).scalar_one_or_none()
            is_new = boot is None
            if boot is None:
                boot = (connection.execute(select(func.max(t.node.c.boot))).scalar_one() or 0) + 1
            node_id = connection.execute(
                insert(t.node)
                .values(
                    boot=boot,
                    hostname=hostname,
                    pid=pid,
                    process_space=process_space,
                    release=release,
                    state=NodeState.RUNNING,
                    started_at=now,
                    heartbeat_at=now,
                    lease_expires_at=lease_expires_at,
                    missing_hardening=[],
                )
                .returning(t.node.c.id)
            ).scalar_one()
        return int(node_id), int(boot), is_new

    def beat(self, node_id: int, *, now: datetime, lease_expires_at: datetime) -> bool:
        """Renew a lease; False when another node has declared this one lost."""
        with self._database.write() as connection:
            beaten = connection.execute(
                update(t.node)
                .where(t.node.c.id == node_id, t.node.c.state.in_(ALIVE))
                .values(heartbeat_at=now, lease_expires_at=lease_expires_at)
            )
        return beaten.rowcount == 1

    def set_state(self, node_id: int, state: NodeState, *, now: datetime) -> None:
        """Say what a service is doing."""
        values = {"state": state, "stopped_at": now if state is NodeState.STOPPED else None}
        with self._database.write() as connection:
            connection.execute(update(t.node).where(t.node.c.id == node_id).values(**values))

    def set_missing_hardening(self, node_id: int, missing: Sequence[str]) -> None:
        """Say which layers of protection a service's machine lacks."""
        with self._database.write() as connection:
            connection.execute(update(t.node).where(t.node.c.id == node_id).values(missing_hardening=list(missing)))

    def dead(self, *, now: datetime, except_for: int, alone: bool) -> list[int]:
        """Return nodes whose lease ran out, and those that hold runs although they count as stopped or lost.

        :param alone: count every other node as dead, whatever its lease says.
        """
        silent: ColumnElement[bool] = t.node.c.state.in_(ALIVE)
        if not alone:
            silent &= t.node.c.lease_expires_at < now
        # A node that froze may take runs after it was buried.
        holders = select(t.run.c.node_id).where(t.run.c.state != RunState.FINISHED, t.run.c.node_id.is_not(None))
        holds = t.node.c.state.not_in(ALIVE) & t.node.c.id.in_(holders)
        query = select(t.node.c.id).where(t.node.c.id != except_for, silent | holds)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def bury(self, node_ids: Sequence[int], *, now: datetime) -> None:
        """Mark nodes as lost and take back what they had armed but not started."""
        with self._database.write() as connection:
            connection.execute(
                update(t.node).where(t.node.c.id.in_(node_ids)).values(state=NodeState.LOST, stopped_at=now)
            )
            retract(connection, node_ids=node_ids)

    def hand_back(self, node_id: int) -> None:
        """Take back what a stopping node had armed but not started."""
        with self._database.write() as connection:
            retract(connection, node_ids=[node_id])

    def count_others(self, node_id: int, *, now: datetime) -> int:
        """Return how many other nodes are alive."""
        query = select(func.count()).where(
            t.node.c.state.in_(ALIVE), t.node.c.lease_expires_at > now, t.node.c.id != node_id
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def newest(self, *, limit: int = 20) -> list[NodeRow]:
        """Return the newest nodes, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(t.node).order_by(t.node.c.id.desc()).limit(limit)).mappings().all()
        return [_node(row) for row in rows]

    def request_reload(self, *, by: str, at: datetime) -> int:
        """Ask for a reload and return the request's id; an unhandled one is joined."""
        with self._database.write() as connection:
            waiting = connection.execute(
                select(t.request.c.id).where(t.request.c.handled_at.is_(None), t.request.c.node_id.is_(None)).limit(1)
            ).scalar_one_or_none()
            if waiting is not None:
                return int(waiting)
            new = insert(t.request).values(kind="reload", asked_by=by, created_at=at).returning(t.request.c.id)
            return int(connection.execute(new).scalar_one())

    def take_reload(self, node_id: int) -> list[int]:
        """Take every reload that waits, or that a dead node left unfinished, and return the ids."""
        left = select(t.node.c.id).where(t.node.c.state.in_(ALIVE), t.node.c.id != node_id)
        free = t.request.c.node_id.is_(None) | t.request.c.node_id.not_in(left)
        unhandled = select(t.request.c.id).where(t.request.c.handled_at.is_(None), free)
        with self._database.read() as connection:
            if connection.execute(unhandled.limit(1)).first() is None:
                return []
        taken = update(t.request).where(t.request.c.id.in_(unhandled)).values(node_id=node_id)
        with self._database.write() as connection:
            return list(connection.execute(taken.returning(t.request.c.id)).scalars())

    def finish_reload(self, request_ids: Sequence[int], *, node_id: int, now: datetime) -> None:
        """Mark reloads as done."""
        with self._database.write() as connection:
            connection.execute(update(t.request).where(t.request.c.id.in_(request_ids)).values(handled_at=now))
            connection.execute(
                update(t.node).where(t.node.c.id == node_id).values(state=NodeState.RUNNING, last_reload_at=now)
            )

    def reload_waits(self) -> bool:
        """Return whether a reload was asked for and is not done."""
        query = select(t.request.c.id).where(t.request.c.handled_at.is_(None)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None


def _node(row: RowMapping) -> NodeRow:
    return NodeRow(
        node_id=row["id"],
        boot=row["boot"],
        hostname=row["hostname"],
        pid=row["pid"],
        process_space=row["process_space"],
        state=NodeState(row["state"]),
        started_at=row["started_at"],
        heartbeat_at=row["heartbeat_at"],
        lease_expires_at=row["lease_expires_at"],
        stopped_at=row["stopped_at"],
        last_reload_at=row["last_reload_at"],
        missing_hardening=row["missing_hardening"],
    )
