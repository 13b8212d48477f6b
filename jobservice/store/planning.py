"""From fire times to armed runs: each fire time decided once, in one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, bindparam, delete, false, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobservice.domain.fire_plan import FirePlan, PlannedFire
from jobservice.domain.job import JobDefinition, JobId, JobStatus, MisfirePolicy, OverlapPolicy
from jobservice.domain.run import Cause, Outcome, RunId, RunState
from jobservice.store import tables as t
from jobservice.store.engine import Database
from jobservice.store.jobs import definition_of

_WAITING_STATUSES = (JobStatus.OK, JobStatus.SLEEPING, JobStatus.ONCE_PENDING)


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job whose next fire time lies within the horizon."""

    job_id: JobId
    definition: JobDefinition
    status: JobStatus
    next_fire_at: datetime


class ArmedRun(NamedTuple):
    """A run that this node has leased and will start at its fire time."""

    fire_time: datetime
    run_id: RunId
    job_id: JobId
    attempt: int
    fence: int
    cause: Cause
    definition: JobDefinition


class PlanStore:
    """Plans what falls due and hands out what waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = sqlite if database.is_sqlite else postgresql
        unplanned = {"index_elements": ["job_id", "fire_time", "attempt"]}
        key = (t.run.c.id, t.run.c.job_id, t.run.c.fire_time)
        # What is the same for every row stands in the statement: binding it costs more than storing it.
        self._insert_armed = (
            dialect.insert(t.run)
            .values(_constants(state=RunState.LEASED.value))
            .on_conflict_do_nothing(**unplanned)
            .returning(*key)
        )
        self._insert_queued = (
            dialect.insert(t.run).values(_constants(state=RunState.QUEUED.value)).on_conflict_do_nothing(**unplanned)
        )
        self._insert_misfired = (
            dialect.insert(t.run)
            .values(_constants(state=RunState.FINISHED.value, outcome=Outcome.MISFIRED.value))
            .on_conflict_do_nothing(**unplanned)
        )

    def plan_due(
        self,
        plan: Callable[[DueJob], FirePlan],
        *,
        now: datetime,
        horizon: datetime,
        node_id: int,
        limit: int,
    ) -> tuple[list[ArmedRun], int]:
        """Claim up to ``limit`` jobs due by ``horizon``, plan each, and store the plans.

        One transaction: the run rows and the jobs' next fire times change
        together, so no crash loses or repeats a fire time, and two nodes
        never decide the same one.

        :param plan: a pure function; called once for every job.
        :returns: the runs armed for this node, and how many jobs were claimed.
        """
        armed: list[ArmedRun] = []
        with self._database.write() as connection:
            jobs = self._claim(connection, horizon, limit)
            if not jobs:
                return [], 0
            plans = [(job, plan(job)) for job in jobs]
            definitions = {job.job_id: job.definition for job in jobs}
            starts = [row for job, fires in plans for row in _armed_rows(job, fires, now=now, node_id=node_id)]
            queued = [row for job, fires in plans for row in _queued_rows(job, fires, now=now)]
            misfires = [row for job, fires in plans for row in _misfired_rows(job, fires, now=now)]
            if misfires:
                connection.execute(self._insert_misfired, misfires)
            if queued:
                connection.execute(self._insert_queued, queued)
            if starts:
                armed = [
                    ArmedRun(fire_time, run_id, job_id, 1, 1, Cause.SCHEDULE, definitions[job_id])
                    for run_id, job_id, fire_time in connection.execute(self._insert_armed, starts)
                ]
            connection.execute(_MOVE, [_move(job, fires) for job, fires in plans])
        return armed, len(jobs)

    def _claim(self, connection: Connection, horizon: datetime, limit: int) -> list[DueJob]:
        due = (
            select(t.job_state.c.job_id, t.job_state.c.loaded, t.job_state.c.status, t.job_state.c.next_fire_at)
            .where(t.job_state.c.next_fire_at <= horizon, t.job_state.c.loaded.is_not(None))
            .order_by(t.job_state.c.next_fire_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [
            DueJob(job_id, loaded, JobStatus(status), next_fire_at)
            for job_id, loaded, status, next_fire_at in connection.execute(due)
        ]

    def lease_queued(self, *, node_id: int, limit: int, now: datetime) -> list[ArmedRun]:
        """Lease queued runs whose job is free: asked for by hand, repeats, and those that waited for an overlap.

        A job that may overlap itself is always free; any other is free when
        no run of it is leased or going on.  One run a job is leased at a time.
        A run that went back to the queue after somebody asked for its end is
        closed as cancelled.

        :returns: oldest first; each may start at once.
        """
        with self._database.write() as connection:
            connection.execute(_CLOSE_CANCELLED, {"at": now})
            rows = connection.execute(_QUEUED.limit(limit).with_for_update(skip_locked=True, of=t.run)).mappings().all()
            busy = self._busy_jobs(connection, [row["job_id"] for row in rows])
            armed = []
            for row in rows:
                definition = row["loaded"] or definition_of(row)
                if row["job_id"] in busy and definition.overlap is not OverlapPolicy.ALLOW:
                    continue
                busy.add(row["job_id"])
                armed.append(
                    ArmedRun(
                        row["fire_time"],
                        row["run_id"],
                        row["job_id"],
                        row["attempt"],
                        row["fence"] + 1,
                        Cause(row["cause"]),
                        definition,
                    )
                )
            if armed:
                lease = update(t.run).where(t.run.c.id == bindparam("run_id"))
                connection.execute(
                    lease.values(state=RunState.LEASED, node_id=node_id, fence=t.run.c.fence + 1),
                    [{"run_id": run.run_id} for run in armed],
                )
        return armed

    def has_queued(self) -> bool:
        """Return whether any run waits for a node."""
        query = select(t.run.c.id).where(t.run.c.state == RunState.QUEUED, t.run.c.state != RunState.FINISHED)
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _busy_jobs(self, connection: Connection, job_ids: Sequence[int]) -> set[int]:
        going_on = select(t.run.c.job_id).where(
            t.run.c.state.in_([RunState.LEASED, RunState.RUNNING]),
            t.run.c.state != RunState.FINISHED,
            t.run.c.job_id.in_(job_ids),
            (t.run.c.state == RunState.RUNNING) | (t.run.c.cause != Cause.SCHEDULE),
        )
        return set(connection.execute(going_on).scalars())


_other = t.run.alias("other")
_EARLIER_IN_QUEUE = (
    select(_other.c.id)
    .where(
        _other.c.job_id == t.run.c.job_id,
        _other.c.state == RunState.QUEUED,
        _other.c.state != RunState.FINISHED,
        _other.c.id < t.run.c.id,
    )
    .exists()
)
_GOES_ON = (
    select(_other.c.id)
    .where(_other.c.job_id == t.run.c.job_id, _other.c.state == RunState.RUNNING, _other.c.state != RunState.FINISHED)
    .exists()
)

_QUEUED = (
    select(t.run.c.id.label("run_id"), t.run.c.job_id, t.run.c.fire_time, t.run.c.attempt, t.run.c.fence, t.run.c.cause)
    .add_columns(t.job_state.c.loaded, *(column for column in t.job.c if column.name != "id"))
    .join(t.job, t.job.c.id == t.run.c.job_id)
    .join(t.job_state, t.job_state.c.job_id == t.run.c.job_id)
    .where(t.run.c.state == RunState.QUEUED, t.run.c.state != RunState.FINISHED)
    .where((t.job.c.overlap == OverlapPolicy.ALLOW) | ~(_EARLIER_IN_QUEUE | _GOES_ON))
    .order_by(t.run.c.id)
)
"""One queued run of each job that is free, so that many of one job never hold up the others."""

_CLOSE_CANCELLED = (
    update(t.run)
    .where(t.run.c.state == RunState.QUEUED, t.run.c.state != RunState.FINISHED, t.run.c.cancel_requested)
    .values(
        state=RunState.FINISHED,
        outcome=Outcome.CANCELLED,
        note="Cancelled before it started.",
        finished_at=bindparam("at"),
    )
)

_MOVE = (
    update(t.job_state)
    .where(t.job_state.c.job_id == bindparam("moved_job_id"))
    .values(next_fire_at=bindparam("moved_next"), anchor_at=bindparam("moved_anchor"), status=bindparam("moved_status"))
)


def _constants(**words: str) -> dict[str, Any]:
    """Return what every planned run has in common, as part of the statement's text."""
    texts = {"cause": Cause.SCHEDULE.value, "asked_by": ""} | words
    return {
        "attempt": literal_column("1"),
        "fence": literal_column("1"),
        "cancel_requested": false(),
        **{name: literal_column(f"'{text}'") for name, text in texts.items()},
    }


def _wanted_fires(job: DueJob, plan: FirePlan) -> tuple[PlannedFire, ...]:
    if not job.definition.run_once:
        return plan.fires
    # One run a boot: what follows the first start belongs to a later one.
    started = next((index for index, fire in enumerate(plan.fires) if not fire.misfired), len(plan.fires))
    return plan.fires[: started + 1]


def _armed_rows(job: DueJob, plan: FirePlan, *, now: datetime, node_id: int) -> Iterable[dict[str, Any]]:
    for fire in _wanted_fires(job, plan):
        if not fire.misfired and not _catches_up(job, fire, now):
            yield _fire_row(job, fire, now) | {"note": "", "node_id": node_id}


def _queued_rows(job: DueJob, plan: FirePlan, *, now: datetime) -> Iterable[dict[str, Any]]:
    for fire in _wanted_fires(job, plan):
        if not fire.misfired and _catches_up(job, fire, now):
            yield _fire_row(job, fire, now) | {"note": ""}


def _catches_up(job: DueJob, fire: PlannedFire, now: datetime) -> bool:
    """Return whether a late run waits in the queue, so that several run one after the other and none is left out."""
    definition = job.definition
    takes_turns = definition.misfire is MisfirePolicy.ALL and definition.overlap is not OverlapPolicy.ALLOW
    return takes_turns and fire.fire_time <= now


def _misfired_rows(job: DueJob, plan: FirePlan, *, now: datetime) -> Iterable[dict[str, Any]]:
    for fire in _wanted_fires(job, plan):
        if fire.misfired:
            yield _fire_row(job, fire, now) | {"note": _misfire_note(fire.fire_count), "finished_at": now}


def _fire_row(job: DueJob, fire: PlannedFire, now: datetime) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "fire_time": fire.fire_time,
        "first_fire_time": fire.first_fire_time,
        "fire_count": fire.fire_count,
        "path": job.definition.path,
        "created_at": now,
    }


def _misfire_note(count: int) -> str:
    what = "This fire time" if count == 1 else f"These {count:,} fire times"
    return f"{what} passed while no service could start the job, and the job's misfire policy leaves it out."


def _move(job: DueJob, plan: FirePlan) -> dict[str, Any]:
    starts = any(not fire.misfired for fire in plan.fires)
    return {
        "moved_job_id": job.job_id,
        "moved_next": None if job.definition.run_once and starts else plan.next_fire_at,
        "moved_anchor": plan.fires[-1].fire_time if plan.fires else job.next_fire_at,
        # A sleep is over when its wake-up is planned.
        "moved_status": JobStatus.OK if job.status is JobStatus.SLEEPING and starts else job.status,
    }


def retract(
    connection: Connection, job_ids: Sequence[int] | None = None, *, node_ids: Sequence[int] | None = None
) -> None:
    """Take back armed runs that have not started, as if they had never been planned.

    A scheduled one is removed, and its job's next fire time goes back to it
    where the job still waits for fire times.  One that a later fire time of
    its job has passed cannot be planned again, so it is queued; so is one
    asked for by hand, and a repeat.

    :param job_ids: of these jobs, or
    :param node_ids: leased by these nodes.
    """

    def leased(run: FromClause) -> ColumnElement[bool]:
        chosen = run.c.job_id.in_(job_ids or []) if node_ids is None else run.c.node_id.in_(node_ids)
        return (run.c.state == RunState.LEASED) & (run.c.state != RunState.FINISHED) & chosen

    # Until this ends, no other node may plan what comes after the fire times that are looked at.
    jobs = select(t.run.c.job_id).where(leased(t.run))
    state = select(t.job_state.c.job_id).where(t.job_state.c.job_id.in_(jobs)).order_by(t.job_state.c.job_id)
    connection.execute(state.with_for_update()).all()
    later = t.run.alias("later")
    passed = select(later.c.id).where(
        later.c.job_id == t.run.c.job_id,
        later.c.fire_time > t.run.c.fire_time,
        later.c.cause == Cause.SCHEDULE,
        ~leased(later),
    )
    requeue = update(t.run).where(leased(t.run), (t.run.c.cause != Cause.SCHEDULE) | passed.exists())
    connection.execute(requeue.values(state=RunState.QUEUED, node_id=None))
    taken = delete(t.run).where(leased(t.run)).returning(t.run.c.job_id, t.run.c.first_fire_time)
    removed = connection.execute(taken).all()
    earliest: dict[int, datetime] = {}
    for job_id, fire_time in removed:
        earliest[job_id] = min(fire_time, earliest.get(job_id, fire_time))
    if earliest:
        _restore(connection, earliest)


def _restore(connection: Connection, earliest: dict[int, datetime]) -> None:
    previous = (
        select(t.run.c.fire_time)
        .where(t.run.c.job_id == t.job_state.c.job_id, t.run.c.cause == Cause.SCHEDULE)
        .order_by(t.run.c.fire_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    waiting = connection.execute(
        select(t.job_state.c.job_id, t.job_state.c.began_at, previous).where(
            t.job_state.c.job_id.in_(earliest), t.job_state.c.status.in_(_WAITING_STATUSES)
        )
    ).all()
    moves = [
        {
            "restored_job_id": job_id,
            "restored_next": earliest[job_id],
            "restored_anchor": max((instant for instant in (began_at, last) if instant is not None), default=None),
        }
        for job_id, began_at, last in waiting
    ]
    if moves:
        connection.execute(_RESTORE, moves)


_RESTORE = (
    update(t.job_state)
    .where(t.job_state.c.job_id == bindparam("restored_job_id"))
    .values(next_fire_at=bindparam("restored_next"), anchor_at=bindparam("restored_anchor"))
)
