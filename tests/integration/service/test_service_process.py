"""The job service as a real process: how it starts, stops, and dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from jobservice.cli.output import ExitCode
from jobservice.domain.run import Outcome, RunState
from jobservice.store.engine import Database
from tests.support import lua
from tests.support.cluster import outcomes
from tests.support.postgresql import PostgresServer
from tests.support.processes import Moontide
from tests.support.waiting import wait_until
from tests.support.watched import LONG, Watched

pytestmark = pytest.mark.timeout(60)

SHORT = lua.script('print("at work") core.sleep(0.5) return job.OK')


# Starting.


def test_a_second_service_on_the_same_file_is_refused_and_names_the_first(embedded: Watched) -> None:
    first = embedded.start_service()
    link = embedded.folder / "link" / "other.db"
    link.parent.mkdir()
    link.symlink_to(embedded.folder / "moontide.db")
    by_link = Moontide(link.parent, f"sqlite:///{link}")

    for second in (embedded.run("service", "start"), by_link.run("service", "start")):
        assert second.returncode == ExitCode.CONFLICT
        assert f"process {first.pid}" in second.stderr
        assert "moontide service stop" in second.stderr
        assert "Traceback" not in second.stderr
    assert first.is_alive
    assert first.stop() == ExitCode.OK
    assert embedded.start_service().is_alive, "the lock goes with its holder"


def test_a_database_without_a_schema_is_refused_with_the_command_that_makes_it(commands: Moontide) -> None:
    for command in (["service", "start"], ["console"], ["job", "list"], ["service", "status"]):
        refused = commands.invoke(*command)
        assert refused.exit_code == ExitCode.SCHEMA, command
        assert "moontide migrate" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_newer_schema_is_refused_and_left_alone(moontide: Watched) -> None:
    with moontide.backend.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    for command in (["service", "start"], ["migrate"], ["up"]):
        refused = moontide.invoke(*command)
        assert refused.exit_code == ExitCode.SCHEMA, command
        assert "9999" in refused.stderr
        assert "install that release" in refused.stderr


def test_every_wrong_setting_is_named_at_once(commands: Moontide) -> None:
    commands.environment |= {
        "MOONTIDE_LUA_WORKERS": "many",
        "MOONTIDE_BIND_PORT": "70000",
        "MOONTIDE_TIMEZONE": "Mars/Olympus",
        "MOONTIDE_DATABASE_URL": "mysql://root:hunter2@host/db",
        "MOONTIDE_NO_SUCH": "1",
    }

    for command in (["service", "start"], ["console"], ["up"], ["migrate"]):
        refused = commands.invoke(*command)
        assert refused.exit_code == ExitCode.USAGE, command
        for name in ("LUA_WORKERS", "BIND_PORT", "TIMEZONE", "DATABASE_URL", "NO_SUCH"):
            assert f"MOONTIDE_{name}" in refused.stderr, command
        assert "hunter2" not in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_server_that_is_not_there_is_told_in_one_sentence(commands: Moontide) -> None:
    commands.environment["MOONTIDE_DATABASE_URL"] = "postgresql://moontide@127.0.0.1:9/none"

    for command in (["service", "start"], ["job", "list"]):
        refused = commands.invoke(*command)
        assert refused.exit_code == ExitCode.UNAVAILABLE, command
        assert "The database is not available" in refused.stderr
        assert "Traceback" not in refused.stderr


# Stopping.


def test_what_ends_within_the_grace_is_recorded_and_the_rest_is_handed_back_and_repeated(moontide: Watched) -> None:
    service = moontide.start_service()
    short, long = moontide.add_job(SHORT, name="short"), moontide.add_job(LONG, name="long")
    for run_id in (moontide.run_now(short), moontide.run_now(long)):
        moontide.wait_for_start(run_id)

    assert service.stop() == ExitCode.OK

    assert "runs get 2 s to finish" in service.output
    assert outcomes(moontide.rows(short)) == [(1, Outcome.OK)]
    abandoned, repeat = moontide.rows(long)
    assert abandoned.outcome == Outcome.ABANDONED
    assert "The job service stopped before the run was over." in abandoned.error["message"]
    assert "repeated as another attempt" in abandoned.note
    assert repeat.state == RunState.QUEUED
    moontide.save("long.lua", lua.OK)
    moontide.start_service()
    moontide.wait_for_rows(long, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
    assert len(moontide.rows(short)) == 1


def test_what_ends_during_the_grace_is_on_record_before_the_service_ends(embedded: Watched) -> None:
    embedded.environment["MOONTIDE_STOP_GRACE_SECONDS"] = "30"
    service = embedded.start_service()
    slow = lua.script('print("at work") core.sleep(2) return job.OK')
    short, long = embedded.add_job(slow, name="short"), embedded.add_job(LONG, name="long")
    for run_id in (embedded.run_now(long), embedded.run_now(short)):
        embedded.wait_for_start(run_id)

    service.signal(signal.SIGTERM)
    embedded.wait_for_rows(short, lambda rows: outcomes(rows) == [(1, Outcome.OK)], timeout_s=10)

    assert service.is_alive, "another run has its grace still"
    service.kill()
    embedded.save("long.lua", lua.OK)
    embedded.start_service()
    embedded.wait_for_rows(long, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
    assert outcomes(embedded.rows(short)) == [(1, Outcome.OK)]


def test_stop_status_and_reload_say_what_runs_and_exit_accordingly(embedded: Watched) -> None:
    for command in (["service", "stop"], ["service", "status"], ["service", "reload"]):
        assert embedded.run(*command).returncode == ExitCode.NOT_RUNNING, command
    never = json.loads(embedded.run("service", "status", "--json").stdout)
    assert never["state"] == "never_started"
    job_id = embedded.add_job(lua.OK, reload=False)

    service = embedded.start_service()
    wait_until(lambda: embedded.backend.queries.get_job(job_id).row.pending is None, what="the reload asked for before")
    running = embedded.run("service", "status")
    assert running.returncode == ExitCode.OK
    assert running.stdout.startswith("Running since ")
    embedded.add_job(lua.OK, name="second", reload=False)
    waiting = json.loads(embedded.run("service", "status", "--json").stdout)
    assert (waiting["state"], waiting["waiting_changes"], waiting["nodes"]) == ("running", 1, 1)
    reloaded = embedded.run("service", "reload")
    assert (reloaded.returncode, reloaded.stdout) == (ExitCode.OK, "Reloaded; 1 changed job is in force.\n")

    stopped = embedded.run("service", "stop")
    assert (stopped.returncode, stopped.stdout) == (ExitCode.OK, "The job service has stopped.\n")
    assert not service.is_alive or service.stop() == ExitCode.OK
    after = embedded.run("service", "status")
    assert after.returncode == ExitCode.NOT_RUNNING
    assert after.stdout.startswith("Stopped since ")


# Dying.


def test_a_run_under_which_the_service_was_killed_is_abandoned_in_words_and_repeated(moontide: Watched) -> None:
    service = moontide.start_service()
    job_id = moontide.add_job(LONG)
    moontide.wait_for_start(moontide.run_now(job_id))

    service.kill()
    moontide.save("job.lua", lua.OK)
    moontide.start_service()

    rows = moontide.wait_for_rows(job_id, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
    assert "ended while this run was going on. It is repeated as another attempt." in rows[0].note


def test_no_worker_outlives_a_service_that_was_killed(embedded: Watched) -> None:
    service = embedded.start_service()
    job_id = embedded.add_job(LONG)
    embedded.wait_for_start(embedded.run_now(job_id))
    workers = service.children()
    assert workers

    service.kill()

    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), what="the workers' end")


def test_a_run_whose_worker_was_killed_from_outside_is_repeated(embedded: Watched) -> None:
    service = embedded.start_service()
    job_id = embedded.add_job(LONG)
    embedded.wait_for_start(embedded.run_now(job_id))
    embedded.save("job.lua", lua.OK)

    for pid in service.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    rows = embedded.wait_for_rows(job_id, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
    assert rows[0].error["message"]
    assert rows[0].note.endswith("It is repeated as another attempt.")
    assert embedded.backend.queries.get_job(job_id).row.active
    assert service.is_alive


@pytest.mark.postgresql
def test_a_service_that_froze_stops_at_once_when_another_has_taken_over(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    postgres.execute("CREATE DATABASE frozen TEMPLATE template_moontide")
    first = Watched(tmp_path / "first", postgres.url("frozen"), MOONTIDE_STOP_GRACE_SECONDS="40")
    second = Watched(tmp_path / "second", postgres.url("frozen"))
    try:
        service = first.start_service()
        job_id = first.add_job(LONG)
        first.wait_for_start(first.run_now(job_id))
        first.save("job.lua", lua.OK)
        second.start_service()

        service.signal(signal.SIGSTOP)
        rows = second.wait_for_rows(job_id, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
        service.signal(signal.SIGCONT)

        service.wait_for("This service stops: another service declared this one dead", timeout=10)
        wait_until(lambda: not service.is_alive, timeout_s=10, what="its end, without any grace")
        assert service.stop() == ExitCode.FAILED
        assert second.rows(job_id) == rows
    finally:
        first.close()
        second.close()
        postgres.execute("DROP DATABASE frozen WITH (FORCE)")


def test_a_database_that_is_no_database_is_told_in_one_sentence(commands: Moontide) -> None:
    (commands.folder / "moontide.db").write_text("Not a database, but long enough to look like one. " * 50)

    refused = commands.invoke("service", "start")

    assert refused.exit_code == ExitCode.UNAVAILABLE
    assert "file is not a database" in refused.stderr
    with contextlib.closing(Database(f"sqlite:///{commands.folder}/moontide.db")):
        pass
