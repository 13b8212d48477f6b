"""What people do while a run is armed, up to two seconds ahead of its fire time, still counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.job import JobId, JobStatus, OverlapPolicy
from jobservice.domain.run import Cause, Outcome, RunState
from tests.support import lua
from tests.support.cluster import Cluster, check_nothing_started_twice, keeps_running, outcomes

SECOND = timedelta(seconds=1)


@pytest.fixture
def armed(cluster: Cluster) -> JobId:
    """A job of one node, armed for a fire time that is one second away."""
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59)
    assert [row.state for row in cluster.run_rows(job_id)] == [RunState.LEASED]
    return job_id


def test_a_job_deactivated_while_armed_does_not_start(cluster: Cluster, armed: JobId) -> None:
    cluster.service.deactivate_job(armed, by="alice")
    cluster.advance(120)

    assert cluster.run_rows(armed) == []
    assert cluster.starts_of(armed) == 0


def test_a_job_deleted_while_armed_does_not_start(cluster: Cluster, armed: JobId) -> None:
    cluster.service.delete_job(armed, delete_script=True, by="alice")
    cluster.advance(120)

    assert cluster.run_rows(armed) == []
    assert cluster.starts_of(armed) == 0


def test_a_job_reloaded_as_inactive_while_armed_does_not_start(cluster: Cluster, armed: JobId) -> None:
    cluster.edit(armed, active=False)
    cluster.reload()
    cluster.advance(120)

    assert cluster.run_rows(armed) == []
    assert cluster.job(armed).row.status is JobStatus.INACTIVE


def test_an_edit_without_a_reload_leaves_what_is_armed_alone(cluster: Cluster, armed: JobId) -> None:
    cluster.edit(armed, schedule="600")
    cluster.advance(1)

    assert outcomes(cluster.run_rows(armed)) == [(1, Outcome.OK)]


def test_a_schedule_reloaded_while_armed_moves_the_fire_time(cluster: Cluster, armed: JobId) -> None:
    planned = cluster.run_rows(armed)[0].fire_time
    cluster.edit(armed, schedule="600")
    cluster.reload()
    cluster.advance(541)

    assert [row.fire_time for row in cluster.run_rows(armed)] == [planned + 540 * SECOND]
    assert cluster.starts_of(armed) == 1


def test_a_script_saved_while_armed_is_what_runs(cluster: Cluster, armed: JobId) -> None:
    cluster.save("job.lua", lua.SLEEP)
    cluster.advance(1)

    assert [order.source for order in cluster.all_orders()] == [lua.SLEEP]


def test_limits_reloaded_while_armed_are_what_the_run_gets(cluster: Cluster, armed: JobId) -> None:
    cluster.edit(armed, time_limit_s=5)
    cluster.reload()
    cluster.advance(1)

    assert [order.time_limit for order in cluster.all_orders()] == [timedelta(seconds=5)]
    assert outcomes(cluster.run_rows(armed)) == [(1, Outcome.OK)]


@pytest.mark.parametrize("overlap", list(OverlapPolicy))
def test_a_reload_of_a_frequent_job_starts_each_of_its_fire_times_once(
    cluster: Cluster, overlap: OverlapPolicy
) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="1", overlap=overlap)
    for number in range(6):
        cluster.advance(1.5)
        cluster.edit(job_id, description=f"edit {number}", time_limit_s=10 + number)
        cluster.reload()
    cluster.advance(3)

    cluster.check_history(job_id, interval_s=1)
    done = [row for row in cluster.run_rows(job_id) if row.state == RunState.FINISHED]
    assert {row.outcome for row in done} == {Outcome.OK}
    assert cluster.starts_of(job_id) == len(done)


def test_a_run_by_hand_that_was_leased_before_a_reload_and_again_after_it_starts_once(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="every day")
    run_id = cluster.service.run_now(job_id, by="alice")
    node.tick()
    cluster.edit(job_id, description="new")
    cluster.service.request_reload(by="alice")
    node.tick()

    cluster.step()
    node.finish()
    cluster.step()

    assert [order.run_id for order in cluster.all_orders()] == [run_id]
    assert [(row.id, row.outcome) for row in cluster.run_rows(job_id)] == [(run_id, Outcome.OK)]


def test_a_fire_time_that_waits_for_its_job_is_closed_when_the_job_is_deactivated(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="10", overlap=OverlapPolicy.QUEUE)
    cluster.advance(21)
    assert [row.state for row in cluster.run_rows(job_id)] == [RunState.RUNNING, RunState.QUEUED]

    cluster.service.deactivate_job(job_id, by="alice")
    node.finish()
    cluster.advance(60)

    rows = cluster.run_rows(job_id)
    assert outcomes(rows) == [(1, Outcome.OK), (1, Outcome.CANCELLED)]
    assert "deactivated" in rows[1].note
    assert cluster.starts_of(job_id) == 1


def test_a_repeat_that_waits_is_closed_when_the_job_is_deactivated_and_a_run_by_hand_is_not(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)
    cluster.node.engine.stop(timedelta(0))  # It ends the run, which leaves a repeat in the queue.
    cluster.kill(cluster.node)
    by_hand = cluster.service.run_now(job_id, by="alice")

    cluster.service.deactivate_job(job_id, by="alice")
    cluster.start_node()
    cluster.advance(30)

    rows = cluster.run_rows(job_id)
    assert [(row.cause, row.outcome) for row in rows] == [
        (Cause.SCHEDULE, Outcome.ABANDONED),
        (Cause.RETRY, Outcome.CANCELLED),
        (Cause.HAND, Outcome.OK),
    ]
    assert rows[2].id == by_hand


@pytest.mark.parametrize("overlap", [OverlapPolicy.SKIP, OverlapPolicy.ALLOW])
def test_a_run_that_goes_on_finishes_when_its_job_is_deactivated(cluster: Cluster, overlap: OverlapPolicy) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60", overlap=overlap)
    cluster.advance(60)

    cluster.service.deactivate_job(job_id, by="alice")
    cluster.advance(1)
    node.finish()
    cluster.advance(300)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]
    assert cluster.job(job_id).row.status is JobStatus.INACTIVE


# Cancelling, at every step of a run's life.


def test_a_queued_run_is_cancelled_at_once(cluster: Cluster) -> None:
    job_id = cluster.add_job(lua.OK, schedule="every day")
    run_id = cluster.service.run_now(job_id, by="alice")

    cluster.service.cancel_run(run_id, by="bob")

    (row,) = cluster.run_rows(job_id)
    assert (row.outcome, row.note) == (Outcome.CANCELLED, "Cancelled by bob before it started.")
    cluster.start_node()
    cluster.advance(5)
    assert cluster.starts_of(job_id) == 0


def test_an_armed_run_is_cancelled_and_its_job_goes_on(cluster: Cluster, armed: JobId) -> None:
    (row,) = cluster.run_rows(armed)

    cluster.service.cancel_run(row.id, by="bob")
    cluster.advance(62)

    rows = cluster.run_rows(armed)
    assert outcomes(rows) == [(1, Outcome.CANCELLED), (1, Outcome.OK)]
    assert rows[0].note == "Cancelled by bob before it started."
    cluster.check_history(armed, interval_s=60)


def test_a_claimed_run_is_cancelled_before_it_is_handed_over(cluster: Cluster, armed: JobId) -> None:
    cluster.clock.advance(timedelta(seconds=0.95))
    cluster.node.claim()
    (row,) = cluster.run_rows(armed)
    assert row.state == RunState.RUNNING

    cluster.service.cancel_run(row.id, by="bob")
    cluster.node.tick()
    cluster.advance(1)

    (row,) = cluster.run_rows(armed)
    assert (row.outcome, row.note) == (Outcome.CANCELLED, "Cancelled before it started.")
    assert cluster.starts_of(armed) == 0


def test_a_running_run_is_cancelled_and_its_job_goes_on(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)
    (row,) = cluster.run_rows(job_id)

    cluster.service.cancel_run(row.id, by="bob")
    cluster.step()

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.CANCELLED)]
    assert cluster.job(job_id).row.status is JobStatus.OK
    cluster.advance(60)
    assert cluster.starts_of(job_id) == 2


def test_a_run_that_was_to_be_cancelled_is_not_repeated_after_a_crash(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="every day")
    run_id = cluster.service.run_now(job_id, by="alice")
    cluster.step()
    cluster.service.cancel_run(run_id, by="bob")

    cluster.kill_and_boot()
    cluster.advance(5)

    (row,) = cluster.run_rows(job_id)
    assert row.outcome == Outcome.ABANDONED
    assert "not repeated, since it was to be cancelled" in row.note


# Deleting a job during its run.


def test_deleting_a_job_ends_its_run_and_then_removes_its_history(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)

    cluster.service.delete_job(job_id, delete_script=True, by="alice")
    cluster.step()
    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.CANCELLED)]
    node.engine.retention.step(cluster.clock.now())

    assert cluster.run_rows(job_id) == []
    assert node.executor.running == {}


def test_a_job_deleted_during_its_run_is_not_repeated_after_a_crash(cluster: Cluster) -> None:
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)
    cluster.service.delete_job(job_id, delete_script=True, by="alice")

    node = cluster.kill_and_boot()
    cluster.advance(120)
    node.engine.retention.step(cluster.clock.now())

    assert cluster.starts_of(job_id) == 1
    assert cluster.run_rows(job_id) == []


def test_a_new_job_of_the_same_name_and_path_does_not_inherit_a_deleted_one(cluster: Cluster) -> None:
    node = cluster.start_node(keeps_running)
    old = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(60)
    cluster.service.delete_job(old, delete_script=True, by="alice")

    new = cluster.add_job(lua.SLEEP, schedule="60")
    node.executor.behaviour = lambda _: Outcome.OK
    cluster.advance(61)

    assert new != old
    assert [(row.cause, row.outcome) for row in cluster.run_rows(new)] == [(Cause.SCHEDULE, Outcome.OK)]
    check_nothing_started_twice(cluster.all_orders())
