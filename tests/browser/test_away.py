"""Pages say what is missing, and recover by themselves: job service stopped, console gone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.desk import button, editor, message, row, save, write
from tests.browser.people import People
from tests.browser.site import Site
from tests.support import lua
from tests.support.processes import Process

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-away")]

GONE = "ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|htmx:(sendError|afterRequest)"
"""What Chromium and htmx write while nobody answers."""


@pytest.fixture
def site(empty_site: Site) -> Site:
    """A console without a job service; started anew where a test has ended it."""
    return empty_site


@pytest.fixture
def console(site: Site) -> Process:
    return site.start_console()


@pytest.fixture(autouse=True)
def _stop(site: Site) -> object:
    yield
    site.stop_all()


def test_pages_work_and_say_so_while_the_service_is_stopped(site: Site, console: Process, people: People) -> None:
    page = people.open()
    expect(page.locator("#service-state")).to_have_text(re.compile("Not started|Stopped"))
    expect(page.get_by_text("No job runs until it is started: moontide service start")).to_be_visible()
    service = site.start_service()
    expect(page.locator("#service-state")).to_have_text("Running")
    service.stop()
    expect(page.locator("#service-state")).to_have_text("Stopped")
    panel = page.get_by_role("region", name="Job service")
    expect(panel).to_contain_text(re.compile("since .*20"))
    expect(panel).to_contain_text("No job runs until it is started: moontide service start")

    page.get_by_role("link", name="New Job").click()
    page.get_by_label("Name").fill("Made meanwhile")
    page.get_by_label("Path").fill("meanwhile.lua")
    page.get_by_label("Schedule").fill("3600")
    page.get_by_role("button", name="Create").click()
    write(page, "local x = @")
    expect(page.get_by_role("list", name="Problems")).to_contain_text("Line 1")
    write(page, lua.OK)
    save(page, 2)
    page.get_by_role("link", name="Jobs", exact=True).click()
    button(page, "Reload").click()
    expect(message(page)).to_contain_text("The reload is noted, but the job service is not running")
    button(row(page, "Made meanwhile"), "Run now").click()
    expect(page.get_by_text("Waiting until the job service runs and the job is free.")).to_be_visible()

    site.start_service()
    expect(page.get_by_text("Finished OK after")).to_be_visible()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_text("for a reload")).to_have_count(0)


def test_open_list_says_that_the_console_is_gone_and_recovers(site: Site, console: Process, people: People) -> None:
    page = people.open()
    people.expect_complaint(GONE)
    gone = page.get_by_text("The console cannot be reached.")
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    console.kill()
    expect(gone).to_be_visible()
    expect(page.get_by_text("No jobs yet")).to_be_visible()

    site.add_job("Made meanwhile", lua.OK, schedule="3600")
    site.start_console()
    expect(row(page, "Made meanwhile")).to_be_visible()
    expect(gone).to_be_hidden()


def test_editor_keeps_the_text_while_the_console_is_gone(site: Site, console: Process, people: People) -> None:
    site.add_job("Draft", lua.OK, schedule="3600")
    page = people.open("/scripts/draft.lua")
    people.expect_complaint(GONE)
    write(page, "-- kept\n" + lua.OK)
    console.kill()
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-state")).to_have_text(re.compile("the console cannot be reached. Your text is still"))
    expect(editor(page)).to_contain_text("-- kept")
    site.start_console()
    save(page, 3)


def test_run_page_recovers_with_the_rest_of_the_log(site: Site, console: Process, people: People) -> None:
    site.start_service()
    ticks = lua.script('for i = 1, 300 do print("tick " .. i) core.sleep(0.1) end return job.OK')
    job_id = site.add_job("Ticker", ticks, schedule="3600")
    run_id = site.backend.service.run_now(job_id, by="alice")
    page = people.open(f"/runs/{run_id}")
    people.expect_complaint(GONE)
    log = page.get_by_role("log")
    expect(log).to_contain_text("tick 2")
    console.kill()
    expect(page.get_by_text("The console cannot be reached.")).to_be_visible()
    site.start_console()
    expect(page.get_by_text("The console cannot be reached.")).to_be_hidden()
    expect(log).to_contain_text("tick 60")
    seen = re.findall(r"tick (\d+)", log.inner_text())
    assert [int(number) for number in seen] == list(range(1, len(seen) + 1))
