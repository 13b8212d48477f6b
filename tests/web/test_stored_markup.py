"""What people and scripts write is shown literally, wherever it appears."""

from datetime import timedelta

import pytest

from jobservice.domain.run import Outcome
from tests.support.console import Console, Visitor, text_of

MARKUP = "<img src=x onerror=alert(1)>{{7*7}}"
NAMES = ["<script>alert(1)</script>", "{{7*7}}{% raw %}", "עבודה לילית", "Mond 🌙 & Söhne", "\"'><svg/onload=x>"]


def pages(console: Console, visitor: Visitor) -> list[str]:
    console.moontide.clock.advance(timedelta(seconds=1))
    run_id = console.moontide.service.run_now(console.moontide.queries.list_jobs().rows[0].job_id, by="alice")
    addresses = ["/jobs", "/jobs/1", "/jobs/1/edit", "/jobs/1/delete", "/reload", f"/runs/{run_id}", "/scripts/job.lua"]
    return [visitor.get(address).text for address in addresses]


@pytest.mark.parametrize("name", NAMES)
def test_job_name_is_shown_literally(console: Console, admin: Visitor, name: str) -> None:
    console.moontide.add_job("", name=name, path="job.lua", description=MARKUP)
    for text in pages(console, admin):
        assert "<script>alert" not in text
        assert "<svg/" not in text
        assert "<img" not in text
        assert "49" not in text.replace(MARKUP, "").split("<main")[1].split("csrf_token")[0]
    assert name in text_of(admin.get("/jobs"))
    assert 'dir="auto"' in admin.get("/jobs").text


def test_error_note_and_log_are_shown_literally(console: Console, admin: Visitor) -> None:
    console.executor.behaviour = lambda _: None
    job_id = console.moontide.add_job("", name="job")
    run_id = console.moontide.service.run_now(job_id, by="alice")
    console.moontide.step()
    console.executor.say(run_id, f"{MARKUP}\n")
    console.executor.finish(run_id, Outcome.OK, note=MARKUP)
    console.moontide.step()
    for address in (f"/runs/{run_id}", f"/jobs/{job_id}"):
        answer = admin.get(address)
        assert "<img" not in answer.text
        assert MARKUP in text_of(answer)


def test_script_cannot_leave_its_text_area(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("</textarea><script>alert(1)</script>", name="job")
    assert "<script>alert" not in admin.get("/scripts/job.lua").text


def test_search_and_parameters_are_shown_literally(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("")
    for address in (
        "/jobs?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/jobs?status=%3Cscript%3Ealert(1)%3C/script%3E",
        "/login?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/scripts/%3Cscript%3Ealert(1)%3C/script%3E.lua",
        "/jobs/1?before=%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        assert "<script>alert" not in admin.get(address).text


def test_wrong_form_fields_are_shown_literally(admin: Visitor) -> None:
    fields = dict.fromkeys(
        ["name", "path", "schedule", "time_limit_s", "memory_limit_mib", "isolation", "overlap", "misfire",
         "misfire_grace_s", "description"],
        MARKUP,
    )  # fmt: skip
    answer = admin.post("/jobs/new", **fields)
    assert answer.status_code == 422
    assert "<img" not in answer.text


def test_account_name_is_shown_literally(console: Console) -> None:
    visitor = console.visitor()
    password = "correct horse battery"
    visitor.post(f"/setup/{console.accounts.setup_token()}", name=NAMES[0], password=password, confirm=password)
    answer = visitor.get("/account")
    assert "<script>alert" not in answer.text
    assert NAMES[0] in text_of(answer)
