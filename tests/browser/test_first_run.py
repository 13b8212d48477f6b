"""From the one-time link to the log of the first run, with JavaScript and without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.desk import button, editor, message, next_run, reload_jobs, reload_until, row, save, status, write
from tests.browser.people import People
from tests.browser.site import PASSWORD, Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-first-run")]

SHEEP = (
    'local job = core.job()\n\nfunction job.run()\n  print("one sheep")\n  return job.OK, "all in"\nend\n\nreturn job\n'
)


@pytest.fixture
def site(chromium: Browser, tmp_path: Path) -> Iterator[Site]:
    """A Moontide on an empty folder, which nobody has set up."""
    site = Site(tmp_path)
    site.start_up()
    yield site
    site.end()


def _become_admin(page: Page, site: Site) -> None:
    page.goto(site.setup_link())
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the admin").click()
    expect(message(page)).to_contain_text("Welcome, ada. You are the admin.")
    expect(page.get_by_text("No jobs yet")).to_be_visible()


def _fill_wrongly(page: Page) -> None:
    page.get_by_label("Path").fill("../sheep.txt")
    page.get_by_label("Schedule").fill("soon")
    page.get_by_label("Time limit").fill("0")
    page.get_by_label("Description").fill("Counts them.")
    page.get_by_role("button", name="Create").click()


def _check_refusal(page: Page) -> None:
    """Each wrong field says what is allowed, and what was typed still stands in it."""
    expect(page.get_by_role("alert")).to_contain_text("Nothing is saved yet: see the marked fields.")
    for label, typed, sentence in (
        ("Name", "", "Enter a name"),
        ("Path", "../sheep.txt", r"\.lua"),
        ("Schedule", "soon", "every"),
        ("Time limit", "0", "Enter a whole number of seconds from 1 to"),
    ):
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_value(typed)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{field.get_attribute('id')}-error")).to_have_text(re.compile(sentence))
    expect(page.get_by_label("Description")).to_have_value("Counts them.")
    expect(page.get_by_label("Memory limit")).to_have_attribute("aria-invalid", "false")


def _correct(page: Page) -> None:
    page.get_by_label("Name").fill("Count sheep")
    page.get_by_label("Path").fill("night/sheep.lua")
    page.get_by_label("Schedule").fill("2")
    page.get_by_label("Time limit").fill("5")
    page.get_by_role("button", name="Create").click()
    expect(message(page)).to_contain_text("“Count sheep” is made. Write its script here.")


def test_first_job_from_the_setup_link_to_its_log(site: Site, people: People) -> None:
    page = people.open(None, role=None)
    people.expect_complaint("status of 422")
    _become_admin(page, site)

    page.get_by_role("link", name="Make the first job").click()
    for label in ("Name", "Path", "Schedule", "Time limit", "When it overlaps", "Grace"):
        field = page.get_by_label(label, exact=True)
        assert page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text()
    _fill_wrongly(page)
    _check_refusal(page)
    _correct(page)

    expect(editor(page)).to_contain_text("function job.run()")
    expect(editor(page)).to_contain_text("return job.OK")
    write(page, SHEEP)
    expect(page.locator("#editor-state")).to_have_text("Not saved yet")
    save(page, 2)

    page.get_by_role("link", name="Jobs", exact=True).click()
    line = row(page, "Count sheep")
    expect(line).to_contain_text("new")
    expect(line).to_contain_text("Never")
    expect(page.get_by_text("1 job waits for a reload")).to_be_visible()
    expect(button(page, "Reload")).to_have_text("Reload 1")
    reload_jobs(page)
    expect(page.locator("#service-state")).to_have_text("Running")

    expect(status(line)).to_have_text("OK")
    expect(next_run(line)).to_have_text(re.compile(r"in \d sec|now"))
    last = line.get_by_role("link", name=re.compile(r"OK.*(sec\. ago|now)"))
    last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Run \d+ of Count sheep"))
    expect(page.get_by_text("Finished OK after")).to_be_visible()
    expect(page.get_by_text("all in")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("one sheep")
    expect(page.get_by_text("revision 2")).to_be_visible()


def test_first_job_without_javascript(site: Site, people: People) -> None:
    page = people.open(None, role=None, javascript=False)
    people.expect_complaint("status of 422")
    _become_admin(page, site)

    page.get_by_role("link", name="New Job").click()
    _fill_wrongly(page)
    _check_refusal(page)
    _correct(page)

    source = page.get_by_label("Lua source of night/sheep.lua")
    expect(source).to_have_value(re.compile(r"function job\.run\(\)"))
    source.fill(SHEEP)
    page.get_by_role("button", name="Save").click()
    expect(message(page)).to_contain_text("Saved as revision 2.")
    expect(source).to_have_value(SHEEP)

    page.get_by_role("link", name="Jobs", exact=True).click()
    line = row(page, "Count sheep")
    expect(line).to_contain_text("new")
    button(page, "Reload").click()
    expect(message(page)).to_contain_text("Reload requested.")
    reload_until(page, line.get_by_role("link", name=re.compile("^OK")))
    expect(line).not_to_contain_text("new")
    expect(status(line)).to_have_text("OK")
    line.get_by_role("link", name=re.compile("^OK")).click()
    expect(page.get_by_text("Finished OK after")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("one sheep")

    page.get_by_role("link", name="Jobs", exact=True).click()
    button(line, "Run now").click()
    reload_until(page, page.get_by_text("Finished OK after"))

    page.get_by_role("link", name="Jobs", exact=True).click()
    button(line, "Deactivate").click()
    expect(message(page)).to_contain_text("Deactivated.")
    expect(status(line)).to_have_text("Inactive")

    page.get_by_role("link", name="Count sheep", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("This cannot be undone.")).to_be_visible()
    page.get_by_label("Delete its script night/sheep.lua too").check()
    page.get_by_role("button", name="Delete").click()
    expect(message(page)).to_contain_text("“Count sheep” is deleted.")
    expect(page.get_by_text("No jobs yet")).to_be_visible()
