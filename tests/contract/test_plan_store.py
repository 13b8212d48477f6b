"""Plans: a fire time is decided once, and its run and the job's next fire time move together."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from jobservice.domain.fire_plan import FirePlan
from jobservice.domain.job import MisfirePolicy, OverlapPolicy
from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.store.planning import DueJob, retract
from tests.contract.rows import Rows


def test_run_rows_and_next_fire_time_move_together(rows: Rows):
    node, job_id, start = rows.node(), rows.job(), rows.now

    armed, claimed = rows.plan(node)

    assert claimed == 1
    (row,) = rows.run_rows()
    assert [(run.run_id, run.fire_time, run.fence, run.attempt) for run in armed] == [
        (row.id, start + timedelta(seconds=60), 1, 1)
    ]
    assert (row.state, row.node_id, row.cause, row.path) == (RunState.LEASED, node, Cause.SCHEDULE, "job.lua")
    state = rows.state_row(job_id)
    assert state.next_fire_at == start + timedelta(seconds=120)
    assert state.anchor_at == start + timedelta(seconds=60)


def test_a_rule_that_fails_leaves_no_trace_of_the_transaction(rows: Rows):
    node, first, second = rows.node(), rows.job("a"), rows.job("b")
    before = [rows.state_row(first), rows.state_row(second)]

    def fails_for_the_second(job: DueJob) -> FirePlan:
        if job.job_id == second:
            raise RuntimeError("killed here")
        return rows.rule(60)(job)

    with pytest.raises(RuntimeError):
        rows.plans.plan_due(
            fails_for_the_second, now=rows.now, horizon=rows.now + timedelta(seconds=60), node_id=node, limit=10
        )

    assert rows.run_rows() == []
    assert [rows.state_row(first), rows.state_row(second)] == before


def test_two_nodes_that_plan_at_once_decide_each_fire_time_once(rows: Rows):
    nodes = [rows.node(), rows.node()]
    jobs = [rows.create(f"job{n}") for n in range(12)]
    rows.reload()
    together = threading.Barrier(2, timeout=10)
    armed: list[tuple[int, int]] = []

    def plan_all(node_id: int) -> None:
        together.wait()
        while True:
            runs, claimed = rows.plan(node_id, limit=5)
            armed.extend((run.job_id, run.run_id) for run in runs)
            if not claimed:
                return

    threads = [threading.Thread(target=plan_all, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(job for job, _ in armed) == sorted(jobs)
    assert sorted(run for _, run in armed) == [row.id for row in rows.run_rows()]


def test_a_fire_time_on_record_is_not_started_again_when_the_clock_goes_back(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.plan(node)
    with rows.database.write() as connection:  # As a restored backup of the job's state would have it.
        connection.exec_driver_sql("UPDATE job_state SET next_fire_at = anchor_at")

    armed, claimed = rows.plan(node)

    assert (armed, claimed) == ([], 1)
    assert len(rows.run_rows(job_id)) == 1


def test_at_most_limit_jobs_are_claimed_those_due_first_before_others(rows: Rows):
    node = rows.node()
    for number in (3, 1, 2):
        rows.job(f"job{number}", schedule=str(number * 10))

    first, claimed = rows.plan(node, limit=2, ahead_s=30)
    rest, _ = rows.plan(node, limit=2, ahead_s=30)

    assert claimed == 2
    assert {run.definition.name for run in first} == {"job1", "job2"}
    assert "job3" in {run.definition.name for run in rest}


def test_nothing_due_plans_nothing(rows: Rows):
    node = rows.node()
    rows.job()

    assert rows.plan(node, ahead_s=59.999) == ([], 0)
    assert rows.run_rows() == []


def test_a_misfire_is_on_record_with_its_reason_and_is_not_armed(rows: Rows):
    node, start = rows.node(), rows.now
    job_id = rows.job(misfire=MisfirePolicy.SKIP, misfire_grace_s=10)
    rows.clock.advance(timedelta(seconds=239))

    armed, _ = rows.plan(node, ahead_s=0)

    (row,) = rows.run_rows()
    assert armed == []
    assert (row.state, row.outcome, row.fire_count, row.node_id) == (RunState.FINISHED, Outcome.MISFIRED, 3, None)
    assert row.first_fire_time == start + timedelta(seconds=60)
    assert row.fire_time == start + timedelta(seconds=180)
    assert "3 fire times passed" in row.note
    assert rows.state_row(job_id).next_fire_at == start + timedelta(seconds=240)


def test_a_run_once_job_is_planned_once_and_then_waits_for_nothing(rows: Rows):
    node, job_id = rows.node(), rows.job(run_once=True)

    armed, _ = rows.plan(node, ahead_s=600)

    assert len(armed) == 1
    assert rows.state_row(job_id).next_fire_at is None


def test_the_wake_up_of_a_sleeping_job_ends_its_sleep(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.finish(rows.ended(rows.running(node), Outcome.SLEEP))
    woken = rows.state_row(job_id).next_fire_at

    (run,), _ = rows.plan(node, ahead_s=86_400)

    assert run.fire_time == woken
    assert rows.state_row(job_id).status == "ok"


def test_retract_restores_next_fire_time_and_anchor_as_if_never_planned(rows: Rows):
    node, job_id = rows.node(), rows.job()
    before = rows.state_row(job_id)
    rows.plan(node, ahead_s=180)

    with rows.database.write() as connection:
        retract(connection, [job_id])

    assert rows.run_rows() == []
    assert rows.state_row(job_id) == before


def test_retract_goes_back_to_the_fire_time_after_the_last_one_that_started(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.finish(rows.ended(rows.running(node)))
    before = rows.state_row(job_id)
    rows.plan(node, ahead_s=120)

    with rows.database.write() as connection:
        retract(connection, node_ids=[node])

    assert rows.state_row(job_id) == before
    assert [row.state for row in rows.run_rows()] == [RunState.FINISHED]


def test_retract_queues_a_run_by_hand_again_and_leaves_what_runs_alone(rows: Rows):
    node, job_id = rows.node(), rows.job(overlap=OverlapPolicy.ALLOW)
    going_on = rows.running(node)
    by_hand = rows.service.run_now(job_id, by="alice")
    rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)

    with rows.database.write() as connection:
        retract(connection, node_ids=[node])

    assert {row.id: (row.state, row.node_id) for row in rows.run_rows()} == {
        going_on.run_id: (RunState.RUNNING, node),
        by_hand: (RunState.QUEUED, None),
    }


def test_retract_gives_an_inactive_job_no_new_fire_time(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.plan(node)
    with rows.database.write() as connection:
        connection.exec_driver_sql("UPDATE job_state SET status = 'inactive', next_fire_at = NULL")
        retract(connection, [job_id])

    assert rows.run_rows() == []
    assert rows.state_row(job_id).next_fire_at is None


def test_queued_runs_are_leased_oldest_first_one_a_job_with_a_new_fence(rows: Rows):
    node, a, b = rows.node(), rows.job("a"), rows.job("b")
    asked = []
    for job_id in (a, b, a):
        asked.append(rows.service.run_now(job_id, by="alice"))
        rows.clock.advance(timedelta(seconds=1))

    leased = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)

    assert rows.run_ids(leased) == asked[:2]
    assert [run.fence for run in leased] == [row.fence for row in rows.run_rows()][:2] == [1, 1]
    assert rows.plans.has_queued()
    assert rows.plans.lease_queued(node_id=node, limit=10, now=rows.now) == []


@pytest.mark.parametrize("overlap", OverlapPolicy)
def test_a_queued_run_waits_until_its_job_is_free_unless_it_may_overlap(rows: Rows, overlap):
    node, job_id = rows.node(), rows.job(overlap=overlap)
    going_on = rows.running(node)
    asked = rows.service.run_now(job_id, by="alice")

    meanwhile = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)
    rows.finish(rows.ended(going_on))
    afterwards = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)

    if overlap is OverlapPolicy.ALLOW:
        assert rows.run_ids(meanwhile) == [asked]
    else:
        assert (meanwhile, rows.run_ids(afterwards)) == ([], [asked])


def test_a_run_by_hand_of_a_job_that_was_never_loaded_uses_the_edited_definition(rows: Rows):
    node, job_id = rows.node(), rows.create(time_limit_s=7)
    rows.service.run_now(job_id, by="alice")

    (run,) = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)

    assert run.definition.time_limit_s == 7
