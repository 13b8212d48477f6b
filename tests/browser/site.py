"""One Moontide with real processes, a data folder of its own and a free port."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from jobservice.bootstrap import ConsoleBackend, build_console_backend
from jobservice.domain.account import Role
from jobservice.domain.job import JobDefinition, JobId
from jobservice.settings import Settings
from tests.support.processes import Moontide, Process, free_port

PASSWORD = "correct horse battery"


class Site:
    """What a test starts, stops and prepares behind the browser's back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._commands = Moontide(folder, MOONTIDE_BIND_PORT=str(self.port), MOONTIDE_STOP_GRACE_SECONDS="1")
        self._started: list[Process] = []
        self.keeps_jobs = False
        """Whether the jobs are there for every test of the module, and not cleared after each."""
        self.states: dict[Role, dict[str, object]] = {}
        """The cookies of whoever has signed in, by role."""

    @cached_property
    def backend(self) -> ConsoleBackend:
        """The verbs and read models, over the same database as the processes."""
        return build_console_backend(Settings.from_environment(self._commands.environment))

    def start_up(self) -> Process:
        """Start console and job service together, as ``make run`` does."""
        process = self._keep(self._commands.start("up", ready="The console listens"))
        process.wait_for("The job service runs")
        return process

    def start_service(self) -> Process:
        return self._keep(self._commands.start_service())

    def start_console(self) -> Process:
        return self._keep(self._commands.start_console(self.port))

    def _keep(self, process: Process) -> Process:
        self._started.append(process)
        return process

    def setup_link(self) -> str:
        """Return the one-time link that the console printed."""
        return self._started[0].wait_for(r"http://\S+/setup/\S+")

    def stop_all(self) -> None:
        """Stop every process that was started here."""
        for process in self._started:
            # Asked rather than killed: ``up`` takes its two children with it.
            process.stop()

    def end(self) -> None:
        """Stop every process and close what this test process opened."""
        try:
            self.stop_all()
        finally:
            self._commands.end_all()
            if "backend" in self.__dict__:
                self.backend.close()

    def add_account(self, name: str, role: Role = Role.ADMIN) -> None:
        self.backend.accounts.create_user(name=name, role=role, password=PASSWORD, by="test")

    def add_job(self, name: str, source: str, *, reload: bool = True, **fields: object) -> JobId:
        """Create a job of one second with this script, and ask for a reload."""
        path = re.sub(r"\W+", "_", name.lower()) + ".lua"
        values = {"name": name, "path": path, "schedule": "1"} | fields
        definition = JobDefinition(**values)  # type: ignore[arg-type]
        job_id = self.backend.service.create_job(definition, by="alice")
        self.save(definition.path, source)
        if reload:
            self.backend.service.request_reload(by="alice")
        return job_id

    def save(self, path: str, source: str, *, by: str = "alice") -> int:
        """Save a script over whatever is stored, and return its revision."""
        present = self.backend.queries.get_script(path).revision
        return self.backend.service.save_script(path, source, expected_revision=present, by=by)

    def clear(self) -> None:
        """Delete every job with its script, so that the next test begins with an empty list."""
        for row in self.backend.queries.list_jobs(limit=100).rows:
            self.backend.service.delete_job(row.job_id, delete_script=True, by="alice")
