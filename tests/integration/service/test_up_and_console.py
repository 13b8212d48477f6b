"""``moontide up`` and ``moontide console`` as real processes."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from pathlib import Path

import pytest

from jobservice.cli.output import ExitCode
from tests.support.processes import Moontide, Process, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(90)

SETUP_LINK = r"http://127\.0\.0\.1:\d+/setup/\S+"


def children_by_command(up: Process) -> dict[str, int]:
    """Return the process ids of the children of ``up`` by what they were started as."""
    found = {}
    for pid in up.children():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        except OSError:
            continue
        for name in ("service", "console"):
            if name in words:
                found[name] = pid
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_up_makes_the_schema_starts_both_watches_over_them_and_ends_both(commands: Moontide) -> None:
    port = free_port()
    up = commands.start(
        "up", ready="The console listens", extra={"MOONTIDE_BIND_PORT": str(port), "MOONTIDE_STOP_GRACE_SECONDS": "1"}
    )
    up.wait_for("The job service runs")
    address = f"http://127.0.0.1:{port}/login"
    assert answers(address)
    link = up.wait_for(SETUP_LINK)
    assert len(re.findall(SETUP_LINK, up.output)) == 1
    assert answers(link)

    first = children_by_command(up)
    os.kill(first["service"], signal.SIGKILL)
    up.wait_for("The service ended with code -9 and is started again")
    wait_until(lambda: up.output.count("The job service runs") == 2, what="the service again")
    os.kill(first["console"], signal.SIGKILL)
    up.wait_for("The console ended with code -9 and is started again")
    wait_until(lambda: up.output.count("The console listens") == 2, what="the console again")
    assert answers(address)
    second = children_by_command(up)
    assert second.keys() == first.keys()
    assert not set(second.values()) & set(first.values())

    assert up.stop() == ExitCode.OK
    wait_until(lambda: not any(is_alive(pid) for pid in second.values()), what="the end of both")
    assert not answers(address)
    assert commands.invoke("service", "status").exit_code == ExitCode.NOT_RUNNING


def test_up_ends_its_children_also_when_it_is_killed(commands: Moontide) -> None:
    up = commands.start(
        "up",
        ready="The job service runs",
        extra={"MOONTIDE_BIND_PORT": str(free_port()), "MOONTIDE_STOP_GRACE_SECONDS": "1"},
    )
    children = wait_until(lambda: len(children_by_command(up)) == 2 and children_by_command(up), what="both")

    up.kill()

    wait_until(lambda: not any(is_alive(pid) for pid in children.values()), what="the end of both")


def test_up_gives_up_where_another_service_works_and_names_it(commands: Moontide) -> None:
    commands.invoke("migrate")
    service = commands.start_service()

    up = commands.run("up", timeout=30)

    assert up.returncode == ExitCode.CONFLICT
    assert f"process {service.pid}" in up.stderr
    assert service.is_alive


def test_the_console_stays_on_this_machine_until_an_admin_exists(commands: Moontide) -> None:
    commands.invoke("migrate")
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        commands.environment["MOONTIDE_BIND_HOST"] = host
        refused = commands.invoke("console")
        assert refused.exit_code == ExitCode.USAGE, host
        assert f"MOONTIDE_BIND_HOST is {host!r}" in refused.stderr
        assert "moontide user add NAME --role admin" in refused.stderr
        assert "Traceback" not in refused.stderr

    made = commands.invoke(
        "user", "add", "alice", "--role", "admin", "--password-stdin", stdin="a long enough password"
    )
    assert made.exit_code == ExitCode.OK
    # A listener that others can reach is no part of a test, so this is another address of this machine.
    commands.environment["MOONTIDE_BIND_HOST"] = "127.0.0.2"
    port = free_port()
    console = commands.start_console(port)
    assert answers(f"http://127.0.0.2:{port}/login")
    assert "/setup/" not in console.output
    assert console.stop() == ExitCode.OK


def test_a_viewer_or_operator_does_not_open_the_console_to_the_world(commands: Moontide) -> None:
    commands.invoke("migrate")
    commands.invoke("user", "add", "vera", "--role", "operator", "--password-stdin", stdin="a long enough password")
    commands.environment["MOONTIDE_BIND_HOST"] = "0.0.0.0"

    assert commands.invoke("console").exit_code == ExitCode.USAGE


def test_a_port_that_another_program_has_is_told_in_one_sentence(commands: Moontide) -> None:
    commands.invoke("migrate")
    port = free_port()
    commands.start_console(port)
    commands.environment["MOONTIDE_BIND_PORT"] = str(port)

    refused = commands.run("console")

    assert refused.returncode == ExitCode.USAGE
    assert "MOONTIDE_BIND_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr
