"""Read models: what pages and commands show, each from a few bounded statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jobservice.domain.errors import InvalidInputError, NotFoundError
from jobservice.domain.job import JobDefinition, JobId, JobStatus
from jobservice.domain.run import Cause, Outcome, RunId, RunState
from jobservice.ports import Clock
from jobservice.read_models import (
    DeletionPreview,
    FieldChange,
    JobPage,
    JobRow,
    JobView,
    OutputChunk,
    PendingChange,
    RevisionRow,
    RunOutput,
    RunPage,
    RunRow,
    RunView,
    ScriptView,
    ServiceState,
    ServiceStatus,
)
from jobservice.schedules import parse_schedule
from jobservice.store import reading
from jobservice.store.engine import Database
from jobservice.store.jobs import DEFINITION_FIELDS, definition_of
from jobservice.store.nodes import ALIVE, NodeRow, NodeState, NodeStore
from jobservice.store.runs import error_of
from jobservice.store.scripts import ScriptStore

RUNS_COUNTED_TO = 10_000
_OUTPUT_CHUNKS = 200


class Queries:
    """Bounded reads for pages and commands."""

    def __init__(self, database: Database, scripts: ScriptStore, nodes: NodeStore, clock: Clock) -> None:
        self._database = database
        self._scripts = scripts
        self._nodes = nodes
        self._clock = clock

    def list_jobs(
        self, *, search: str = "", status: JobStatus | None = None, after: str | None = None, limit: int = 50
    ) -> JobPage:
        """Return part of the job list, by name.

        :param search: a part of name, path or description.
        :param after: ``next_after`` of the part before.
        """
        with self._database.read() as connection:
            rows = reading.list_jobs(connection, search=search.strip(), status=status, after=after, limit=limit + 1)
            total = reading.count_jobs(connection)
        shown = [_job_row(row) for row in rows[:limit]]
        return JobPage(shown, shown[-1].name if len(rows) > limit else None, total)

    def get_job(self, job_id: JobId) -> JobView:
        """Return one job, whole.

        :raises NotFoundError: there is no such job.
        """
        with self._database.read() as connection:
            row = reading.find_job(connection, job_id)
            if row is None:
                raise NotFoundError("job", job_id)
            script_exists = reading.script_revision(connection, row["path"]) > 0
        definition = definition_of(row)
        loaded = _loaded(row)
        return JobView(
            row=_job_row(row),
            definition=definition,
            version=row["version"],
            loaded=loaded,
            changes=_changes(_in_force(row), definition) if row["waiting"] else (),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            updated_by=row["updated_by"],
            last_error_at=row["last_error_at"],
            script_exists=script_exists,
        )

    def find_job_id(self, name: str) -> JobId:
        """Return the id of the job of that name.

        :raises NotFoundError: there is none.
        """
        with self._database.read() as connection:
            job_id = reading.find_job_by_name(connection, name)
        if job_id is None:
            raise NotFoundError("job", name)
        return job_id

    def deletion_preview(self, job_id: JobId) -> DeletionPreview:
        """Return what goes with a job when it is deleted.

        :raises NotFoundError: there is no such job.
        """
        with self._database.read() as connection:
            row = reading.find_job(connection, job_id)
            if row is None:
                raise NotFoundError("job", job_id)
            return DeletionPreview(
                runs=reading.count_runs_up_to(connection, job_id, RUNS_COUNTED_TO),
                runs_counted_to=RUNS_COUNTED_TO,
                revisions=reading.script_revision(connection, row["path"]),
                running=reading.is_running(connection, job_id),
            )

    def pending_changes(self, limit: int = 200) -> Sequence[PendingChange]:
        """Return what a reload will change, by job name."""
        with self._database.read() as connection:
            rows = reading.list_waiting(connection, limit=limit)
        changes = []
        for row in rows:
            loaded = _in_force(row)
            fields = () if loaded is None else _changes(loaded, definition_of(row))
            changes.append(PendingChange(JobId(row["id"]), row["name"], loaded is None, fields))
        return changes

    def count_pending(self) -> int:
        """Return how many jobs wait for a reload."""
        with self._database.read() as connection:
            return reading.count_waiting(connection)

    def service_status(self) -> ServiceStatus:
        """Return what the job service is doing, as far as the database tells."""
        nodes = self._nodes.newest()
        if not nodes:
            return ServiceStatus(ServiceState.NEVER_STARTED, None, 0, None, ())
        now = self._clock.now()
        alive = [node for node in nodes if node.state in ALIVE and node.lease_expires_at > now]
        last_reload = max((node.last_reload_at for node in nodes if node.last_reload_at), default=None)
        if not alive:
            newest = nodes[0]
            since = newest.stopped_at if newest.state is NodeState.STOPPED else newest.heartbeat_at
            return ServiceStatus(ServiceState.STOPPED, since, 0, last_reload, ())
        oldest = alive[-1]
        missing = tuple(dict.fromkeys(text for node in alive for text in node.missing_hardening))
        return ServiceStatus(self._state(alive), oldest.started_at, len(alive), last_reload, missing)

    def _state(self, alive: Sequence[NodeRow]) -> ServiceState:
        if any(node.state is NodeState.RELOADING for node in alive) or self._nodes.reload_waits():
            return ServiceState.RELOADING
        if all(node.state is NodeState.STOPPING for node in alive):
            return ServiceState.STOPPING
        return ServiceState.RUNNING

    def list_runs(self, job_id: JobId, *, before: str | None = None, limit: int = 50) -> RunPage:
        """Return part of a job's history, newest first.

        :param before: ``next_before`` of the part before.
        :raises InvalidInputError: ``before`` is not such a value.
        """
        with self._database.read() as connection:
            rows = reading.list_runs(connection, job_id, before=_cursor(before), limit=limit + 1)
        shown = [_run_row(row) for row in rows[:limit]]
        return RunPage(shown, str(shown[-1].run_id) if len(rows) > limit else None)

    def get_run(self, run_id: RunId) -> RunView:
        """Return one run, whole.

        :raises NotFoundError: there is no such run.
        """
        with self._database.read() as connection:
            row = reading.find_run(connection, run_id)
        if row is None:
            raise NotFoundError("run", run_id)
        started = row["started_at"]
        return RunView(
            row=_run_row(row),
            path=row["path"],
            asked_by=row["asked_by"],
            revision=row["revision"],
            lateness=None if started is None else started - row["fire_time"],
            cancel_requested=row["cancel_requested"],
            node=row["hostname"] or "",
        )

    def run_output(self, run_id: RunId, *, after: int = 0, limit_bytes: int = 1024 * 1024) -> RunOutput:
        """Return part of a run's log, oldest first.

        :param after: ``last_sequence`` of the part before.
        :param limit_bytes: about how much at most; one chunk is always given.
        """
        with self._database.read() as connection:
            rows = reading.list_output(connection, run_id, after=after, limit=_OUTPUT_CHUNKS + 1)
        chunks: list[OutputChunk] = []
        size = 0
        for row in rows[:_OUTPUT_CHUNKS]:
            if chunks and size + len(row["text"]) > limit_bytes:
                break
            chunks.append(OutputChunk(row["sequence"], row["at"], row["text"]))
            size += len(row["text"])
        last = chunks[-1].sequence if chunks else after
        return RunOutput(chunks, last, more=len(chunks) < len(rows))

    def get_script(self, path: str) -> ScriptView:
        """Return a script's newest revision.

        :raises NotFoundError: no script is stored under the path.
        """
        script = self._scripts.get(path)
        with self._database.read() as connection:
            used_by = reading.jobs_using(connection, path)
        return ScriptView(path, script.source, script.revision, script.author, script.saved_at, used_by)

    def list_revisions(self, path: str) -> Sequence[RevisionRow]:
        """Return a script's newest revisions, newest first."""
        return [
            RevisionRow(revision.number, revision.author, revision.saved_at, revision.size_bytes)
            for revision in self._scripts.list_revisions(path)
        ]

    @staticmethod
    def explain_schedule(text: str) -> str:
        """Return a schedule in words.

        :raises InvalidInputError: it is not understood.
        """
        return parse_schedule(text).words()


def _cursor(before: str | None) -> int | None:
    if before is None:
        return None
    if not (before.isascii() and before.isdigit() and len(before) <= 18):  # noqa: PLR2004 - fits 64 bits
        raise InvalidInputError(
            {"before": [f"“{before[:40]}” is not a place in the history. Start from the newest run."]}
        )
    return int(before)


def _loaded(row: reading.Row) -> JobDefinition | None:
    loaded: JobDefinition | None = row["loaded"]
    return loaded


def _in_force(row: reading.Row) -> JobDefinition | None:
    """Return the definition in force; EXIT and errors switch Active off in it without a reload."""
    loaded = _loaded(row)
    if loaded is None or row["status"] != JobStatus.INACTIVE:
        return loaded
    return replace(loaded, active=False)


def _words(schedule: str) -> str:
    try:
        return parse_schedule(schedule).words()
    except InvalidInputError:
        return schedule


def _pending(row: reading.Row) -> str | None:
    if not row["waiting"]:
        return None
    return "new" if row["loaded"] is None else "changed"


def _job_row(row: reading.Row) -> JobRow:
    loaded = _loaded(row)
    return JobRow(
        job_id=JobId(row["id"]),
        name=row["name"],
        path=row["path"],
        status=JobStatus(row["status"]),
        active=row["active"],
        pending=_pending(row),
        schedule_words=_words((loaded or definition_of(row)).schedule),
        run_once=row["run_once"],
        last_run_id=row["last_run_id"],
        last_started_at=row["last_started_at"],
        last_outcome=None if row["last_outcome"] is None else Outcome(row["last_outcome"]),
        next_fire_at=row["armed_for"] or row["next_fire_at"],
        running_run_id=row["running_run_id"],
        last_error=error_of(row["last_error"]),
    )


def _run_row(row: reading.Row) -> RunRow:
    started, finished = row["started_at"], row["finished_at"]
    return RunRow(
        run_id=RunId(row["id"]),
        job_id=JobId(row["job_id"]),
        job_name=row["job_name"],
        fire_time=row["fire_time"],
        first_fire_time=row["first_fire_time"],
        fire_count=row["fire_count"],
        attempt=row["attempt"],
        cause=Cause(row["cause"]),
        state=RunState(row["state"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        started_at=started,
        finished_at=finished,
        duration=None if started is None or finished is None else finished - started,
        note=row["note"],
        error=error_of(row["error"]),
    )


_LABELS = {
    "name": "Name", "path": "Path", "schedule": "Schedule", "run_once": "Run Once", "active": "Active",
    "time_limit_s": "Time limit", "memory_limit_mib": "Memory limit", "isolation": "Isolation",
    "overlap": "When it overlaps", "misfire": "Missed fire times", "misfire_grace_s": "Grace",
    "repeat_after_crash": "Repeat after a crash", "description": "Description",
}  # fmt: skip
_UNITS = {"time_limit_s": "s", "memory_limit_mib": "MiB", "misfire_grace_s": "s"}


def _changes(loaded: JobDefinition | None, edited: JobDefinition) -> tuple[FieldChange, ...]:
    if loaded is None:
        return ()
    return tuple(
        FieldChange(_LABELS[field], _shown(field, getattr(loaded, field)), _shown(field, getattr(edited, field)))
        for field in DEFINITION_FIELDS
        if getattr(loaded, field) != getattr(edited, field)
    )


def _shown(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if field == "schedule":
        return _words(value)
    if field in _UNITS:
        return f"{value:,} {_UNITS[field]}"
    return str(value)
