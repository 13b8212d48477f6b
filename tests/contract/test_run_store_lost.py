"""Runs that nobody finishes, and history that nobody needs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.store import tables as t
from jobservice.store.recording import RecordBatch
from jobservice.store.runs import MAX_ATTEMPTS
from tests.contract.rows import Rows

HOUR = timedelta(hours=1)


def test_a_run_of_a_dead_node_is_abandoned_and_repeated_up_to_five_attempts(rows: Rows):
    node = rows.node(hostname="dead.example")
    rows.job()
    run = rows.running(node)

    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert run.attempt == attempt
        assert rows.runs.close_lost([node], now=rows.now, limit=10) == 1
        leased = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)
        if leased:
            (run,) = leased
            rows.runs.claim([run], node_id=node)

    attempts = rows.run_rows()
    assert [(row.attempt, row.outcome) for row in attempts] == [(n, Outcome.ABANDONED) for n in range(1, 6)]
    assert {row.fire_time for row in attempts} == {run.fire_time}
    assert [row.cause for row in attempts] == [Cause.SCHEDULE, *[Cause.RETRY] * 4]
    assert "dead.example ended while this run was going on" in attempts[0].note
    assert "repeated as another attempt" in attempts[0].note
    assert "not repeated again after 5 attempts" in attempts[-1].note


def test_a_run_is_not_repeated_when_its_job_says_so_or_somebody_wanted_its_end(rows: Rows):
    node = rows.node()
    rows.job("never", repeat_after_crash=False)
    rows.job("cancelled")
    runs = {run.definition.name: run for run in rows.plan(node)[0]}
    rows.runs.claim(list(runs.values()), node_id=node)
    rows.service.cancel_run(runs["cancelled"].run_id, by="alice")

    closed = rows.runs.close_lost([node], now=rows.now, limit=10)

    notes = {row.path: row.note for row in rows.run_rows()}
    assert closed == 2
    assert not rows.plans.has_queued()
    assert "not repeated, as the job asks" in notes["never.lua"]
    assert "since it was to be cancelled" in notes["cancelled.lua"]


def test_a_run_killed_by_a_stopping_service_is_repeated_too(rows: Rows):
    node = rows.node()
    rows.job()
    run = rows.running(node)

    rows.finish(rows.ended(run, Outcome.ABANDONED))

    (again,) = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)
    assert (again.attempt, again.fire_time, again.cause) == (2, run.fire_time, Cause.RETRY)
    assert "repeated as another attempt" in rows.run_rows()[0].note


def test_closing_the_lost_is_done_in_batches_and_leaves_living_nodes_alone(rows: Rows):
    dead, alive = rows.node(), rows.node()
    for name in "abc":
        rows.job(name, repeat_after_crash=False)
    runs, _ = rows.plan(dead)
    rows.runs.claim(runs, node_id=dead)
    rows.job("d")
    living = rows.running(alive)

    counts = [rows.runs.close_lost([dead], now=rows.now, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert [row.id for row in rows.run_rows() if row.state == RunState.RUNNING] == [living.run_id]


def test_a_run_that_its_own_service_lost_track_of_is_closed_and_repeated(rows: Rows):
    node = rows.node()
    rows.job()
    run = rows.running(node)

    assert rows.runs.close_forgotten([run.run_id], now=rows.now) == 1

    assert "lost track of this run" in rows.run_rows()[0].note
    assert rows.plans.has_queued()


def finished_runs(rows: Rows, node: int, count: int) -> None:
    for _ in range(count):
        run = rows.running(node)
        rows.record(RecordBatch(output=[(run.run_id, 1, rows.now, "x\n")], finished=[(rows.ended(run), 1)]))


def output_rows(rows: Rows) -> int:
    with rows.database.read() as connection:
        return len(connection.execute(t.run_output.select()).all())


def test_history_past_its_age_goes_in_batches_with_its_output_but_the_newest_run_stays(rows: Rows):
    node, job_id = rows.node(), rows.job()
    finished_runs(rows, node, 4)
    newest = rows.state_row(job_id).last_run_id
    rows.clock.advance(HOUR)

    counts = [rows.history.purge(created_before=rows.now, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert [row.id for row in rows.run_rows()] == [newest]
    assert output_rows(rows) == 1


def test_history_within_its_age_and_runs_that_go_on_stay(rows: Rows):
    node = rows.node()
    rows.job()
    finished_runs(rows, node, 2)
    rows.running(node)
    rows.clock.advance(HOUR)

    assert rows.history.purge(created_before=rows.now - 2 * HOUR, limit=10) == 0
    assert rows.history.purge(created_before=rows.now, limit=10) == 1
    assert [row.state for row in rows.run_rows()] == [RunState.FINISHED, RunState.RUNNING]


@pytest.mark.parametrize("keep", [1, 3, 4])
def test_runs_beyond_the_newest_are_removed(rows: Rows, keep):
    node, job_id = rows.node(), rows.job()
    finished_runs(rows, node, 4)
    kept = [row.id for row in rows.run_rows()][-keep:]

    removed = rows.history.purge_surplus(job_id, keep=keep)

    assert removed == 4 - keep
    assert [row.id for row in rows.run_rows()] == kept
    assert rows.history.jobs_with_history(after=0, limit=10) == [job_id]
    assert rows.history.jobs_with_history(after=job_id, limit=10) == []


def test_a_deleted_jobs_history_goes_in_batches_and_waits_for_a_run_that_goes_on(rows: Rows):
    node, job_id = rows.node(), rows.job()
    finished_runs(rows, node, 2)
    run = rows.running(node)
    rows.service.delete_job(job_id, delete_script=True, by="alice")

    before = [rows.history.purge_deleted_jobs(limit=1) for _ in range(3)]
    rows.finish(rows.ended(run, Outcome.CANCELLED))
    after = [rows.history.purge_deleted_jobs(limit=10) for _ in range(2)]

    assert (before, after) == ([1, 1, 0], [1, 0])
    assert rows.run_rows() == []
