"""Reload, boot and the invariant, on record (reference: cases T1-T17)."""

from __future__ import annotations

from datetime import timedelta

from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.run import Outcome
from jobservice.store import jobs, loading
from tests.contract.rows import Rows


def test_a_new_job_runs_only_after_a_reload_one_interval_later(rows: Rows):
    node, job_id = rows.node(), rows.create()
    before = rows.state_row(job_id)
    planned_before = rows.plan(node, ahead_s=3_600)

    loaded = rows.reload()

    state = rows.state_row(job_id)
    assert (before.loaded, before.status, before.next_fire_at) == (None, JobStatus.OK, None)
    assert planned_before == ([], 0)
    assert loaded == 1
    assert (state.began_at, state.anchor_at) == (rows.now, rows.now)
    assert state.next_fire_at == rows.now + timedelta(seconds=60)
    assert state.loaded.schedule == "60"
    assert rows.queries.count_pending() == 0


def test_an_edit_waits_for_the_reload_and_then_counts_from_the_last_fire_time(rows: Rows):
    node, job_id = rows.node(), rows.job(schedule="120")
    run = rows.running(node, ahead_s=120)
    rows.finish(rows.ended(run))
    rows.clock.advance(timedelta(seconds=60))

    rows.edit(job_id, schedule="300")
    waiting = rows.state_row(job_id)
    rows.reload()

    assert waiting.loaded.schedule == "120"
    assert waiting.next_fire_at == run.fire_time + timedelta(seconds=120)
    assert rows.state_row(job_id).next_fire_at == run.fire_time + timedelta(seconds=300)


def test_a_reload_takes_armed_fire_times_back_and_leaves_what_runs_alone(rows: Rows):
    node, job_id = rows.node(), rows.job(schedule="10")
    going_on = rows.running(node, ahead_s=10)
    rows.plan(node, ahead_s=30)
    rows.edit(job_id, schedule="20")

    rows.reload()

    assert [row.id for row in rows.run_rows()] == [going_on.run_id]
    assert rows.state_row(job_id).next_fire_at == going_on.fire_time + timedelta(seconds=20)


def test_a_reload_loads_what_waits_and_what_is_stopped_and_touches_nothing_else(rows: Rows):
    node = rows.node()
    stopped, other = rows.job("stopped"), rows.job("other", schedule="9000")
    rows.finish(rows.ended(rows.running(node), Outcome.STOP))
    before = rows.state_row(other)
    rows.clock.advance(timedelta(seconds=200))
    rows.create("new")

    assert rows.reload() == 2

    assert rows.state_row(other) == before
    assert (rows.state_row(stopped).status, rows.state_row(stopped).next_fire_at) == (JobStatus.OK, rows.now)
    assert rows.reload() == 0


def test_a_reload_of_more_jobs_than_one_batch_holds_loads_each_once(rows: Rows):
    total = loading.BATCH + 1
    with rows.database.write() as connection:
        for number in range(total):
            definition = JobDefinition(name=f"job{number}", path=f"{number}.lua", schedule="60")
            jobs.insert_job(connection, definition, by="alice", at=rows.now)

    assert rows.reload() == total
    assert rows.queries.count_pending() == 0


def test_a_reload_keeps_a_sleeping_job_asleep_and_an_inactive_one_inactive(rows: Rows):
    node, asleep = rows.node(), rows.job("asleep")
    rows.finish(rows.ended(rows.running(node), Outcome.SLEEP))
    inactive = rows.job("inactive", active=False)
    before = rows.state_row(asleep)

    rows.edit(asleep, schedule="30")
    rows.edit(inactive, schedule="30")
    rows.reload()

    assert (rows.state_row(asleep).status, rows.state_row(asleep).next_fire_at) == ("sleeping", before.next_fire_at)
    assert (rows.state_row(inactive).status, rows.state_row(inactive).next_fire_at) == ("inactive", None)


def test_active_off_and_a_reload_take_a_job_out_and_on_brings_it_back_one_interval_later(rows: Rows):
    job_id = rows.job()
    rows.edit(job_id, active=False)
    rows.reload()
    out = rows.state_row(job_id)
    rows.clock.advance(timedelta(hours=1))

    rows.edit(job_id, active=True)
    rows.reload()

    state = rows.state_row(job_id)
    assert (out.status, out.next_fire_at) == (JobStatus.INACTIVE, None)
    assert (state.status, state.next_fire_at, state.began_at) == (
        JobStatus.OK,
        rows.now + timedelta(seconds=60),
        rows.now,
    )


def test_a_boot_clears_stop_and_leaves_inactive_sleeping_and_missed_fire_times(rows: Rows):
    node = rows.node()
    jobs = {name: rows.job(name) for name in ("stop", "exit", "sleep", "ok")}
    runs = rows.plan(node)[0]
    rows.runs.claim(runs, node_id=node)
    rows.finish(*(rows.ended(run, Outcome(run.definition.name)) for run in runs))
    before = {name: rows.state_row(job_id) for name, job_id in jobs.items()}
    rows.clock.advance(timedelta(days=3))

    rows.boot()

    after = {name: rows.state_row(job_id) for name, job_id in jobs.items()}
    assert (after["stop"].status, after["stop"].next_fire_at) == (JobStatus.OK, rows.now)
    assert {name: after[name] for name in ("exit", "sleep", "ok")} == {
        name: before[name] for name in ("exit", "sleep", "ok")
    }


def test_run_once_made_pending_by_a_boot_counts_its_new_interval_from_the_boot(rows: Rows):
    node, job_id = rows.node(), rows.job(run_once=True, schedule="30")
    rows.finish(rows.ended(rows.running(node)))
    rows.clock.advance(timedelta(hours=5))
    rows.boot()
    booted_at = rows.now
    rows.clock.advance(timedelta(seconds=10))

    rows.edit(job_id, schedule="300")
    rows.reload(boot=2)

    state = rows.state_row(job_id)
    assert (state.status, state.next_fire_at) == (JobStatus.ONCE_PENDING, booted_at + timedelta(seconds=300))


def test_a_job_that_waits_for_nothing_is_found_and_mended_once(rows: Rows):
    node = rows.node()
    waiting, stray, busy, off = rows.job("waiting"), rows.job("stray"), rows.job("busy"), rows.job("off", active=False)
    (run,) = [run for run in rows.plan(node)[0] if run.job_id == busy]
    with rows.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE job_state SET next_fire_at = NULL WHERE job_id IN ({stray}, {busy})")
        connection.exec_driver_sql(f"DELETE FROM run WHERE id <> {run.run_id}")
    soon = rows.now + timedelta(seconds=60)

    found = rows.loads.strays()
    rows.loads.mend_stray(stray, soon)
    rows.loads.mend_stray(waiting, rows.now)

    assert [job_id for job_id, _ in found] == [stray]
    assert rows.loads.strays() == []
    assert rows.state_row(stray).next_fire_at == soon
    assert rows.state_row(waiting).next_fire_at != rows.now, "what has a fire time keeps it"
    assert rows.state_row(off).next_fire_at is None
