"""Read models: bounded parts by key, searches that find what was typed, changes in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobservice.domain.errors import InvalidInputError, NotFoundError
from jobservice.domain.job import JobStatus, OverlapPolicy
from jobservice.domain.run import Outcome
from jobservice.read_models import FieldChange
from tests.contract.rows import Rows

NOWHERE = (0, 4_711, -1, 2**63, 10**30)


def names(rows: Rows, **filters: object) -> list[str]:
    return [row.name for row in rows.queries.list_jobs(**filters).rows]  # type: ignore[arg-type]


def make(rows: Rows, *job_names: str) -> None:
    for number, name in enumerate(job_names):
        rows.create(name, path=f"p{number}.lua")


def test_pages_follow_each_other_by_name_without_gap_or_repeat(rows: Rows):
    make(rows, "b", "a", "d", "c", "e")

    seen, after, sizes = [], None, []
    while True:
        page = rows.queries.list_jobs(after=after, limit=2)
        seen += [row.name for row in page.rows]
        sizes.append(len(page.rows))
        after = page.next_after
        if after is None:
            break

    assert seen == ["a", "b", "c", "d", "e"]
    assert sizes == [2, 2, 1]
    assert page.total == 5


def test_a_page_that_ends_with_the_last_job_has_no_next_one(rows: Rows):
    make(rows, "a", "b")

    assert rows.queries.list_jobs(limit=2).next_after is None
    assert rows.queries.list_jobs(limit=1).next_after == "a"
    assert rows.queries.list_jobs(after="zzz").rows == []


def test_paging_goes_on_where_it_was_when_the_job_there_is_deleted(rows: Rows):
    make(rows, "a", "b", "c")
    rows.service.delete_job(rows.queries.find_job_id("a"), delete_script=False, by="alice")

    assert names(rows, after="a", limit=5) == ["b", "c"]


def test_a_search_finds_a_part_of_name_path_or_description_in_any_case(rows: Rows):
    rows.create("Nightly Report", path="x/one.lua")
    rows.create("other", path="reports/two.lua")
    rows.create("third", path="y.lua", description="makes the REPORT small")
    rows.create("fourth", path="z.lua")

    assert sorted(names(rows, search=" report ")) == ["Nightly Report", "other", "third"]
    assert names(rows, search="nothing of it") == []


def test_signs_that_mean_something_to_sql_mean_themselves_in_a_search(rows: Rows):
    make(rows, "100%", "a_b", "c/d", "quote's")

    found = {typed: names(rows, search=typed) for typed in ("%", "_", "/", "'", "a_", "0%")}

    assert found == {"%": ["100%"], "_": ["a_b"], "/": ["c/d"], "'": ["quote's"], "a_": ["a_b"], "0%": ["100%"]}


def test_hostile_searches_and_places_find_nothing_and_break_nothing(rows: Rows):
    make(rows, "a")

    for text in ("\0", "a\0", "'; DROP TABLE job; --", "x" * 10_000, "\\", "\\%"):
        assert names(rows, search=text) == []
        assert len(names(rows, after=text)) <= 1
    with pytest.raises(NotFoundError):
        rows.queries.find_job_id("a\0")
    assert names(rows) == ["a"]


def test_a_filter_by_status_shows_those_alone_and_counts_all(rows: Rows):
    make(rows, "a", "b")
    rows.create("off", active=False)

    page = rows.queries.list_jobs(status=JobStatus.INACTIVE)

    assert ([row.name for row in page.rows], page.total) == (["off"], 3)
    assert names(rows, status=JobStatus.INACTIVE, search="p0") == []


def test_pending_changes_are_told_in_words_by_job_name(rows: Rows):
    changed = rows.job("changed")
    rows.job("unchanged")
    rows.create("a new one", path="new.lua")
    rows.edit(changed, schedule="7200", time_limit_s=3_600, run_once=True, overlap=OverlapPolicy.QUEUE)

    new, edited = rows.queries.pending_changes()

    assert (new.name, new.is_new, new.changes) == ("a new one", True, ())
    assert (edited.name, edited.is_new) == ("changed", False)
    assert edited.changes == (
        FieldChange("Schedule", "every minute", "every 2 hours"),
        FieldChange("Run Once", "off", "on"),
        FieldChange("Time limit", "60 s", "3,600 s"),
        FieldChange("When it overlaps", "skip", "queue"),
    )
    assert rows.queries.get_job(changed).changes == edited.changes
    assert rows.queries.count_pending() == 2
    assert len(rows.queries.pending_changes(limit=1)) == 1


@pytest.mark.parametrize("how", ["exit", "deactivate"])
def test_a_reload_that_reactivates_a_job_says_so(rows: Rows, how):
    node, job_id = rows.node(), rows.job()
    if how == "exit":
        rows.finish(rows.ended(rows.running(node), Outcome.EXIT))
    else:
        rows.service.deactivate_job(job_id, by="alice")

    rows.service.reactivate_job(job_id, by="alice")

    (pending,) = rows.queries.pending_changes()
    assert pending.changes == (FieldChange("Active", "off", "on"),)


def test_an_edit_of_an_inactive_job_does_not_claim_to_switch_it_off(rows: Rows):
    job_id = rows.job()
    rows.service.deactivate_job(job_id, by="alice")

    rows.edit(job_id, description="why it is off")

    assert [change.field for change in rows.queries.get_job(job_id).changes] == ["Description"]


def test_a_history_is_paged_from_the_newest_without_gap_or_repeat(rows: Rows):
    job_id = rows.create()
    runs = []
    for _ in range(5):
        runs.append(rows.service.run_now(job_id, by="alice"))
        rows.clock.advance(timedelta(seconds=1))

    first = rows.queries.list_runs(job_id, limit=2)
    runs.append(rows.service.run_now(job_id, by="alice"))
    second = rows.queries.list_runs(job_id, before=first.next_before, limit=2)
    third = rows.queries.list_runs(job_id, before=second.next_before, limit=2)

    seen = [row.run_id for page in (first, second, third) for row in page.rows]
    assert seen == runs[4::-1], "a newer run does not shift the pages"
    assert third.next_before is None


@pytest.mark.parametrize("garbage", ["", "x", "-1", "1.5", "²", "١", "1 OR 1=1", "9" * 19, "\0", "9" * 5_000])
def test_a_place_in_the_history_that_is_none_is_refused_with_what_to_do(rows: Rows, garbage):
    job_id = rows.create()

    with pytest.raises(InvalidInputError) as refused:
        rows.queries.list_runs(job_id, before=garbage)

    (sentence,) = refused.value.problems["before"]
    assert "Start from the newest run" in sentence
    assert len(sentence) < 200


def test_what_does_not_exist_is_not_found_whatever_its_number(rows: Rows):
    for number in NOWHERE:
        for read in (rows.queries.get_job, rows.queries.get_run, rows.queries.deletion_preview):
            with pytest.raises(NotFoundError):
                read(number)
        assert rows.queries.list_runs(number).rows == []
        assert rows.queries.run_output(number).chunks == []
    with pytest.raises(NotFoundError, match="no job 'missing'"):
        rows.queries.find_job_id("missing")


def test_a_run_tells_lateness_duration_and_node(rows: Rows):
    node, job_id = rows.node(hostname="host.example"), rows.job()
    run = rows.running(node)
    rows.clock.advance(timedelta(milliseconds=1_500))
    rows.finish(rows.ended(run))

    view = rows.queries.get_run(run.run_id)

    assert (view.lateness, view.row.duration) == (timedelta(milliseconds=1_500), timedelta(seconds=1))
    assert (view.node, view.revision, view.row.job_name) == ("host.example", 1, "job")
    assert rows.queries.get_job(job_id).row.running_run_id is None


def test_a_deletion_tells_beforehand_what_goes_with_the_job(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.service.save_script("job.lua", "x", expected_revision=1, by="alice")
    rows.finish(rows.ended(rows.running(node)))
    run = rows.running(node)

    preview = rows.queries.deletion_preview(job_id)

    assert (preview.runs, preview.revisions, preview.running) == (2, 2, True)
    assert rows.queries.get_job(job_id).row.running_run_id == run.run_id


def test_a_schedule_is_explained_in_words_or_refused(rows: Rows):
    assert rows.queries.explain_schedule("every 120 seconds") == "every 2 minutes"
    with pytest.raises(InvalidInputError):
        rows.queries.explain_schedule("now and then")
