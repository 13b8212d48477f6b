from datetime import timedelta

import pytest

from jobservice.domain.run import Outcome
from tests.support.console import Console, Visitor, text_of


def test_empty_list_says_what_to_do_next(admin: Visitor) -> None:
    answer = admin.get("/jobs")
    assert answer.status_code == 200
    assert "No jobs yet" in text_of(answer)
    assert "Make the first job" in text_of(answer)


def test_row_shows_status_name_path_schedule_and_next_run(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("", name="Clean up", path="admin/clean.lua", schedule="120")
    page = admin.get("/jobs")
    for words in ("OK", "Clean up", "admin/clean.lua", "every 2 minutes", "Never"):
        assert words in text_of(page)
    assert 'title="Active: it runs on its schedule."' in page.text
    assert "fa-check" in page.text
    assert 'href="/scripts/admin/clean.lua"' in page.text
    assert 'datetime="2026-01-05T12:02:00.000Z"' in page.text


@pytest.mark.parametrize(
    ("outcome", "fields", "word", "icon"),
    [
        (Outcome.OK, {}, "OK", "fa-check"),
        (Outcome.SLEEP, {}, "Sleeping", "fa-hourglass-end"),
        (Outcome.STOP, {}, "Stopped", "fa-sync-alt"),
        (Outcome.EXIT, {}, "Inactive", "fa-ban"),
        (Outcome.FAILED, {}, "Inactive", "fa-ban"),
        (Outcome.OK, {"run_once": True}, "Once: done", "fa-coffee"),
        (None, {"run_once": True}, "Once: waiting", "fa-hourglass-start"),
    ],
)
def test_each_status_has_its_icon_and_word(  # noqa: PLR0917 - two fixtures and four parameters
    console: Console, admin: Visitor, outcome: Outcome | None, fields: dict[str, bool], word: str, icon: str
) -> None:
    if outcome is not None:
        console.executor.behaviour = lambda _: outcome
    console.moontide.add_job("", name="job", **fields)
    console.moontide.advance(61 if outcome is not None else 1)
    page = admin.get("/jobs")
    assert word in text_of(page)
    assert icon in page.text


def test_edited_job_is_marked_and_counted_until_the_reload(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("", name="old")
    console.moontide.add_job("", name="young", reload=False)
    assert "new" in text_of(admin.get("/jobs"))
    assert "1 job waits for a reload" in text_of(admin.get("/jobs"))
    console.moontide.reload()
    assert "for a reload" not in text_of(admin.get("/jobs"))


def test_name_leads_an_admin_to_the_form_and_a_viewer_to_the_job(
    console: Console, admin: Visitor, viewer: Visitor
) -> None:
    job_id = console.moontide.add_job("")
    assert f'href="/jobs/{job_id}/edit"' in admin.get("/jobs").text
    assert f'href="/jobs/{job_id}/edit"' not in viewer.get("/jobs").text
    assert f'href="/jobs/{job_id}"' in viewer.get("/jobs").text


def test_viewer_sees_no_buttons_that_act(console: Console, viewer: Visitor) -> None:
    console.moontide.add_job("")
    page = viewer.get("/jobs")
    for words in ("Run now", "Deactivate", "New Job", "Reload"):
        assert words not in text_of(page)


def test_search_and_status_narrow_the_list(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("", name="apple")
    console.moontide.add_job("", name="pear", run_once=True)
    assert "pear" not in text_of(admin.get("/jobs?search=app"))
    assert "apple" not in text_of(admin.get("/jobs?status=once_pending"))
    assert "No job fits this filter." in text_of(admin.get("/jobs?search=zzz"))


def test_list_goes_on_on_the_next_page(console: Console, admin: Visitor) -> None:
    for number in range(51):
        console.moontide.add_job("", name=f"job{number:02}", reload=False)
    first = admin.get("/jobs")
    assert "job49" in text_of(first)
    assert "job50" not in text_of(first)
    assert 'href="/jobs?after=job49"' in first.text
    second = admin.get("/jobs?after=job49")
    assert "job50" in text_of(second)
    assert "First page" in text_of(second)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("status=broken", "status: “broken” is no status; use one of ok, sleeping"),
        ("search=" + "x" * 201, "search: Search for at most 200 characters."),
        ("after=a%00b", "after: Leave out the NUL character."),
    ],
)
def test_wrong_parameter_is_named_with_what_is_allowed(admin: Visitor, query: str, words: str) -> None:
    answer = admin.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert words in text_of(answer)


def test_region_that_does_not_exist_is_refused(admin: Visitor) -> None:
    assert admin.get("/jobs", region="nothing").status_code == 400


def test_region_keeps_a_message_for_the_next_page(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("")
    admin.post(f"/jobs/{job_id}/deactivate")
    admin.get("/jobs", region="job-list")
    assert "Deactivated." in text_of(admin.get("/jobs"))


def test_stopped_service_is_said(console: Console, admin: Visitor) -> None:
    console.moontide.clock.advance(timedelta(hours=1))
    page = text_of(admin.get("/jobs"))
    assert "Stopped" in page
    assert "moontide service start" in page
