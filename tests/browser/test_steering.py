"""The list, the run's page and the job's page follow what the script returns, and what a person presses."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import button, editor, message, next_run, reload_jobs, row, save, status, write
from tests.browser.people import People
from tests.browser.site import Site
from tests.support import lua

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-steering")]

TICKING = lua.script('for i = 1, 600 do print("tick " .. i) core.sleep(0.1) end\nreturn job.OK')
SOON = re.compile(r"in \d sec|now")


def test_ok_runs_again_and_again(site: Site, people: People) -> None:
    site.add_job("Heartbeat", lua.script('return job.OK, "beat"'))
    page = people.open()
    line = row(page, "Heartbeat")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()
    expect(status(line)).to_have_text("OK")
    expect(next_run(line)).to_have_text(SOON)

    line.get_by_role("link", name="Details").click()
    runs = page.get_by_role("table", name="Runs, newest first").get_by_role("row")
    expect(runs.nth(3)).to_contain_text("OK")
    expect(runs.nth(3)).to_contain_text("On schedule")
    expect(runs.nth(3)).to_contain_text("beat")


def test_sleep_puts_the_next_run_a_day_away(site: Site, people: People) -> None:
    site.add_job("Nap", lua.SLEEP)
    line = row(people.open(), "Nap")
    expect(status(line)).to_have_text("Sleeping")
    expect(next_run(line)).to_have_text(re.compile("in 23 hr|in 1 day|tomorrow"))
    expect(line.get_by_role("link", name=re.compile("^Sleep"))).to_be_visible()


def test_stop_waits_for_a_reload(site: Site, people: People) -> None:
    site.add_job("Wait", lua.STOP)
    page = people.open()
    line = row(page, "Wait")
    expect(status(line)).to_have_text("Stopped")
    expect(next_run(line)).to_have_text("–")

    site.save("wait.lua", lua.OK)
    reload_jobs(page)
    expect(status(line)).to_have_text("OK")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()


def test_exit_deactivates_the_job(site: Site, people: People) -> None:
    site.add_job("Leave", lua.EXIT)
    page = people.open()
    line = row(page, "Leave")
    expect(status(line)).to_have_text("Inactive")
    expect(next_run(line)).to_have_text("–")

    line.get_by_role("link", name=re.compile("^Exit")).click()
    expect(page.get_by_text("Finished and asked to be deactivated")).to_be_visible()


def test_error_leads_to_its_line_in_the_editor(site: Site, people: People) -> None:
    site.add_job("Import orders", lua.script("local order = nil\nreturn order.number"))
    page = people.open()
    line = row(page, "Import orders")
    expect(status(line)).to_have_text("Inactive")

    line.get_by_role("link", name=re.compile("^Failed")).click()
    expect(page.get_by_text("this deactivated the job")).to_be_visible()
    expect(page.get_by_role("region", name="Error")).to_contain_text("order")
    page.get_by_role("link", name="Import orders").click()
    expect(page.get_by_role("region", name="Last error")).to_be_visible()

    page.get_by_role("link", name="Edit").click()
    page.get_by_role("region", name="Last error").get_by_role("link", name="import_orders.lua, line 4").click()
    expect(page).to_have_url(re.compile(r"/scripts/import_orders\.lua\?line=4$"))
    expect(page.locator(".cm-wanted-line")).to_have_text("return order.number")

    write(page, lua.OK)
    save(page, 3)
    page.get_by_role("link", name="Import orders").click()
    button(page, "Reactivate").click()
    expect(message(page)).to_contain_text("Reactivated. It runs after the next reload.")
    page.get_by_role("link", name="Jobs", exact=True).click()
    reload_jobs(page)
    expect(status(line)).to_have_text("OK")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()


def test_log_grows_while_the_run_goes_on_until_it_is_cancelled(site: Site, people: People) -> None:
    site.add_job("Ticker", TICKING)
    page = people.open()
    line = row(page, "Ticker")
    line.get_by_role("link", name="Running").click()
    expect(page.get_by_text("The script is running now.")).to_be_visible()
    log = page.get_by_role("log")
    expect(log).to_contain_text("tick 1")
    loaded = page.evaluate("performance.timeOrigin")
    expect(log).to_contain_text("tick 15")
    assert page.evaluate("performance.timeOrigin") == loaded, "the page was loaded again"
    assert log.inner_text().count("tick 1\n") == 1
    _expect_end_in_sight(page)

    # Saved now, so that the next run on schedule cannot begin to tick as well.
    site.save("ticker.lua", lua.script('print("short") return job.OK, "done"'))
    first_run = page.url
    button(page, "Cancel").click()
    expect(page.locator("#run-summary")).to_contain_text("Cancelled after")
    expect(button(page, "Cancel")).to_have_count(0)

    button(page, "Run again").click()
    expect(message(page)).to_contain_text("Another run is ordered")
    assert page.url != first_run
    expect(page.locator("#run-summary")).to_contain_text("Finished OK")
    expect(page.locator("#run-summary")).to_contain_text(re.compile("By hand, by admin", re.IGNORECASE))
    expect(log).to_contain_text("short")


def _expect_end_in_sight(page: Page) -> None:
    """The window of the log stays at its end."""
    distance = "window => window.scrollHeight - window.scrollTop - window.clientHeight"
    assert page.get_by_role("log").evaluate(distance) < 60


def test_deactivate_and_reactivate(site: Site, people: People) -> None:
    site.add_job("Switch", lua.OK, schedule="3600")
    page = people.open()
    line = row(page, "Switch")
    expect(next_run(line)).to_have_text(re.compile("in 59 min|in 1 hr"))

    button(line, "Deactivate").click()
    expect(message(page)).to_contain_text("Deactivated. It will not run until somebody reactivates it.")
    expect(status(line)).to_have_text("Inactive")
    expect(next_run(line)).to_have_text("–")

    button(line, "Reactivate").click()
    expect(message(page)).to_contain_text("Reactivated. It runs after the next reload.")
    expect(line).to_contain_text("changed")
    expect(button(page, "Reload")).to_have_text("Reload 1")
    page.get_by_role("link", name="1 job waits for a reload").click()
    expect(page.get_by_role("row").filter(has_text="Active")).to_contain_text(re.compile("yes|on|true", re.IGNORECASE))
    page.get_by_role("link", name="Back to the jobs").click()
    reload_jobs(page)
    expect(status(line)).to_have_text("OK")
    expect(next_run(line)).to_have_text(re.compile("in 59 min|in 1 hr"))


def test_edit_waits_for_the_reload(site: Site, people: People) -> None:
    site.add_job("Report", lua.OK, schedule="3600")
    page = people.open()
    line = row(page, "Report")
    expect(status(line)).to_have_text("OK")

    page.get_by_role("link", name="Report", exact=True).click()
    page.get_by_label("Schedule").fill("every 2 seconds")
    page.get_by_role("button", name="Update").click()
    expect(message(page)).to_contain_text("Saved. The change waits for a reload.")
    expect(page.get_by_role("table", name="Changed fields")).to_contain_text("every 2 seconds")
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(line).to_contain_text("changed")
    expect(next_run(line)).to_have_text(re.compile("in 59 min|in 1 hr"))
    reload_jobs(page)
    expect(line).not_to_contain_text("changed")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()


def test_delete_says_what_goes_and_asks_first(site: Site, people: People) -> None:
    site.add_job("Obsolete", lua.OK)
    page = people.open()
    line = row(page, "Obsolete")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()

    page.get_by_role("link", name="Obsolete", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text(re.compile(r"\d+ runs? with (its|their) logs"))).to_be_visible()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(message(page)).to_contain_text("“Obsolete” is deleted. Its script obsolete.lua is kept.")
    expect(line).to_have_count(0)


def test_run_once_runs_once_whatever_is_reloaded(site: Site, people: People) -> None:
    site.add_job("Greeting", lua.OK, run_once=True, schedule="2")
    page = people.open()
    line = row(page, "Greeting")
    expect(status(line)).to_have_text("Once: waiting")
    expect(status(line)).to_have_text("Once: done")
    expect(next_run(line)).to_have_text("–")

    # The witness is loaded by the same reload and runs twice in the time in which the other could run once.
    site.add_job("Witness", lua.OK, reload=False)
    page.reload()
    reload_jobs(page)
    row(page, "Witness").get_by_role("link", name="Details").click()
    expect(page.get_by_role("row").nth(3)).to_contain_text("On schedule")
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(status(line)).to_have_text("Once: done")
    line.get_by_role("link", name="Details").click()
    expect(page.get_by_role("row")).to_have_count(2)


def test_run_now_needs_no_schedule(site: Site, people: People) -> None:
    site.add_job("By hand", lua.script("print(job.hour() ~= nil) return job.OK"), schedule="every 1 day", active=False)
    page = people.open()
    button(row(page, "By hand"), "Run now").click()
    expect(page.get_by_text("Finished OK")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("true")


def test_list_is_narrowed_by_text_and_status_and_says_when_nothing_fits(site: Site, people: People) -> None:
    site.add_job("Sync stock", lua.OK, schedule="3600")
    site.add_job("Warm caches", lua.OK, schedule="3600", active=False)
    page = people.open()
    expect(row(page, "Warm caches")).to_be_visible()
    page.get_by_role("searchbox").fill("stock")
    expect(row(page, "Warm caches")).to_have_count(0)
    expect(row(page, "Sync stock")).to_be_visible()
    expect(page).to_have_url(re.compile("search=stock"))
    page.get_by_label("Status").select_option("Inactive")
    expect(page.get_by_text("No job fits this filter.")).to_be_visible()
    page.get_by_role("link", name="Show all jobs").click()
    expect(row(page, "Warm caches")).to_be_visible()


def test_second_person_to_save_a_job_sees_what_the_first_one_changed(site: Site, people: People) -> None:
    job_id = site.add_job("Shared", lua.OK, schedule="3600")
    people.expect_complaint("status of 409")
    first, second = people.open(f"/jobs/{job_id}/edit"), people.open(f"/jobs/{job_id}/edit")
    people.expect_complaint("status of 409")
    first.get_by_label("Schedule").fill("7200")
    first.get_by_role("button", name="Update").click()
    expect(message(first)).to_contain_text("Saved.")

    second.get_by_label("Schedule").fill("every 5 minutes")
    second.get_by_role("button", name="Update").click()
    expect(second.get_by_role("alert").first).to_contain_text("Your text is kept below.")
    expect(second.get_by_role("table", name="Differences")).to_contain_text("7200")
    expect(second.get_by_label("Schedule")).to_have_value("every 5 minutes")
    second.get_by_role("button", name="Update").click()
    expect(message(second)).to_contain_text("Saved.")
    expect(editor(second)).to_have_count(0)
