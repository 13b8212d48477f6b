from datetime import timedelta

from jobservice.domain.job import JobStatus
from jobservice.domain.run import Cause
from tests.support.console import Console, Visitor, text_of


def test_run_now_leads_to_the_new_run(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("")
    answer = operator.post(f"/jobs/{job_id}/run")
    (run,) = console.moontide.runs(job_id)
    assert (run.row.cause, run.asked_by) == (Cause.HAND, "operator")
    assert answer.location == f"/runs/{run.row.run_id}"
    assert "Waiting until the job service runs and the job is free." in text_of(operator.follow(answer))


def test_deactivate_acts_at_once_and_goes_back_to_the_list(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("")
    answer = operator.post(f"/jobs/{job_id}/deactivate", back="/jobs?search=j")
    assert answer.location == "/jobs?search=j"
    assert "Deactivated." in text_of(operator.follow(answer))
    assert console.moontide.job(job_id).row.status is JobStatus.INACTIVE
    assert operator.post(f"/jobs/{job_id}/deactivate").status_code == 303


def test_reactivate_waits_for_a_reload(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("", active=False)
    answer = operator.post(f"/jobs/{job_id}/reactivate")
    assert "It runs after the next reload." in text_of(operator.follow(answer))
    assert console.moontide.job(job_id).definition.active
    assert operator.post(f"/jobs/{job_id}/reactivate").status_code == 303
    console.moontide.reload()
    assert console.moontide.job(job_id).row.status is JobStatus.OK


def test_back_never_leads_elsewhere(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("")
    for target in ("https://evil.test/", "//evil.test", "/\\evil.test", "/\tjobs"):
        assert operator.post(f"/jobs/{job_id}/deactivate", back=target).location == f"/jobs/{job_id}"


def test_reload_is_requested_and_done(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("", reload=False)
    page = operator.get("/reload")
    assert "It is loaded for the first time." in text_of(page)
    assert "Reload requested." in text_of(operator.follow(operator.post("/reload")))
    console.moontide.step()
    assert console.moontide.job(job_id).row.pending is None
    assert "No edited job waits." in text_of(operator.get("/reload"))


def test_reload_page_lists_each_change(console: Console, operator: Visitor) -> None:
    job_id = console.moontide.add_job("")
    console.moontide.edit(job_id, schedule="300", time_limit_s=5)
    page = text_of(operator.get("/reload"))
    for words in ("every minute", "every 5 minutes", "60 s", "5 s"):
        assert words in page


def test_reload_twice_is_harmless(operator: Visitor) -> None:
    assert operator.post("/reload").status_code == 303
    assert operator.post("/reload").status_code == 303


def test_reload_of_a_stopped_service_is_noted_and_said(console: Console, operator: Visitor) -> None:
    console.moontide.clock.advance(timedelta(hours=1))
    page = text_of(operator.follow(operator.post("/reload")))
    assert "it happens when the service starts" in page
    assert console.moontide.nodes.reload_waits()


def test_delete_asks_and_says_what_goes(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("", name="old")
    admin.post(f"/jobs/{job_id}/run")
    page = text_of(admin.get(f"/jobs/{job_id}/delete"))
    for words in ("1 run with its logs", "old.lua", "2 revisions", "cannot be undone"):
        assert words in page
    answer = admin.post(f"/jobs/{job_id}/delete")
    assert "“old” is deleted. Its script old.lua is kept." in text_of(admin.follow(answer))
    assert admin.get(f"/jobs/{job_id}").status_code == 404
    assert admin.get("/scripts/old.lua").status_code == 200
    assert admin.post(f"/jobs/{job_id}/delete").status_code == 404


def test_delete_takes_the_script_when_asked_to(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("", name="old")
    admin.post(f"/jobs/{job_id}/delete", delete_script="yes")
    assert console.moontide.scripts.find("old.lua") is None


def test_job_page_shows_history_by_pages(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("", schedule="1")
    console.moontide.advance(53)
    first = admin.get(f"/jobs/{job_id}")
    assert "Older runs" in text_of(first)
    older = first.text.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    assert "Newest runs" in text_of(admin.get(older))
    answer = admin.get(f"/jobs/{job_id}?before=x")
    assert answer.status_code == 400
    assert "before:" in text_of(answer)


def test_new_job_that_was_never_loaded_says_so(console: Console, viewer: Visitor) -> None:
    job_id = console.moontide.add_job("", reload=False)
    assert "it runs after the next reload" in text_of(viewer.get(f"/jobs/{job_id}"))
