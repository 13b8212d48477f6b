"""What the service keeps from the side: a graceful stop, the invariant, and the history's bounds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobservice.domain.job import JobStatus, OverlapPolicy
from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.store.nodes import NodeState
from jobservice.testing import FakeClock
from tests.support import lua
from tests.support.cluster import Cluster, keeps_running, outcomes
from tests.support.moontide import settings_for

NO_GRACE = timedelta(0)


def test_a_stop_hands_back_what_is_armed_and_the_next_start_runs_it_on_time(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59)

    node.engine.stop(NO_GRACE)
    assert cluster.run_rows(job_id) == []
    cluster.kill(node)
    cluster.start_node()
    cluster.advance(1)

    (row,) = cluster.run_rows(job_id)
    assert (row.outcome, row.started_at) == (Outcome.OK, row.fire_time)


def test_a_stop_hands_back_what_is_claimed_and_not_started(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59.95)
    node.claim()

    node.engine.stop(NO_GRACE)

    assert cluster.run_rows(job_id) == []
    cluster.kill(node)
    cluster.start_node()
    cluster.advance(1)
    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]
    assert cluster.starts_of(job_id) == 1


def test_a_stop_closes_what_outlasts_the_grace_and_the_next_start_repeats_it(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)

    node.engine.stop(NO_GRACE)
    rows = cluster.run_rows(job_id)
    assert [(row.state, row.outcome) for row in rows] == [
        (RunState.FINISHED, Outcome.ABANDONED),
        (RunState.QUEUED, None),
    ]
    assert rows[0].note.endswith("It is repeated as another attempt.")
    cluster.kill(node)
    cluster.start_node()
    cluster.advance(1)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.ABANDONED), (2, Outcome.OK)]
    assert cluster.nodes.newest()[-1].state is NodeState.STOPPED


def test_a_stop_does_not_repeat_what_the_job_does_not_want_repeated(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60", repeat_after_crash=False)
    cluster.advance(60)

    node.engine.stop(NO_GRACE)

    (row,) = cluster.run_rows(job_id)
    assert row.outcome == Outcome.ABANDONED
    assert "not repeated, as the job asks" in row.note


# The invariant.


def test_a_job_that_waits_for_nothing_is_mended_and_the_log_says_so(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.set_state(job_id, next_fire_at=None)

    assert node.engine.invariant.step(cluster.clock.now()) == 0, "it may be between two writes"
    assert node.engine.invariant.step(cluster.clock.now()) == 1
    cluster.advance(61)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]
    assert "A job waited for nothing and was given a next fire time" in caplog.text
    assert node.engine.invariant.mended == 1


def test_a_healthy_system_has_nothing_to_mend(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    for name, source, fields in (
        ("idle", lua.OK, {}),
        ("running", lua.OK, {"schedule": "10"}),
        ("once", lua.OK, {"run_once": True, "schedule": "10"}),
        ("inactive", lua.OK, {"active": False}),
    ):
        cluster.add_job(source, name=name, **fields)
    stopped = cluster.add_job(lua.STOP, name="stopped", schedule="10")
    cluster.advance(15)
    for run_id, order in list(node.executor.running.items()):
        if order.job_id == stopped:
            node.executor.finish(run_id, Outcome.STOP)
    cluster.step()

    assert [node.engine.invariant.step(cluster.clock.now()) for _ in range(3)] == [0, 0, 0]
    assert cluster.job(stopped).row.status is JobStatus.STOPPED


def test_a_run_once_job_whose_run_was_abandoned_for_good_is_done_until_the_next_boot(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60", run_once=True, repeat_after_crash=False)
    cluster.advance(60)
    node = cluster.kill_and_boot()
    cluster.step()

    status = JobStatus.ONCE_PENDING if node.engine.is_new_boot else JobStatus.ONCE_DONE
    assert cluster.job(job_id).row.status is status
    assert (cluster.job(job_id).row.next_fire_at is not None) == node.engine.is_new_boot
    assert [node.engine.invariant.step(cluster.clock.now()) for _ in range(2)] == [0, 0]


# The history's bounds.


@pytest.fixture
def bounded(tmp_path: Path, database_url: str, clock: FakeClock) -> Iterator[Cluster]:
    """A service that keeps a day, and ten runs a job."""
    whole = Cluster(settings_for(tmp_path, database_url, history_days=1, history_runs_per_job=10), clock)
    yield whole
    whole.close()


def retain(cluster: Cluster) -> int:
    return cluster.node.engine.retention.step(cluster.clock.now())


def test_history_past_its_age_goes_and_the_newest_run_stays(bounded: Cluster) -> None:
    bounded.start_node()
    job_id = bounded.add_job(lua.OK, schedule="every day")
    other = bounded.add_job(lua.OK, name="other", schedule="60")
    bounded.service.run_now(other, by="alice")
    bounded.step()
    bounded.service.deactivate_job(other, by="alice")
    bounded.advance(timedelta(days=3, seconds=5))

    removed = retain(bounded)

    assert removed == 2
    assert len(bounded.run_rows(job_id)) == 1
    (kept,) = bounded.run_rows(other)
    assert bounded.job(other).row.last_run_id == kept.id


def test_history_beyond_its_number_goes_and_the_newest_stay(bounded: Cluster) -> None:
    bounded.start_node()
    job_id = bounded.add_job(lua.OK, schedule="10")
    bounded.advance(251)
    fire_times = [row.fire_time for row in bounded.run_rows(job_id)]

    retain(bounded)

    assert [row.fire_time for row in bounded.run_rows(job_id)] == fire_times[-10:]
    assert retain(bounded) == 0


def test_the_last_real_run_stays_behind_any_number_of_skipped_fire_times(bounded: Cluster) -> None:
    node = bounded.start_node(keeps_running)
    job_id = bounded.add_job(lua.OK, schedule="10", overlap=OverlapPolicy.SKIP)
    bounded.advance(10)
    node.finish()
    bounded.advance(10)  # The next one goes on and on.
    bounded.advance(300)
    last_run_id = bounded.job(job_id).row.last_run_id

    retain(bounded)

    rows = bounded.run_rows(job_id)
    assert last_run_id in {row.id for row in rows}
    assert {row.state for row in rows} == {RunState.FINISHED, RunState.RUNNING}
    assert bounded.queries.get_run(last_run_id).row.outcome is Outcome.OK


def test_what_has_not_ended_is_never_removed(bounded: Cluster) -> None:
    bounded.start_node(keeps_running)
    job_id = bounded.add_job(lua.OK, schedule="every day")
    run_id = bounded.service.run_now(job_id, by="alice")
    bounded.step()
    bounded.clock.advance(timedelta(days=10))
    bounded.step()

    retain(bounded)

    assert (run_id, Cause.HAND) in {(row.id, row.cause) for row in bounded.run_rows(job_id)}
