"""What the end of a run does to its job, on record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.job import JobStatus, OverlapPolicy
from jobservice.domain.run import Outcome, RunError, RunState
from jobservice.store.recording import RecordBatch
from tests.contract.rows import BOOT, Rows


def test_ok_records_the_run_and_leaves_the_grid_alone(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    planned = rows.state_row(job_id).next_fire_at

    assert rows.finish(rows.ended(run, note="did it")) == set()

    (row,) = rows.run_rows()
    assert (row.state, row.outcome, row.note, row.revision) == (RunState.FINISHED, Outcome.OK, "did it", 1)
    assert (row.started_at, row.finished_at) == (rows.now, rows.now + timedelta(seconds=1))
    state = rows.state_row(job_id)
    assert (state.status, state.next_fire_at) == (JobStatus.OK, planned)
    assert (state.last_run_id, state.last_started_at, state.last_outcome) == (run.run_id, rows.now, Outcome.OK)


def test_sleep_moves_the_next_fire_time_and_takes_armed_ones_back(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    rows.plan(node, ahead_s=120)

    rows.finish(rows.ended(run, Outcome.SLEEP))

    assert [row.id for row in rows.run_rows()] == [run.run_id]
    state = rows.state_row(job_id)
    assert (state.status, state.next_fire_at) == (JobStatus.SLEEPING, rows.now + timedelta(hours=24))


def test_stop_plans_nothing_more_and_a_reload_counts_from_the_run_that_stopped(rows: Rows):
    node, job_id = rows.node(), rows.job(schedule="1")
    run = rows.running(node, ahead_s=1)
    rows.plan(node, ahead_s=2)  # Two more were armed while it ran.

    rows.finish(rows.ended(run, Outcome.STOP))

    assert [row.id for row in rows.run_rows()] == [run.run_id]
    state = rows.state_row(job_id)
    assert (state.status, state.next_fire_at, state.anchor_at) == (JobStatus.STOPPED, None, run.fire_time)
    assert rows.queries.get_job(job_id).definition.active
    rows.reload()
    assert rows.state_row(job_id).next_fire_at == run.fire_time + timedelta(seconds=1)


def test_exit_switches_active_off_with_an_audit_line(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)

    rows.finish(rows.ended(run, Outcome.EXIT))

    state, view, line = rows.state_row(job_id), rows.queries.get_job(job_id), rows.audit_rows()[-1]
    assert (state.status, state.next_fire_at) == (JobStatus.INACTIVE, None)
    assert (view.definition.active, view.version, view.updated_by) == (False, 2, "service")
    assert view.row.pending is None
    assert view.row.last_error is None
    assert (line.action, line.by, line.subject) == ("job.deactivate", "service", "job")
    assert line.detail == {"run": run.run_id, "reason": "exit"}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KILLED])
def test_an_error_deactivates_and_is_kept_with_script_and_line(rows: Rows, outcome):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    error = RunError("boom", "job.lua", 3, "traceback\nlines")

    rows.finish(rows.ended(run, outcome, error=error))

    view = rows.queries.get_job(job_id)
    assert view.row.status is JobStatus.INACTIVE
    assert view.row.last_error == error
    assert view.last_error_at == rows.now + timedelta(seconds=1)
    assert rows.queries.get_run(run.run_id).row.error == error
    assert "job.lua:3: boom" in rows.audit_rows()[-1].detail["reason"]


def test_the_last_error_stays_after_a_later_ok(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.finish(rows.ended(rows.running(node), Outcome.FAILED))
    rows.service.reactivate_job(job_id, by="alice")
    rows.reload()

    rows.finish(rows.ended(rows.running(node)))

    row = rows.queries.get_job(job_id).row
    assert (row.status, row.last_outcome) == (JobStatus.OK, Outcome.OK)
    assert row.last_error is not None


def test_run_once_is_done_for_this_boot_and_pending_one_interval_after_the_next(rows: Rows):
    node, job_id = rows.node(), rows.job(run_once=True)
    rows.finish(rows.ended(rows.running(node)))
    done = rows.state_row(job_id)
    rows.clock.advance(timedelta(hours=1))

    rows.reload()
    after_reload = rows.state_row(job_id)
    rows.boot()
    after_boot = rows.state_row(job_id)

    assert (done.status, done.next_fire_at, done.ran_once_in_boot) == (JobStatus.ONCE_DONE, None, BOOT)
    assert after_reload == done
    assert (after_boot.status, after_boot.next_fire_at) == (
        JobStatus.ONCE_PENDING,
        rows.now + timedelta(seconds=60),
    )


@pytest.mark.parametrize("outcome", [Outcome.SLEEP, Outcome.STOP, Outcome.EXIT, Outcome.FAILED])
def test_a_fire_time_that_waited_for_the_job_does_not_start_after_an_end_that_halts_it(rows: Rows, outcome):
    node = rows.node()
    rows.job(overlap=OverlapPolicy.QUEUE)
    going_on = rows.running(node)
    (waiting,), _ = rows.plan(node)
    rows.runs.claim([waiting], node_id=node)
    rows.record(RecordBatch(requeued=[waiting]))

    rows.finish(rows.ended(going_on, outcome))

    assert rows.plans.lease_queued(node_id=node, limit=10, now=rows.now) == []
    row = rows.run_rows()[-1]
    assert (row.id, row.state, row.outcome) == (waiting.run_id, RunState.FINISHED, Outcome.CANCELLED)
    assert "out of its schedule" in row.note


def test_a_run_asked_for_by_hand_survives_an_end_that_halts_the_job(rows: Rows):
    node, job_id = rows.node(), rows.job()
    going_on = rows.running(node)
    asked = rows.service.run_now(job_id, by="alice")

    rows.finish(rows.ended(going_on, Outcome.EXIT))

    assert rows.run_ids(rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)) == [asked]


def test_the_end_of_a_deleted_jobs_run_is_recorded_without_harm(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    rows.service.delete_job(job_id, delete_script=False, by="alice")

    refused = rows.finish(rows.ended(run, Outcome.FAILED))

    (row,) = rows.run_rows()
    assert refused == set()
    assert (row.state, row.outcome) == (RunState.FINISHED, Outcome.FAILED)
