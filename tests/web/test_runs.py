from datetime import timedelta

import pytest

from jobservice.domain.run import Outcome, RunId
from tests.support.console import Console, Visitor, text_of


def start_run(console: Console) -> RunId:
    """Return a run that goes on."""
    console.executor.behaviour = lambda _: None
    job_id = console.moontide.add_job("", name="job")
    run_id = console.moontide.service.run_now(job_id, by="alice")
    console.moontide.step()
    return run_id


def say(console: Console, run_id: RunId, text: str) -> None:
    console.executor.say(run_id, text)
    console.moontide.step()


def test_page_says_the_verdict_first(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    assert "The script is running now." in text_of(viewer.get(f"/runs/{run_id}"))
    console.executor.finish(run_id, Outcome.OK, note="12 <b>rows</b>")
    console.moontide.step()
    page = viewer.get(f"/runs/{run_id}")
    assert "Finished OK" in text_of(page)
    assert "12 &lt;b&gt;rows" in page.text


def test_error_leads_into_the_editor_at_its_line(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    console.executor.finish(run_id, Outcome.FAILED)
    console.moontide.step()
    page = viewer.get(f"/runs/{run_id}")
    assert "this deactivated the job" in text_of(page)
    assert "boom" in text_of(page)
    assert 'href="/scripts/job.lua?line=1"' in page.text


def test_log_region_gives_only_what_came_since(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    say(console, run_id, "first line\n")
    page = viewer.get(f"/runs/{run_id}")
    assert "first line" in text_of(page)
    assert 'data-sequence="1"' in page.text
    say(console, run_id, "second line\n")
    region = viewer.get(f"/runs/{run_id}?after=1", region="run-log-lines")
    assert "second line" in region.text
    assert "first line" not in region.text
    assert region.headers["Moontide-Live"] == "yes"
    digest = viewer.get(f"/runs/{run_id}?after=2", region="run-log-lines").headers["Moontide-Digest"]
    assert viewer.get(f"/runs/{run_id}?after=2", region="run-log-lines", digest=digest).status_code == 204


def test_long_log_comes_in_parts_that_follow_at_once(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    for number in range(3):
        say(console, run_id, f"part {number}: {'x' * 200 * 1024}\n")
    page = viewer.get(f"/runs/{run_id}")
    assert "part 0" in page.text
    assert "part 2" not in page.text
    assert 'data-live="more"' in page.text
    assert f'href="/runs/{run_id}?after=' in page.text
    assert viewer.get(f"/runs/{run_id}", region="run-log-lines").headers["Moontide-Live"] == "more"
    assert viewer.get(f"/runs/{run_id}", region="run-summary").headers["Moontide-Live"] == "yes"
    assert len(viewer.get(f"/runs/{run_id}/log.txt").text) > 3 * 200 * 1024


def test_polling_ends_with_the_run(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    console.executor.finish(run_id, Outcome.OK)
    console.moontide.step()
    for region in ("run-summary", "run-log-lines"):
        assert viewer.get(f"/runs/{run_id}", region=region).headers["Moontide-Live"] == "no"
    assert 'data-live="no"' in viewer.get(f"/runs/{run_id}").text


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 12, "٣"])
def test_wrong_place_in_the_log_is_said(console: Console, viewer: Visitor, after: str) -> None:
    answer = viewer.get(f"/runs/{start_run(console)}?after={after}")
    assert answer.status_code == 400
    assert "after: Use the number of a part of the log" in text_of(answer)


def test_log_downloads_as_plain_text(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    say(console, run_id, "<script>alert(1)</script>\n")
    answer = viewer.get(f"/runs/{run_id}/log.txt")
    assert answer.text == "<script>alert(1)</script>\n"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="run-{run_id}.txt"'


def test_log_shows_control_characters_and_markup_literally(console: Console, viewer: Visitor) -> None:
    run_id = start_run(console)
    say(console, run_id, "\x1b]8;;https://evil.test\x07click\x1b[31m <img src=x>\n")
    page = viewer.get(f"/runs/{run_id}").text
    assert "\x1b" not in page
    assert "<img" not in page
    assert "␛[31m &lt;img src=x&gt;" in page


def test_cancel_ends_a_run_and_then_conflicts(console: Console, operator: Visitor) -> None:
    run_id = start_run(console)
    page = text_of(operator.follow(operator.post(f"/runs/{run_id}/cancel")))
    assert "The run is being cancelled." in page
    console.moontide.step()
    console.moontide.step()
    assert "Cancelled" in text_of(operator.get(f"/runs/{run_id}"))
    answer = operator.post(f"/runs/{run_id}/cancel")
    assert answer.status_code == 409
    assert "finished already" in text_of(answer)


def test_run_again_makes_another_run(console: Console, operator: Visitor) -> None:
    run_id = start_run(console)
    console.executor.finish(run_id, Outcome.OK)
    console.moontide.step()
    console.moontide.clock.advance(timedelta(seconds=1))
    answer = operator.post(f"/runs/{run_id}/again")
    assert answer.location != f"/runs/{run_id}"
    assert "Another run is ordered" in text_of(operator.follow(answer))


@pytest.mark.parametrize("address", ["/runs/999", "/runs/999/log.txt", "/runs/0", "/runs/99999999999999999999"])
def test_unknown_run_is_not_found(viewer: Visitor, address: str) -> None:
    assert viewer.get(address).status_code == 404
