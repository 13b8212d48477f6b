from datetime import timedelta
from typing import Any

import pytest

from jobservice.domain.run import Outcome
from tests.support.console import Console, Visitor, text_of
from tests.web.forms import job_form


def stored_form(console: Console, job_id: int, **changes: Any) -> dict[str, Any]:
    job = console.moontide.job(job_id)  # type: ignore[arg-type]
    return job_form(name=job.definition.name, path=job.definition.path, version=job.version) | changes


def test_form_shows_what_is_stored(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("", name="job", schedule="every 5 minutes", active=False)
    page = admin.get(f"/jobs/{job_id}/edit").text
    assert 'value="every 5 minutes"' in page
    assert 'name="active"' in page
    assert "checked" not in page.split('name="active"')[0].rsplit("<input", 1)[1]


def test_update_is_stored_and_waits_for_a_reload(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("")
    answer = admin.post(f"/jobs/{job_id}/edit", **stored_form(console, job_id, schedule="300"))
    assert answer.location == f"/jobs/{job_id}"
    page = text_of(admin.follow(answer))
    assert "The change waits for a reload." in page
    assert "every minute" in page
    assert "every 5 minutes" in page
    assert console.moontide.job(job_id).definition.schedule == "300"


def test_wrong_input_keeps_what_was_typed(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("")
    answer = admin.post(f"/jobs/{job_id}/edit", **stored_form(console, job_id, schedule="never", description="keep me"))
    assert answer.status_code == 422
    assert 'value="never"' in answer.text
    assert "keep me" in answer.text
    assert console.moontide.job(job_id).definition.schedule == "60"


def test_edit_of_a_changed_job_shows_both_and_keeps_the_text(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("")
    mine = stored_form(console, job_id, schedule="300", description="mine")
    console.moontide.edit(job_id, time_limit_s=9)
    answer = admin.post(f"/jobs/{job_id}/edit", **mine)
    assert answer.status_code == 409
    assert "alice changed this job meanwhile" in text_of(answer)
    assert "9 s" in text_of(answer)
    assert 'value="300"' in answer.text
    assert console.moontide.job(job_id).definition.schedule == "60"

    version = console.moontide.job(job_id).version
    assert f'value="{version}"' in answer.text
    assert admin.post(f"/jobs/{job_id}/edit", **mine | {"version": version}).status_code == 303
    assert console.moontide.job(job_id).definition.description == "mine"


@pytest.mark.parametrize("version", ["", "x", "-1", "99999999999"])
def test_altered_version_is_refused(console: Console, admin: Visitor, version: str) -> None:
    job_id = console.moontide.add_job("")
    answer = admin.post(f"/jobs/{job_id}/edit", **stored_form(console, job_id, version=version))
    assert answer.status_code == 400
    assert "reload the page" in text_of(answer)


def test_last_error_is_shown_and_leads_to_its_line(console: Console, admin: Visitor) -> None:
    console.executor.behaviour = lambda _: Outcome.FAILED
    job_id = console.moontide.add_job("", path="shop/import.lua")
    console.moontide.advance(timedelta(seconds=61))
    for address in (f"/jobs/{job_id}/edit", f"/jobs/{job_id}"):
        page = admin.get(address)
        assert "boom" in text_of(page)
        assert 'href="/scripts/shop/import.lua?line=1"' in page.text


def test_job_that_does_not_exist_is_not_found(admin: Visitor) -> None:
    assert admin.get("/jobs/999/edit").status_code == 404
    assert admin.post("/jobs/999/edit", **job_form(version=1)).status_code == 404
