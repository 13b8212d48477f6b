"""The command line: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import click
import pytest
from click.testing import CliRunner

from jobservice.cli.output import ExitCode
from jobservice.domain.account import Role
from tests.support import lua
from tests.support.processes import Moontide
from tests.support.watched import Watched
from webmin.command import cli

pytestmark = pytest.mark.timeout(60)

PASSWORD = "correct horse battery staple"


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(every_command(cli)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])

    assert result.exit_code == ExitCode.OK
    usage, _, text = result.output.partition("\n")
    assert usage.startswith("Usage: ")
    assert len(text.split()) > 5
    for line in text.splitlines():
        assert len(line) <= 80


def test_every_command_of_the_promise_exists() -> None:
    promised = {
        ("up",), ("console",), ("migrate",), ("version",), ("user", "add"), ("job", "list"), ("job", "show"),
        ("job", "run"), ("service", "start"), ("service", "stop"), ("service", "status"), ("service", "reload"),
    }  # fmt: skip
    assert promised <= set(every_command(cli))


def test_version_names_the_release(commands: Moontide) -> None:
    said = commands.run("version")

    assert (said.returncode, said.stdout) == (ExitCode.OK, "moontide 0.1.0\n")


def test_an_unknown_command_and_an_unknown_option_are_usage_errors(commands: Moontide) -> None:
    for wrong in (["fly"], ["job", "list", "--colour"], ["job", "show"], ["user", "add", "x", "--role", "king"]):
        refused = commands.invoke(*wrong)
        assert refused.exit_code == ExitCode.USAGE, wrong
        assert "Usage: moontide" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_migrate_makes_the_schema_once_and_twice_is_harmless(commands: Moontide) -> None:
    first, second = commands.run("migrate"), commands.run("migrate")

    assert (first.returncode, second.returncode) == (ExitCode.OK, ExitCode.OK)
    assert first.stdout.startswith("The schema is now ")
    assert second.stdout.rstrip().endswith(" already.")
    assert commands.run("job", "list").returncode == ExitCode.OK


# Accounts.


def test_user_add_makes_an_account_of_each_role_and_viewers_by_default(embedded: Watched) -> None:
    for role in Role:
        made = embedded.invoke(
            "user", "add", f"a {role}", "--role", role.value, "--password-stdin", stdin=f"{PASSWORD}\n"
        )
        assert (made.exit_code, made.stdout) == (ExitCode.OK, f"Made the {role} a {role}.\n")
    plain = embedded.invoke("user", "add", "plain", "--password-stdin", stdin=PASSWORD)
    assert plain.stdout == "Made the viewer plain.\n"

    user = embedded.backend.accounts.authenticate("a admin", PASSWORD)
    assert user is not None
    assert user.role is Role.ADMIN


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("bob", "short", "12 to 200 characters"),
        ("bob", "", "12 to 200 characters"),
        ("bob", "aaaaaaaaaaaaaaaa", "one character repeated"),
        (" bob", PASSWORD, "without spaces at its ends"),
        ("service", PASSWORD, "Choose another"),
        ("x" * 65, PASSWORD, "at most 64"),
    ],
)
def test_user_add_refuses_what_is_not_acceptable_and_says_why(
    embedded: Watched, name: str, password: str, said: str
) -> None:
    refused = embedded.invoke("user", "add", name, "--role", "admin", "--password-stdin", stdin=f"{password}\n")

    assert refused.exit_code == ExitCode.USAGE
    assert said in refused.stderr
    assert PASSWORD not in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not embedded.backend.accounts.has_admin()


def test_user_add_refuses_a_name_that_is_taken_and_keeps_the_first(embedded: Watched) -> None:
    embedded.invoke("user", "add", "bob", "--password-stdin", stdin=PASSWORD)

    refused = embedded.invoke(
        "user", "add", "bob", "--role", "admin", "--password-stdin", stdin="another long password"
    )

    assert refused.exit_code in {ExitCode.USAGE, ExitCode.CONFLICT}
    assert "bob" in refused.stderr
    assert embedded.backend.accounts.authenticate("bob", PASSWORD) is not None


# Jobs.


def test_jobs_are_listed_for_people_and_for_programs(embedded: Watched) -> None:
    assert json.loads(embedded.invoke("job", "list", "--json").stdout) == []
    for name in ("beta", "alpha"):
        embedded.add_job(lua.OK, name=name, schedule="90", reload=False)

    table = embedded.invoke("job", "list").stdout.splitlines()
    assert table[0].split("  ")[0] == "ID"
    assert [line.split()[1] for line in table[1:]] == ["alpha", "beta"]
    rows = json.loads(embedded.invoke("job", "list", "--json").stdout)
    assert [(row["name"], row["status"], row["pending"]) for row in rows] == [
        ("alpha", "ok", "new"),
        ("beta", "ok", "new"),
    ]
    assert [row["name"] for row in json.loads(embedded.invoke("job", "list", "--search", "bet", "--json").stdout)] == [
        "beta"
    ]
    assert json.loads(embedded.invoke("job", "list", "--status", "stopped", "--json").stdout) == []


def test_a_job_is_shown_by_name_or_id_and_an_unknown_one_is_not_found(embedded: Watched) -> None:
    job_id = embedded.add_job(lua.OK, name="daily", reload=False)
    numbered = embedded.add_job(lua.OK, name="4711", reload=False)

    assert "daily.lua" in embedded.invoke("job", "show", "daily").stdout
    shown = json.loads(embedded.invoke("job", "show", str(job_id), "--json").stdout)
    assert shown["job"]["definition"]["name"] == "daily"
    assert shown["runs"] == []
    by_name = json.loads(embedded.invoke("job", "show", "4711", "--json").stdout)
    assert by_name["job"]["row"]["job_id"] == numbered
    for unknown in ("nightly", "99", "9" * 30, "²"):
        for verb in ("show", "run"):
            refused = embedded.invoke("job", verb, unknown)
            assert refused.exit_code == ExitCode.NOT_FOUND, unknown
            assert unknown in refused.stderr
            assert "Traceback" not in refused.stderr


def test_job_run_waits_prints_the_log_and_exits_as_the_run_ended(embedded: Watched) -> None:
    embedded.start_service()
    good = embedded.add_job(lua.script('print("hello") print("world") return job.OK'), name="good", reload=False)
    embedded.add_job(lua.script('\n  error("boom")'), name="bad", reload=False)
    embedded.add_job(lua.STOP, name="stops", reload=False)

    went_well = embedded.run("job", "run", "good", "--wait")
    assert (went_well.returncode, went_well.stdout) == (ExitCode.OK, "hello\nworld\n")
    assert went_well.stderr.rstrip().endswith("ended as ok")
    failed = embedded.run("job", "run", "bad", "--wait")
    assert failed.returncode == ExitCode.FAILED
    assert "ended as failed: bad.lua:4: boom" in failed.stderr
    assert embedded.run("job", "run", "stops", "--wait").returncode == ExitCode.OK
    view = json.loads(embedded.run("job", "run", str(good), "--wait", "--json").stdout)
    assert view["row"]["outcome"] == "ok"
    assert datetime.fromisoformat(view["row"]["started_at"]).utcoffset() is not None
    assert isinstance(view["row"]["duration"], float)


def test_job_run_without_a_service_queues_and_a_wait_says_that_nobody_will_start_it(embedded: Watched) -> None:
    embedded.add_job(lua.OK, name="daily", reload=False)

    queued = embedded.invoke("job", "run", "daily")
    waited = embedded.invoke("job", "run", "daily", "--wait")

    assert queued.exit_code == ExitCode.OK
    assert queued.stdout.rstrip().endswith("is queued.")
    assert waited.exit_code == ExitCode.NOT_RUNNING
    assert "No job service runs; the run waits until one does." in waited.stderr
