"""The verbs on runs, scripts and the service itself."""

from __future__ import annotations

import pytest

from jobservice.domain.errors import ConflictError, InvalidInputError, NotFoundError
from jobservice.domain.run import Cause, Outcome, RunState
from jobservice.service import SOURCE_MAX_BYTES
from tests.contract.rows import Rows

NOWHERE = (0, 4_711, -1, 2**63, 10**30)


def save(rows: Rows, source: str, *, path: str = "a.lua", expected: int | None = None) -> int:
    return rows.service.save_script(path, source, expected_revision=expected, by="alice")


def source_problem(rows: Rows, source: str) -> str:
    with pytest.raises(InvalidInputError) as refused:
        save(rows, source)
    assert rows.scripts.find("a.lua") is None
    return " ".join(refused.value.problems["source"])


def test_a_run_by_hand_is_queued_with_who_asked(rows: Rows):
    job_id = rows.create()

    run_id = rows.service.run_now(job_id, by="alice")

    view = rows.queries.get_run(run_id)
    assert (view.row.state, view.row.cause, view.asked_by, view.path) == (
        RunState.QUEUED,
        Cause.HAND,
        "alice",
        "job.lua",
    )
    line = rows.audit_rows()[-1]
    assert (line.action, line.subject, line.detail) == ("job.run", "job", {"run": run_id})


def test_run_again_is_a_new_run_of_the_same_job(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    rows.finish(rows.ended(run, Outcome.FAILED))

    again = rows.service.run_again(run.run_id, by="bob")

    view = rows.queries.get_run(again)
    assert (view.row.job_id, view.row.cause, view.row.attempt, view.asked_by) == (job_id, Cause.HAND, 1, "bob")


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_asked_to_end(rows: Rows):
    node, job_id = rows.node(), rows.job()
    running = rows.running(node)
    waiting = rows.service.run_now(job_id, by="alice")

    rows.service.cancel_run(waiting, by="bob")
    rows.service.cancel_run(running.run_id, by="bob")

    closed, asked = rows.queries.get_run(waiting), rows.queries.get_run(running.run_id)
    assert (closed.row.state, closed.row.outcome, closed.row.finished_at) == (
        RunState.FINISHED,
        Outcome.CANCELLED,
        rows.now,
    )
    assert closed.row.note == "Cancelled by bob before it started."
    assert (asked.row.state, asked.cancel_requested) == (RunState.RUNNING, True)
    assert [line.action for line in rows.audit_rows()[-2:]] == ["run.cancel"] * 2


def test_a_finished_run_cannot_be_cancelled(rows: Rows):
    node = rows.node()
    rows.job()
    run = rows.running(node)
    rows.finish(rows.ended(run))
    lines = len(rows.audit_rows())

    with pytest.raises(ConflictError, match=f"Run {run.run_id} has finished already"):
        rows.service.cancel_run(run.run_id, by="alice")

    assert rows.run_rows()[0].outcome == Outcome.OK
    assert len(rows.audit_rows()) == lines


def test_verbs_on_a_run_that_does_not_exist_say_so(rows: Rows):
    for run_id in NOWHERE:
        for verb in (rows.service.cancel_run, rows.service.run_again):
            with pytest.raises(NotFoundError, match=f"no run {run_id}"):
                verb(run_id, by="alice")


def test_a_run_of_a_deleted_job_cannot_be_repeated(rows: Rows):
    node, job_id = rows.node(), rows.job()
    run = rows.running(node)
    rows.finish(rows.ended(run))
    rows.service.delete_job(job_id, delete_script=False, by="alice")

    with pytest.raises(NotFoundError):
        rows.service.run_again(run.run_id, by="alice")


def test_a_reload_is_asked_for_with_an_audit_line(rows: Rows):
    rows.service.request_reload(by="alice")

    assert rows.nodes.reload_waits()
    assert [(line.action, line.by) for line in rows.audit_rows()] == [("service.reload", "alice")]


def test_a_save_is_a_revision_with_its_audit_line_and_an_unchanged_text_is_none(rows: Rows):
    numbers = [save(rows, "one"), save(rows, "two", expected=1), save(rows, "two", expected=2)]

    assert numbers == [1, 2, 2]
    assert len(rows.scripts.list_revisions("a.lua")) == 2
    assert [(line.action, line.subject, line.detail) for line in rows.audit_rows()] == [
        ("script.save", "a.lua", {"revision": 1}),
        ("script.save", "a.lua", {"revision": 2}),
    ]


def test_a_save_over_an_unseen_revision_leaves_text_and_audit_as_they_were(rows: Rows):
    save(rows, "one")
    save(rows, "two", expected=1)

    with pytest.raises(ConflictError):
        save(rows, "three", expected=1)

    assert rows.scripts.get("a.lua").source == "two"
    assert len(rows.audit_rows()) == 2


def test_a_script_may_be_empty_or_hold_any_text(rows: Rows):
    for number, source in enumerate(("", "-- größer 🐢\r\n\t", "x" * 1_000), start=1):
        assert save(rows, source, expected=number - 1 or None) == number
        assert rows.queries.get_script("a.lua").source == source


def test_a_source_that_is_no_text_is_refused_and_says_where(rows: Rows):
    assert "Line 3 holds a NUL character" in source_problem(rows, "a\nb\nc\0d")
    assert "not valid text" in source_problem(rows, "a\ud800b")
    assert "compiled Lua" in source_problem(rows, "\x1bLua")


def test_a_source_of_one_mebibyte_is_stored_and_one_byte_more_is_refused(rows: Rows):
    assert "at most 1 MiB; this one has 1,048,577 bytes" in source_problem(rows, "é" * (SOURCE_MAX_BYTES // 2) + "x")
    assert save(rows, "é" * (SOURCE_MAX_BYTES // 2)) == 1


def test_a_script_under_a_wrong_path_is_refused_to_save_and_to_check(rows: Rows):
    for verb in (lambda: save(rows, "x", path="../x.lua"), lambda: rows.service.check_script("/etc/x.lua", "x")):
        with pytest.raises(InvalidInputError) as refused:
            verb()
        assert set(refused.value.problems) == {"path"}


def test_a_script_knows_the_jobs_that_use_it_and_its_revisions(rows: Rows):
    job_id = rows.create(path="a.lua")
    save(rows, "größer", expected=1)

    script, revisions = rows.queries.get_script("a.lua"), rows.queries.list_revisions("a.lua")

    assert (script.source, script.revision, script.author, script.used_by) == ("größer", 2, "alice", {job_id: "job"})
    assert (revisions[0].number, revisions[0].size_bytes) == (2, 8)
    for path in ("missing.lua", "a\0.lua"):
        with pytest.raises(NotFoundError):
            rows.queries.get_script(path)
        assert rows.queries.list_revisions(path) == []
