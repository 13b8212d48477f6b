"""The verbs that console, commands and APIs call.

Each is one transaction with its audit line, and rings the job service when
there is something to do for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jobservice.domain.errors import ConflictError, InvalidInputError, NotFoundError
from jobservice.domain.job import JobDefinition, JobId, check_definition, path_problem
from jobservice.domain.run import RunId, RunState
from jobservice.ports import Clock, ScriptChecker, ScriptProblem
from jobservice.schedules import parse_schedule
from jobservice.store import audit, jobs, runs
from jobservice.store.engine import Connection, Database, IntegrityError
from jobservice.store.nodes import NodeStore
from jobservice.store.planning import retract
from jobservice.store.scripts import ScriptStore

SOURCE_MAX_BYTES = 1024 * 1024

TEMPLATE = """\
local job = core.job()

function job.run()
  -- Put the job's work here.

  return job.OK
end

return job
"""


class Service:
    """What people can do.  Every verb takes ``by``, the account's name.

    :param ring: wakes the job service.
    :param apply_at_once: ask for a reload after every edit.
    """

    def __init__(
        self,
        database: Database,
        scripts: ScriptStore,
        nodes: NodeStore,
        checker: ScriptChecker,
        clock: Clock,
        *,
        ring: Callable[[], None],
        apply_at_once: bool = False,
    ) -> None:
        self._database = database
        self._scripts = scripts
        self._nodes = nodes
        self._checker = checker
        self._clock = clock
        self._ring = ring
        self._apply_at_once = apply_at_once

    def create_job(self, definition: JobDefinition, *, by: str) -> JobId:
        """Store a new job, which waits for a reload, and its script where there is none; return its id.

        :raises InvalidInputError: a field is wrong, or name or path is taken; nothing was stored.
        """
        definition = _checked(definition)
        now = self._clock.now()
        try:
            with self._database.write() as connection:
                if problems := jobs.taken(connection, definition, other_than=None):
                    raise InvalidInputError(problems)
                job_id = jobs.insert_job(connection, definition, by=by, at=now)
                if not self._scripts.exists(connection, definition.path):
                    self._scripts.save(connection, definition.path, TEMPLATE, expected_revision=None, author=by, at=now)
                audit.record(
                    connection, "job.create", at=now, by=by, subject=definition.name, detail=definition.to_dict()
                )
        except IntegrityError as error:
            raise InvalidInputError({"name": ["Another job took this name or path just now."]}) from error
        self._after_edit(by)
        return job_id

    def update_job(self, job_id: JobId, definition: JobDefinition, *, expected_version: int, by: str) -> None:
        """Store an edit, which waits for a reload; a changed path moves the script.

        :param expected_version: the version that was edited.
        :raises NotFoundError: the job is gone.
        :raises InvalidInputError: a field is wrong, or name or path is taken.
        :raises ConflictError: the job was changed meanwhile; nothing was stored.
        """
        definition = _checked(definition)
        now = self._clock.now()
        try:
            with self._database.write() as connection:
                before = jobs.get(connection, job_id)
                if before.version != expected_version:
                    raise _changed_meanwhile(before)
                if problems := jobs.taken(connection, definition, other_than=job_id):
                    raise InvalidInputError(problems)
                if definition.path != before.definition.path:
                    self._move_script(connection, before.definition.path, definition.path)
                if not jobs.update_job(
                    connection, job_id, definition, expected_version=expected_version, by=by, at=now
                ):
                    raise _changed_meanwhile(before)
                detail = {"before": before.definition.to_dict(), "after": definition.to_dict()}
                audit.record(connection, "job.update", at=now, by=by, subject=definition.name, detail=detail)
        except IntegrityError as error:
            raise InvalidInputError({"name": ["Another job took this name or path just now."]}) from error
        self._after_edit(by)

    def _move_script(self, connection: Connection, old: str, new: str) -> None:
        try:
            self._scripts.rename(connection, old, new)
        except ConflictError as error:
            raise InvalidInputError({"path": [f"{error} Delete it first, or choose another path."]}) from error

    def delete_job(self, job_id: JobId, *, delete_script: bool, by: str) -> None:
        """Remove a job at once, with its history and, where asked, its script; a run that goes on is cancelled.

        :raises NotFoundError: the job is gone already.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            job = jobs.get(connection, job_id)
            jobs.delete_job(connection, job_id)
            script_deleted = delete_script and self._scripts.delete(connection, job.definition.path)
            detail = {"definition": job.definition.to_dict(), "script_deleted": script_deleted}
            audit.record(connection, "job.delete", at=now, by=by, subject=job.definition.name, detail=detail)
        self._ring()

    def deactivate_job(self, job_id: JobId, *, by: str) -> None:
        """Take a job out of the intervals at once; a run that goes on finishes.

        :raises NotFoundError: there is no such job.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            job = jobs.get(connection, job_id)
            retract(connection, [job_id])
            runs.cancel_waiting(connection, job_id, by=by, at=now)
            jobs.deactivate(connection, job_id, by=by, at=now)
            audit.record(connection, "job.deactivate", at=now, by=by, subject=job.definition.name)
        self._ring()

    def reactivate_job(self, job_id: JobId, *, by: str) -> None:
        """Set Active; like any edit it waits for a reload.

        :raises NotFoundError: there is no such job.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            job = jobs.get(connection, job_id)
            if job.definition.active:
                return
            definition = replace(job.definition, active=True)
            jobs.update_job(connection, job_id, definition, expected_version=job.version, by=by, at=now)
            audit.record(connection, "job.reactivate", at=now, by=by, subject=job.definition.name)
        self._after_edit(by)

    def _after_edit(self, by: str) -> None:
        if self._apply_at_once:
            self._nodes.request_reload(by=by, at=self._clock.now())
            self._ring()

    def request_reload(self, *, by: str) -> None:
        """Ask the job service to take all edited definitions into force."""
        now = self._clock.now()
        self._nodes.request_reload(by=by, at=now)
        with self._database.write() as connection:
            audit.record(connection, "service.reload", at=now, by=by)
        self._ring()

    def run_now(self, job_id: JobId, *, by: str) -> RunId:
        """Queue a run of a job by hand and return its id.

        It starts as soon as a service is there and the job is free.

        :raises NotFoundError: there is no such job.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            job = jobs.get(connection, job_id)
            run_id = runs.request_run(connection, job_id=job_id, path=job.definition.path, by=by, at=now)
            audit.record(connection, "job.run", at=now, by=by, subject=job.definition.name, detail={"run": run_id})
        self._ring()
        return run_id

    def run_again(self, run_id: RunId, *, by: str) -> RunId:
        """Queue a run of the same job by hand and return its id.

        :raises NotFoundError: there is no such run, or its job is gone.
        """
        return self.run_now(self._job_of(run_id), by=by)

    def _job_of(self, run_id: RunId) -> JobId:
        with self._database.read() as connection:
            job_id = runs.find_job(connection, run_id)
        if job_id is None:
            raise NotFoundError("run", run_id)
        return job_id

    def cancel_run(self, run_id: RunId, *, by: str) -> None:
        """Cancel a run that waits, or end one that goes on.

        :raises NotFoundError: there is no such run.
        :raises ConflictError: it has finished already.
        """
        now = self._clock.now()
        with self._database.write() as connection:
            state = runs.request_cancel(connection, run_id, by=by, at=now)
            if state is None:
                raise NotFoundError("run", run_id)
            if state is RunState.FINISHED:
                raise ConflictError(f"Run {run_id} has finished already; there is nothing to cancel.")
            audit.record(connection, "run.cancel", at=now, by=by, subject=str(run_id))
        self._ring()

    def save_script(self, path: str, source: str, *, expected_revision: int | None, by: str) -> int:
        """Store a new revision, which the next run uses; return its number.

        A text that equals the newest revision makes none.

        :param expected_revision: the newest revision that the author saw; None for a new script.
        :raises InvalidInputError: path or source is not acceptable.
        :raises ConflictError: somebody else saved it meanwhile; nothing was stored.
        """
        _check_source(path, source)
        now = self._clock.now()
        newest = self._scripts.find(path)
        if newest is not None and newest.source == source and newest.revision == expected_revision:
            return newest.revision
        with self._database.write() as connection:
            number = self._scripts.save(
                connection, path, source, expected_revision=expected_revision, author=by, at=now
            )
            audit.record(connection, "script.save", at=now, by=by, subject=path, detail={"revision": number})
        return number

    def check_script(self, path: str, source: str) -> Sequence[ScriptProblem]:
        """Compile a script in a Lua worker and return what is wrong with it.

        :raises InvalidInputError: path or source is not acceptable.
        """
        _check_source(path, source)
        return self._checker.check(path, source)


def _checked(definition: JobDefinition) -> JobDefinition:
    cleaned = definition.cleaned()
    problems: dict[str, Sequence[str]] = {}
    for check in (lambda: check_definition(cleaned), lambda: parse_schedule(cleaned.schedule)):
        try:
            check()
        except InvalidInputError as error:
            problems |= error.problems
    if problems:
        raise InvalidInputError(problems)
    return cleaned


def _check_source(path: str, source: str) -> None:
    problem = path_problem(path)
    if problem is not None:
        raise InvalidInputError({"path": [problem]})
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise InvalidInputError({"source": ["The script holds characters that are not valid text."]}) from None
    if size > SOURCE_MAX_BYTES:
        raise InvalidInputError({"source": [f"A script has at most 1 MiB; this one has {size:,} bytes."]})
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        raise InvalidInputError({"source": [f"Line {line} holds a NUL character; a script is plain text."]})
    if source.startswith("\x1b"):
        raise InvalidInputError({"source": ["This is compiled Lua. Enter the source text."]})


def _changed_meanwhile(job: jobs.StoredJob) -> ConflictError:
    return ConflictError(f"{job.updated_by} changed this job meanwhile. Nothing was saved.")
