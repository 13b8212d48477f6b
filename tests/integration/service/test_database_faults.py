"""The database goes away, or refuses to write: the service says so, keeps running, and catches up."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobservice.cli.output import ExitCode
from jobservice.domain.errors import StoreUnavailableError
from jobservice.domain.job import JobId, OverlapPolicy
from jobservice.domain.run import Outcome, RunState
from jobservice.store.engine import Database
from jobservice.store.schema import migrate
from jobservice.testing import FakeClock
from tests.support import lua
from tests.support.cluster import Cluster, check_history, outcomes
from tests.support.moontide import copy_template, settings_for
from tests.support.postgresql import PostgresServer, programs
from tests.support.waiting import pass_real_time
from tests.support.watched import LONG, Watched

pytestmark = pytest.mark.timeout(110)

WORK = lua.script('print("at work") return job.OK')


def add_load(moontide: Watched, count: int) -> list[JobId]:
    jobs = [
        moontide.add_job(WORK, name=f"job{n}", schedule="1", overlap=OverlapPolicy.ALLOW, reload=False)
        for n in range(count)
    ]
    moontide.backend.service.request_reload(by="alice")
    for job_id in jobs:
        moontide.wait_for_rows(job_id, lambda rows: any(row.outcome == Outcome.OK for row in rows))
    return jobs


def check_whole(moontide: Watched, jobs: list[JobId]) -> None:
    for job_id in jobs:
        check_history(moontide.rows(job_id), interval_s=1, until=moontide.planned_up_to(job_id))


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may stop."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(found)
    yield server
    server.remove()


def verbs(moontide: Watched, job_id: JobId) -> list[Callable[[], object]]:
    service, queries = moontide.backend.service, moontide.backend.queries
    return [
        lambda: service.run_now(job_id, by="alice"),
        lambda: service.request_reload(by="alice"),
        lambda: service.deactivate_job(job_id, by="alice"),
        lambda: service.save_script("job0.lua", lua.OK, expected_revision=1, by="alice"),
        queries.list_jobs,
        queries.service_status,
    ]


@pytest.mark.postgresql
def test_a_server_that_goes_away_for_a_while_loses_no_fire_time_and_doubles_none(
    tmp_path: Path, own_server: PostgresServer
) -> None:
    url = own_server.url("postgres")
    database = Database(url)
    migrate(database)
    database.close()
    moontide = Watched(tmp_path, url, MOONTIDE_STOP_GRACE_SECONDS="1")
    try:
        service = moontide.start_service()
        jobs = add_load(moontide, 20)
        long = moontide.add_job(LONG, name="long")
        run_id = moontide.run_now(long)
        moontide.wait_for_start(run_id)

        own_server.stop()
        for verb in verbs(moontide, jobs[0]):
            with pytest.raises(StoreUnavailableError, match=r"The database is not available: ."):
                verb()
        assert moontide.invoke("service", "status").exit_code == ExitCode.UNAVAILABLE
        service.wait_for("heartbeat waits: The database is not available")
        pass_real_time(4)
        assert service.is_alive, service.output
        own_server.start()
        service.wait_for(r"heartbeat goes on after \d+\.\d s")
        moontide.wait_for_rows(
            jobs[0], lambda rows: sum(row.outcome == Outcome.OK for row in rows[-5:]) >= 3, timeout_s=30
        )
        assert "Traceback" not in service.output
        assert [row.id for row in moontide.rows(long)] == [run_id], "it ran on all the while"
        assert moontide.rows(long)[0].state == RunState.RUNNING

        # A stop without the database leaves the rest to the next start.
        own_server.stop()
        service.stop(timeout=20)
        own_server.start()
        moontide.backend.database.close()  # The test's own connections have died too.
        moontide.save("long.lua", lua.OK)
        service = moontide.start_service()
        moontide.wait_for_rows(long, lambda rows: outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)])
        assert service.stop() == ExitCode.OK
        check_whole(moontide, jobs)
    finally:
        moontide.close()


def let_write(pid: int, size: int) -> None:
    """Let a process write no file beyond ``size`` bytes, as if its disk were full."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_file_that_cannot_be_written_stops_nothing_for_good(embedded: Watched) -> None:
    service = embedded.start_service()
    jobs = add_load(embedded, 10)

    let_write(service.pid, 1)
    said = service.wait_for(r"\w+ waits: The database is not available: [^\n]+")
    assert said.partition("not available: ")[2]
    pass_real_time(3)
    assert service.is_alive, service.output
    let_write(service.pid, resource.RLIM_INFINITY)
    service.wait_for(r"heartbeat goes on after \d+\.\d s")
    before = len(embedded.rows(jobs[0]))
    embedded.wait_for_rows(jobs[0], lambda rows: len(rows) > before + 2 and rows[-3].outcome == Outcome.OK)
    assert service.stop() == ExitCode.OK

    assert "Traceback" not in service.output
    check_whole(embedded, jobs)


# A full disk, step by step.


@pytest.fixture
def full(tmp_path: Path, migrated_template: Path, clock: FakeClock) -> Iterator[Cluster]:
    """A service with a run that has ended, on a file that can grow no more."""
    copy_template(migrated_template, tmp_path)
    cluster = Cluster(settings_for(tmp_path), clock)
    cluster.start_node()
    cluster.add_job(lua.OK, schedule="60")
    yield cluster
    cluster.close()


def set_pages(cluster: Cluster, count: int) -> None:
    """Let the database file have at most ``count`` pages; fewer than it has means not one more."""
    with cluster.database.read() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {count}")


def fill(cluster: Cluster) -> None:
    """Use up the free space within the file's last page."""
    set_pages(cluster, 1)
    with pytest.raises(StoreUnavailableError):  # noqa: PT012 - some revisions still fit
        for number in range(1, 1_000):
            cluster.save("filler.lua", f"-- {number}" + "x" * 2_000)


def test_a_full_disk_is_named_to_whoever_presses_a_button_and_nothing_is_half_done(full: Cluster) -> None:
    fill(full)
    before = full.queries.get_script("job.lua")
    longer = lua.OK + "-- " + "x" * 100_000

    with pytest.raises(StoreUnavailableError, match="database or disk is full"):
        full.save("job.lua", longer)

    assert full.queries.get_script("job.lua") == before
    set_pages(full, 1_000_000)
    full.save("job.lua", longer)
    assert full.queries.get_script("job.lua").source == longer


def test_ends_that_find_a_full_disk_are_kept_and_recorded_later(full: Cluster) -> None:
    job_id = full.queries.find_job_id("job")
    full.advance(59.5)
    assert [row.state for row in full.run_rows(job_id)] == [RunState.LEASED]
    full.clock.move_to(full.run_rows(job_id)[0].fire_time)
    node = full.node
    node.claim()
    node.executor.behaviour = lambda _: None
    node.hand_over()
    (run_id,) = node.executor.running
    fill(full)
    node.engine.recorder.run_output(run_id, "x" * 200_000 + "\n", full.clock.now())
    node.finish()

    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="database or disk is full"):
            node.record()
    assert [row.state for row in full.run_rows(job_id)] == [RunState.RUNNING]

    set_pages(full, 1_000_000)
    node.record()
    assert outcomes(full.run_rows(job_id)) == [(1, Outcome.OK)]
    assert len(full.log(run_id)) == 200_001
    node.executor.behaviour = lambda _: Outcome.OK
    full.advance(180)
    full.check_history(job_id, interval_s=60)
