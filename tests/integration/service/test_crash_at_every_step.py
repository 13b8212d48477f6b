"""kill -9 between any two steps of a run's life loses nothing and starts nothing twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.job import JobId
from jobservice.domain.run import Outcome, RunState
from jobservice.store.runs import MAX_ATTEMPTS
from tests.support import lua
from tests.support.cluster import (
    Cluster,
    check_attempts,
    check_nothing_started_twice,
    keeps_running,
    outcomes,
)

INTERVAL_S = 60
REPEATED = [(1, Outcome.ABANDONED), (2, Outcome.OK)]
GIVEN_UP = [(1, Outcome.ABANDONED)]


def at_first_fire_time(cluster: Cluster, **fields: object) -> JobId:
    """Add a job and go to 50 ms before its first fire time, with its run armed and nothing claimed."""
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule=str(INTERVAL_S), **fields)
    cluster.advance(INTERVAL_S - 1)
    assert [row.state for row in cluster.run_rows(job_id)] == [RunState.LEASED]
    cluster.clock.advance(timedelta(seconds=0.95))
    return job_id


def to_running(cluster: Cluster) -> None:
    cluster.node.claim()
    cluster.clock.advance(timedelta(seconds=0.05))
    cluster.node.hand_over()
    assert cluster.node.executor.running


def check_life_goes_on(cluster: Cluster, job_id: JobId, first: list[tuple[int, Outcome]]) -> None:
    """The first fire time ended as ``first``, the next ones run on the old grid, and nothing was started twice."""
    fire_time = cluster.clock.now().replace(hour=12, minute=1, second=0, microsecond=0)
    cluster.advance_to(fire_time + timedelta(seconds=3.5 * INTERVAL_S))
    rows = cluster.run_rows(job_id)
    assert rows[0].fire_time == fire_time
    assert outcomes([row for row in rows if row.fire_time == fire_time]) == first
    assert outcomes([row for row in rows if row.fire_time > fire_time]) == [(1, Outcome.OK)] * 3
    cluster.check_history(job_id, interval_s=INTERVAL_S)


@pytest.mark.parametrize("repeat", [True, False])
def test_a_run_that_was_planned_and_not_claimed_runs_once_after_a_crash(cluster: Cluster, *, repeat: bool) -> None:
    job_id = at_first_fire_time(cluster, repeat_after_crash=repeat)

    cluster.kill_and_boot()

    check_life_goes_on(cluster, job_id, [(1, Outcome.OK)])
    assert cluster.starts_of(job_id) == 4


@pytest.mark.parametrize(("repeat", "first"), [(True, REPEATED), (False, GIVEN_UP)])
def test_a_run_that_was_claimed_and_not_handed_over_is_abandoned_and_repeated_where_allowed(
    cluster: Cluster, first: list[tuple[int, Outcome]], *, repeat: bool
) -> None:
    job_id = at_first_fire_time(cluster, repeat_after_crash=repeat)
    cluster.node.claim()

    cluster.kill_and_boot()

    check_life_goes_on(cluster, job_id, first)
    assert cluster.starts_of(job_id) == (4 if repeat else 3)


@pytest.mark.parametrize("start_is_recorded", [True, False])
@pytest.mark.parametrize(("repeat", "first"), [(True, REPEATED), (False, GIVEN_UP)])
def test_a_run_that_was_going_on_is_abandoned_and_repeated_where_allowed(
    cluster: Cluster, first: list[tuple[int, Outcome]], *, repeat: bool, start_is_recorded: bool
) -> None:
    job_id = at_first_fire_time(cluster, repeat_after_crash=repeat)
    to_running(cluster)
    if start_is_recorded:
        cluster.node.record()

    cluster.kill_and_boot()

    check_life_goes_on(cluster, job_id, first)


@pytest.mark.parametrize(("repeat", "first"), [(True, REPEATED), (False, GIVEN_UP)])
def test_a_run_whose_end_was_not_recorded_is_abandoned_and_repeated_where_allowed(
    cluster: Cluster, first: list[tuple[int, Outcome]], *, repeat: bool
) -> None:
    job_id = at_first_fire_time(cluster, repeat_after_crash=repeat)
    to_running(cluster)
    cluster.node.finish()

    cluster.kill_and_boot()

    check_life_goes_on(cluster, job_id, first)


def test_a_run_whose_end_was_recorded_is_not_repeated(cluster: Cluster) -> None:
    job_id = at_first_fire_time(cluster)
    to_running(cluster)
    cluster.node.finish()
    cluster.node.record()

    cluster.kill_and_boot()

    check_life_goes_on(cluster, job_id, [(1, Outcome.OK)])


@pytest.mark.parametrize(
    ("repeat", "said"), [(True, "It is repeated as another attempt."), (False, "It is not repeated, as the job asks.")]
)
def test_an_abandoned_run_says_what_happened_and_what_follows(cluster: Cluster, said: str, *, repeat: bool) -> None:
    job_id = at_first_fire_time(cluster, repeat_after_crash=repeat)
    to_running(cluster)

    cluster.kill_and_boot()

    note = cluster.run_rows(job_id)[0].note
    assert "ended while this run was going on." in note
    assert note.endswith(said)


def test_a_fire_time_that_always_brings_the_service_down_is_given_up_after_five_attempts(cluster: Cluster) -> None:
    job_id = at_first_fire_time(cluster)
    to_running(cluster)
    fire_time = cluster.run_rows(job_id)[0].fire_time

    for _ in range(MAX_ATTEMPTS + 1):
        cluster.kill_and_boot(lambda order: None if order.job_id == job_id else Outcome.OK)
        cluster.step()

    rows = [row for row in cluster.run_rows(job_id) if row.fire_time == fire_time]
    assert outcomes(rows) == [(attempt, Outcome.ABANDONED) for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert f"not repeated again after {MAX_ATTEMPTS} attempts" in rows[-1].note
    check_nothing_started_twice(cluster.all_orders())


def test_a_run_asked_for_by_hand_survives_a_crash_at_every_step(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="every day")
    run_id = cluster.service.run_now(job_id, by="alice")

    cluster.kill_and_boot(keeps_running)  # It was queued.
    cluster.node.tick()
    cluster.kill_and_boot(keeps_running)  # It was leased, and on PostgreSQL going on.
    cluster.step()
    cluster.kill_and_boot()  # It was going on.
    cluster.step()

    rows = cluster.run_rows(job_id)
    assert rows[0].id == run_id
    assert rows[-1].outcome == Outcome.OK
    assert all(row.outcome == Outcome.ABANDONED for row in rows[:-1])
    check_attempts(rows)
    check_nothing_started_twice(cluster.all_orders())


def test_a_crash_in_the_middle_of_many_jobs_loses_no_fire_time(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    jobs = [cluster.add_job(lua.OK, name=f"job{n}", schedule=str(5 + n), reload=False) for n in range(12)]
    cluster.reload()
    for _ in range(6):
        cluster.advance(7.3, tick_s=0.7)
        cluster.node.finish()
        cluster.kill_and_boot(keeps_running)
    cluster.kill_and_boot()
    cluster.advance(20)

    for n, job_id in enumerate(jobs):
        cluster.check_history(job_id, interval_s=5 + n)


def test_a_reload_that_was_asked_for_survives_a_crash(cluster: Cluster) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, reload=False)
    cluster.service.request_reload(by="alice")

    cluster.kill_and_boot()
    cluster.step()

    assert cluster.job(job_id).row.pending is None
    assert cluster.job(job_id).row.next_fire_at is not None
