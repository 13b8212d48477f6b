"""Fire times that passed, overlapped, or met a clock that jumped: each ends as a run or as a recorded reason."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.fire_plan import CATCH_UP_LIMIT
from jobservice.domain.job import JobId, MisfirePolicy, OverlapPolicy
from jobservice.domain.run import Outcome, RunState
from tests.support import lua
from tests.support.cluster import Cluster, check_nothing_started_twice, keeps_running, outcomes

HOUR = timedelta(hours=1)


def after_downtime(cluster: Cluster, *, down_s: float, **fields: object) -> JobId:
    """Add a job that runs every minute, run it once, and start the service again after a downtime."""
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60", **fields)
    cluster.advance(61)
    cluster.kill(cluster.node)
    cluster.clock.advance(timedelta(seconds=down_s))
    cluster.start_node()
    cluster.advance(14)
    return job_id


def lines(cluster: Cluster, job_id: JobId) -> list[tuple[str, int]]:
    """Return (outcome, number of fire times) of each row of a history."""
    return [(row.outcome, row.fire_count) for row in cluster.run_rows(job_id) if row.state == RunState.FINISHED]


def test_policy_last_makes_one_run_of_all_missed_fire_times(cluster: Cluster) -> None:
    job_id = after_downtime(cluster, down_s=600, misfire=MisfirePolicy.LAST)

    assert lines(cluster, job_id) == [(Outcome.OK, 1), (Outcome.OK, 10)]
    cluster.check_history(job_id, interval_s=60)
    assert cluster.starts_of(job_id) == 2


def test_policy_skip_records_how_many_fire_times_passed_their_grace_and_why_they_did_not_run(cluster: Cluster) -> None:
    job_id = after_downtime(cluster, down_s=600, misfire=MisfirePolicy.SKIP, misfire_grace_s=150)

    assert lines(cluster, job_id) == [(Outcome.OK, 1), (Outcome.MISFIRED, 7), (Outcome.OK, 3)]
    note = cluster.run_rows(job_id)[1].note
    assert note == (
        "These 7 fire times passed while no service could start the job, and the job's misfire policy leaves it out."
    )
    cluster.check_history(job_id, interval_s=60)


def test_policy_skip_within_its_grace_still_runs(cluster: Cluster) -> None:
    job_id = after_downtime(cluster, down_s=60, misfire=MisfirePolicy.SKIP, misfire_grace_s=60)

    assert lines(cluster, job_id) == [(Outcome.OK, 1), (Outcome.OK, 1)]


def test_policy_all_runs_every_missed_fire_time_in_turn(cluster: Cluster) -> None:
    job_id = after_downtime(cluster, down_s=600, misfire=MisfirePolicy.ALL, overlap=OverlapPolicy.ALLOW)

    assert lines(cluster, job_id) == [(Outcome.OK, 1)] * 11
    cluster.check_history(job_id, interval_s=60)
    assert cluster.starts_of(job_id) == 11


def test_policy_all_catches_up_with_a_hundred_and_records_the_rest(cluster: Cluster) -> None:
    job_id = after_downtime(
        cluster, down_s=60 * (CATCH_UP_LIMIT + 20), misfire=MisfirePolicy.ALL, overlap=OverlapPolicy.ALLOW
    )

    assert lines(cluster, job_id)[1] == (Outcome.MISFIRED, 20)
    assert lines(cluster, job_id)[2:] == [(Outcome.OK, 1)] * CATCH_UP_LIMIT
    cluster.check_history(job_id, interval_s=60)


def test_a_job_of_one_second_is_whole_after_a_long_downtime(cluster: Cluster) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="1")
    cluster.advance(3)
    cluster.kill(cluster.node)
    cluster.clock.advance(timedelta(days=30))
    cluster.start_node()
    cluster.advance(14)

    cluster.check_history(job_id, interval_s=1)


# Overlaps.


def overlapping(cluster: Cluster, policy: OverlapPolicy) -> JobId:
    """Let three fire times come while the first run goes on."""
    cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="10", overlap=policy)
    cluster.advance(31)
    return job_id


def test_overlap_skip_leaves_fire_times_out_and_says_why(cluster: Cluster) -> None:
    job_id = overlapping(cluster, OverlapPolicy.SKIP)
    cluster.node.finish()
    cluster.advance(10)

    rows = cluster.run_rows(job_id)
    assert outcomes(rows[:3]) == [(1, Outcome.OK), (1, Outcome.SKIPPED), (1, Outcome.SKIPPED)]
    assert rows[1].note == "The job was running already, and its overlap policy leaves this fire time out."
    assert cluster.starts_of(job_id) == 2
    cluster.check_history(job_id, interval_s=10)


def test_overlap_queue_lets_one_fire_time_wait_and_leaves_the_others_out(cluster: Cluster) -> None:
    job_id = overlapping(cluster, OverlapPolicy.QUEUE)
    assert [row.state for row in cluster.run_rows(job_id)] == [RunState.RUNNING, RunState.QUEUED, RunState.FINISHED]
    cluster.node.finish()
    cluster.step()

    rows = cluster.run_rows(job_id)
    assert [(row.state, row.outcome) for row in rows[:3]] == [
        (RunState.FINISHED, Outcome.OK),
        (RunState.RUNNING, None),
        (RunState.FINISHED, Outcome.SKIPPED),
    ]
    assert len(cluster.node.executor.running) == 1


def test_overlap_allow_runs_beside_itself(cluster: Cluster) -> None:
    job_id = overlapping(cluster, OverlapPolicy.ALLOW)

    assert len(cluster.node.executor.running) == 3
    cluster.node.finish()
    cluster.step()
    assert lines(cluster, job_id)[:3] == [(Outcome.OK, 1)] * 3


@pytest.mark.parametrize("ends_by", ["stop", "kill"])
def test_a_fire_time_that_waited_for_its_job_survives_the_end_of_the_service(cluster: Cluster, ends_by: str) -> None:
    job_id = overlapping(cluster, OverlapPolicy.QUEUE)
    cluster.node.finish()
    cluster.node.record()
    cluster.node.tick()  # The fire time that waited is leased again; a later one is on record as left out.
    if ends_by == "stop":
        cluster.node.engine.stop(timedelta(0))

    cluster.kill_and_boot()
    cluster.advance(15)

    rows = cluster.run_rows(job_id)
    assert outcomes(rows[:3]) == [(1, Outcome.OK), (1, Outcome.OK), (1, Outcome.SKIPPED)]
    cluster.check_history(job_id, interval_s=10)


# The wall clock jumps.


def test_a_clock_set_back_by_an_hour_starts_no_fire_time_twice_and_loses_none(cluster: Cluster) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(185)
    before = cluster.clock.now()
    starts = cluster.starts_of(job_id)

    cluster.clock.advance(-HOUR)
    cluster.advance(timedelta(minutes=30))
    assert cluster.starts_of(job_id) == starts, "it waits until its next fire time comes again"
    cluster.advance_to(before + timedelta(minutes=2))

    cluster.check_history(job_id, interval_s=60)
    assert lines(cluster, job_id) == [(Outcome.OK, 1)] * 5


def test_a_clock_set_back_while_a_run_is_armed_starts_it_once(cluster: Cluster) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59)
    before = cluster.clock.now()

    cluster.clock.advance(-HOUR)
    cluster.advance_to(before + timedelta(seconds=30))

    assert lines(cluster, job_id) == [(Outcome.OK, 1)]
    check_nothing_started_twice(cluster.all_orders())


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (MisfirePolicy.LAST, [(Outcome.OK, 3), (Outcome.OK, 60)]),
        (MisfirePolicy.SKIP, [(Outcome.OK, 3), (Outcome.MISFIRED, 58), (Outcome.OK, 2)]),
    ],
)
def test_a_clock_set_ahead_by_an_hour_is_a_downtime_like_any_other(
    cluster: Cluster, policy: MisfirePolicy, expected: list[tuple[Outcome, int]]
) -> None:
    cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60", misfire=policy, misfire_grace_s=70)
    cluster.advance(185)

    cluster.clock.advance(HOUR)
    cluster.advance(2)

    ran = lines(cluster, job_id)
    assert [(Outcome.OK, len(ran[:3])), *ran[3:]] == expected
    cluster.check_history(job_id, interval_s=60)
