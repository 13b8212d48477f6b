import pytest

from jobservice.domain.job import Isolation, MisfirePolicy, OverlapPolicy
from tests.support.console import Console, Visitor, text_of
from tests.web.forms import job_form


def test_create_leads_to_the_editor_with_the_template(console: Console, admin: Visitor) -> None:
    answer = admin.post("/jobs/new", **job_form())
    assert answer.location == "/scripts/reports/nightly.lua"
    page = admin.follow(answer)
    assert "local job = core.job()" in page.text
    assert "“Nightly” is made." in text_of(page)
    (row,) = console.moontide.queries.list_jobs().rows
    assert (row.name, row.path, row.active, row.run_once, row.pending) == (
        "Nightly", "reports/nightly.lua", True, False, "new",
    )  # fmt: skip


def test_every_field_is_stored(console: Console, admin: Visitor) -> None:
    sent = job_form(
        schedule="every 5 minutes", run_once="y", active=None, time_limit_s="5", memory_limit_mib="128",
        isolation="process", overlap="queue", misfire="all", misfire_grace_s="7", repeat_after_crash=None,
        description="why\r\nand how",
    )  # fmt: skip
    admin.post("/jobs/new", **sent)
    (row,) = console.moontide.queries.list_jobs().rows
    stored = console.moontide.job(row.job_id).definition
    assert (stored.run_once, stored.active, stored.repeat_after_crash) == (True, False, False)
    assert (stored.time_limit_s, stored.memory_limit_mib, stored.misfire_grace_s) == (5, 128, 7)
    assert (stored.isolation, stored.overlap, stored.misfire) == (
        Isolation.PROCESS, OverlapPolicy.QUEUE, MisfirePolicy.ALL,
    )  # fmt: skip
    assert stored.description == "why\nand how"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Enter a name."),
        ("name", "x" * 65, "A name has at most 64 characters; this one has 65."),
        ("name", "a\nb", "A name is one line of printable characters."),
        ("path", "", "Enter a path such as"),
        ("path", "../x.lua", "may not contain"),
        ("path", "/etc/x.lua", "leave out the leading slash"),
        ("path", "x.txt", "must end in .lua"),
        ("time_limit_s", "0", "Enter a whole number of seconds from 1 to 86,400."),
        ("time_limit_s", "1.5", "Enter a whole number of seconds from 1 to 86,400."),
        ("time_limit_s", "", "Enter a whole number of seconds from 1 to 86,400."),
        ("memory_limit_mib", "513", "Enter a whole number of MiB from 4 to 512."),
        ("misfire_grace_s", "soon", "Enter a whole number of seconds from 1 to 86,400."),
        ("isolation", "none", "Choose one of: pooled, process."),
        ("overlap", "x", "Choose one of: skip, queue, allow."),
        ("misfire", "x", "Choose one of: last, skip, all."),
        ("description", "x" * 2001, "A description has at most 2,000 characters."),
    ],
)
def test_wrong_field_is_said_and_nothing_is_made(
    console: Console, admin: Visitor, field: str, value: str, words: str
) -> None:
    answer = admin.post("/jobs/new", **job_form(**{field: value}))
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert 'aria-invalid="true"' in answer.text
    assert console.moontide.queries.list_jobs().total == 0


@pytest.mark.parametrize("schedule", ["0", "-5", "abc", "1.5", "", "every 0 minutes", "31536001", "x" * 10_000])
def test_wrong_schedule_is_a_field_error(console: Console, admin: Visitor, schedule: str) -> None:
    answer = admin.post("/jobs/new", **job_form(schedule=schedule))
    assert answer.status_code == 422
    assert 'id="schedule-error"' in answer.text
    assert console.moontide.queries.list_jobs().total == 0


def test_all_problems_are_said_at_once_and_what_was_typed_stays(admin: Visitor) -> None:
    answer = admin.post("/jobs/new", **job_form(name="", path="x.txt", schedule="never", time_limit_s="abc"))
    for field in ("name", "path", "schedule", "time_limit_s"):
        assert f'id="{field}-error"' in answer.text
    for typed in ("x.txt", "never", "abc"):
        assert f'value="{typed}"' in answer.text


@pytest.mark.parametrize("taken", ["name", "path"])
def test_name_and_path_are_unique(console: Console, admin: Visitor, taken: str) -> None:
    console.moontide.add_job("", name="first")
    answer = admin.post("/jobs/new", **job_form(**{taken: {"name": "first", "path": "first.lua"}[taken]}))
    assert answer.status_code == 422
    assert f'id="{taken}-error"' in answer.text


def test_second_create_makes_no_second_job(console: Console, admin: Visitor) -> None:
    admin.post("/jobs/new", **job_form())
    assert admin.post("/jobs/new", **job_form()).status_code == 422
    assert console.moontide.queries.list_jobs().total == 1
