"""Claims, starts and the fence: whoever holds it may write, and nobody else."""

from __future__ import annotations

from datetime import timedelta

from jobservice.domain.job import OverlapPolicy
from jobservice.domain.run import Outcome, RunState
from jobservice.store.planning import retract
from jobservice.store.recording import RecordBatch
from tests.contract.rows import Rows


def test_only_leased_runs_of_this_node_that_nobody_cancelled_are_claimed(rows: Rows):
    mine, other = rows.node(), rows.node()
    for name in ("wanted", "cancelled", "retracted"):
        rows.job(name)
    armed = {run.definition.name: run for run in rows.plan(mine)[0]}
    rows.job("theirs")
    armed |= {run.definition.name: run for run in rows.plan(other)[0]}
    rows.service.cancel_run(armed["cancelled"].run_id, by="alice")
    with rows.database.write() as connection:
        retract(connection, [armed["retracted"].job_id])

    claimed = rows.runs.claim(list(armed.values()), node_id=mine)
    again = rows.runs.claim(list(armed.values()), node_id=mine)

    assert claimed == {armed["wanted"].run_id}
    assert again == claimed, "the answer to the first may have got lost"
    assert {row.id: row.state for row in rows.run_rows()} == {
        armed["wanted"].run_id: RunState.RUNNING,
        armed["cancelled"].run_id: RunState.FINISHED,
        armed["theirs"].run_id: RunState.LEASED,
    }


def test_what_a_node_holds_and_what_runs_elsewhere_is_known(rows: Rows):
    mine, other = rows.node(), rows.node()
    job_id = rows.job(overlap=OverlapPolicy.ALLOW)
    run = rows.running(mine)

    assert rows.runs.held_by(mine) == {run.run_id}
    assert rows.runs.held_by(other) == set()
    assert rows.runs.jobs_running_elsewhere([job_id], node_id=other) == {job_id}
    assert rows.runs.jobs_running_elsewhere([job_id], node_id=mine) == set()


def test_a_cancel_of_a_running_run_is_heard_by_its_node_alone(rows: Rows):
    mine, other = rows.node(), rows.node()
    rows.job()
    run = rows.running(mine)

    rows.service.cancel_run(run.run_id, by="alice")

    assert rows.runs.cancel_requests(node_id=mine) == [run.run_id]
    assert rows.runs.cancel_requests(node_id=other) == []


def test_a_start_is_on_record_with_its_script_revision(rows: Rows):
    node = rows.node()
    rows.job()
    run = rows.running(node)

    rows.record(RecordBatch(started={run.run_id: (run, rows.now, 7)}))

    (row,) = rows.run_rows()
    assert (row.state, row.started_at, row.revision) == (RunState.RUNNING, rows.now, 7)


def test_a_given_back_claim_can_be_retracted(rows: Rows):
    node, job_id = rows.node(), rows.job()
    before = rows.state_row(job_id)
    run = rows.running(node)

    rows.runs.unclaim([run])
    rows.nodes.hand_back(node)

    assert rows.run_rows() == []
    assert rows.state_row(job_id) == before


def test_a_skipped_fire_time_is_closed_with_its_reason(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)

    rows.record(RecordBatch(skipped=[(run, Outcome.SKIPPED, "it was running", rows.now)]))

    (row,) = rows.run_rows()
    assert (row.state, row.outcome, row.note, row.started_at) == (
        RunState.FINISHED,
        Outcome.SKIPPED,
        "it was running",
        None,
    )
    assert rows.state_row(job_id).last_run_id is None


def test_a_requeued_run_belongs_to_nobody_and_comes_back_with_a_new_fence(rows: Rows):
    node, other = rows.node(), rows.node()
    rows.job(overlap=OverlapPolicy.QUEUE)
    run = rows.running(node)

    rows.record(RecordBatch(requeued=[run]))
    (again,) = rows.plans.lease_queued(node_id=other, limit=10, now=rows.now)

    assert (again.run_id, again.fence) == (run.run_id, run.fence + 1)
    assert rows.runs.claim([again], node_id=other) == {run.run_id}


def test_a_run_cancelled_on_its_way_back_to_the_queue_is_closed_and_never_leased(rows: Rows):
    node = rows.node()
    rows.job(overlap=OverlapPolicy.QUEUE)
    run = rows.running(node)
    rows.service.cancel_run(run.run_id, by="alice")

    rows.record(RecordBatch(requeued=[run]))
    leased = rows.plans.lease_queued(node_id=node, limit=10, now=rows.now)

    (row,) = rows.run_rows()
    assert leased == []
    assert (row.state, row.outcome, row.finished_at) == (RunState.FINISHED, Outcome.CANCELLED, rows.now)


def test_an_end_with_a_stale_fence_is_refused_and_changes_nothing(rows: Rows):
    node = rows.node()
    job_id = rows.job()
    run = rows.running(node)
    rows.runs.close_lost([node], now=rows.now, limit=10)
    before = [*rows.run_rows(), rows.state_row(job_id)]

    refused = rows.finish(rows.ended(run, Outcome.EXIT))

    assert refused == {run.run_id}
    assert [*rows.run_rows(), rows.state_row(job_id)] == before
    assert rows.queries.get_job(job_id).definition.active


def test_an_older_fence_is_refused_also_while_the_run_goes_on_under_a_newer_one(rows: Rows):
    first, second = rows.node(), rows.node()
    job_id = rows.job(overlap=OverlapPolicy.QUEUE)
    stale = rows.running(first)
    rows.record(RecordBatch(requeued=[stale]))
    (current,) = rows.plans.lease_queued(node_id=second, limit=10, now=rows.now)
    rows.runs.claim([current], node_id=second)

    refused = rows.finish(rows.ended(stale, Outcome.EXIT))
    rows.record(RecordBatch(skipped=[(stale, Outcome.SKIPPED, "stale", rows.now)], requeued=[stale]))
    going_on = rows.run_rows()[0]
    accepted = rows.finish(rows.ended(current))

    assert refused == {stale.run_id}
    assert (going_on.state, going_on.node_id, going_on.note) == (RunState.RUNNING, second, "")
    assert rows.queries.get_job(job_id).definition.active
    assert accepted == set()
    assert rows.run_rows()[0].outcome == Outcome.OK


def test_in_one_batch_the_stale_end_is_refused_and_the_others_count(rows: Rows):
    stale_node, node = rows.node(), rows.node()
    rows.job("stale")
    (stale,), _ = rows.plan(stale_node)
    good_job = rows.job("good")
    (good,), _ = rows.plan(node)
    rows.runs.claim([stale], node_id=stale_node)
    rows.runs.claim([good], node_id=node)
    rows.runs.close_lost([stale_node], now=rows.now, limit=10)

    refused = rows.finish(rows.ended(stale), rows.ended(good))

    assert refused == {stale.run_id}
    assert rows.state_row(good_job).last_run_id == good.run_id


def test_a_batch_may_be_written_again_when_the_answer_to_its_commit_got_lost(rows: Rows):
    node = rows.node()
    rows.job("ends", overlap=OverlapPolicy.ALLOW)
    rows.job("dies")
    runs = {run.definition.name: run for run in rows.plan(node)[0]}
    rows.runs.claim(list(runs.values()), node_id=node)
    batch = RecordBatch(
        output=[(runs["ends"].run_id, 1, rows.now, "hello\n")],
        finished=[(rows.ended(runs["ends"]), 1), (rows.ended(runs["dies"], Outcome.ABANDONED), 1)],
    )
    first = rows.record(batch)
    before = rows.run_rows()

    again = rows.record(batch)

    assert (first, again) == (set(), set())
    assert rows.run_rows() == before
    assert len(before) == 3, "one repeat of the run that died"
    assert [chunk.text for chunk in rows.queries.run_output(runs["ends"].run_id).chunks] == ["hello\n"]


def test_output_is_kept_in_order_and_read_from_any_place(rows: Rows):
    node = rows.node()
    rows.job()
    run = rows.running(node)
    for number in (1, 2, 3):
        rows.clock.advance(timedelta(seconds=1))
        rows.record(RecordBatch(output=[(run.run_id, number, rows.now, f"line {number}\n")]))

    everything = rows.queries.run_output(run.run_id)
    rest = rows.queries.run_output(run.run_id, after=1, limit_bytes=1)
    nothing = rows.queries.run_output(run.run_id, after=3)

    assert [chunk.text for chunk in everything.chunks] == ["line 1\n", "line 2\n", "line 3\n"]
    assert not everything.more
    assert [chunk.sequence for chunk in rest.chunks] == [2], "one chunk is always given"
    assert (rest.last_sequence, rest.more) == (2, True)
    assert (nothing.chunks, nothing.last_sequence, nothing.more) == ([], 3, False)
