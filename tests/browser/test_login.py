"""Signing in and out, what each role may do, and the brake on guessing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from jobservice.domain.account import Role
from tests.browser.desk import button, editor, message, row
from tests.browser.people import People, sign_in, try_to_sign_in
from tests.browser.site import PASSWORD, Site
from tests.support import lua

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-login")]


def _open_menu(page: Page, name: str) -> None:
    page.locator("summary").filter(has_text=name).click()


def _sign_out(page: Page, name: str) -> None:
    _open_menu(page, name)
    page.get_by_role("button", name="Sign out").click()
    expect(message(page)).to_contain_text("You are signed out.")


def test_login_leads_to_the_page_that_was_asked_for_and_logout_closes_it(site: Site, people: People) -> None:
    site.add_account("ada")
    page = people.open("/jobs?status=inactive", role=None)
    expect(page).to_have_url(re.compile("/login"))
    sign_in(page, "ada")
    expect(page).to_have_url(re.compile(r"/jobs\?status=inactive$"))

    _sign_out(page, "ada")
    page.goto("/jobs")
    expect(page).to_have_url(re.compile("/login"))
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_wrong_password_is_refused_and_too_many_have_to_wait(site: Site, people: People) -> None:
    site.add_account("grace")
    page = people.open("/login", role=None)
    people.expect_complaint("status of 4(22|29)")
    for _ in range(5):
        try_to_sign_in(page, "grace", "wrong password")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        expect(page.get_by_label("Name")).to_have_value("grace")
        expect(page.get_by_label("Password")).to_have_value("")
    try_to_sign_in(page, "grace", PASSWORD)
    expect(page.get_by_role("heading", name="Too many attempts")).to_be_visible()
    expect(page.get_by_text("so this one was not looked at")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Try again in 1[45] minutes\."))).to_be_visible()
    page.get_by_role("link", name="Back to the login").click()
    expect(page.get_by_label("Name")).to_be_focused()


def test_empty_login_names_what_is_missing(people: People) -> None:
    page = people.open("/login", role=None)
    people.expect_complaint("status of 422")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Enter your name.")).to_be_visible()
    expect(page.get_by_text("Enter your password.")).to_be_visible()


def test_setup_link_is_dead_once_there_is_an_admin(site: Site, people: People) -> None:
    people.open()
    page = people.open(None, role=None)
    people.expect_complaint("status of 404")
    page.goto(site.setup_link())
    expect(page.get_by_text("This setup link does not work")).to_be_visible()


def test_viewer_reads_everything_and_changes_nothing(site: Site, people: People) -> None:
    job_id = site.add_job("Heartbeat", lua.script('print("beat") return job.OK'))
    page = people.open(role=Role.VIEWER)
    people.expect_complaint("status of 403")
    line = row(page, "Heartbeat")
    expect(line.get_by_role("link", name=re.compile("^OK"))).to_be_visible()
    _expect_no_buttons(page)

    line.get_by_role("link", name=re.compile("^OK")).click()
    expect(page.get_by_role("log")).to_contain_text("beat")
    _expect_no_buttons(page)
    page.get_by_role("link", name="Heartbeat", exact=True).click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    _expect_no_buttons(page)
    page.get_by_role("link", name="Script", exact=True).click()
    expect(editor(page)).to_contain_text('print("beat")')
    expect(page.get_by_text("Only an admin may change it.")).to_be_visible()
    editor(page).click()
    page.keyboard.type("mine")
    expect(editor(page)).not_to_contain_text("mine")
    _expect_no_buttons(page)

    for address in ("/jobs/new", f"/jobs/{job_id}/edit", f"/jobs/{job_id}/delete"):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403
        expect(page.get_by_text("Your role is viewer, which is not enough for this.")).to_be_visible()
    token = page.locator("[name=csrf_token]").first.input_value()
    for address in ("/reload", f"/jobs/{job_id}/run", f"/jobs/{job_id}/deactivate", f"/jobs/{job_id}/delete"):
        assert page.request.post(address, form={"csrf_token": token}).status == 403


def _expect_no_buttons(page: Page) -> None:
    """Only the menu and the filter have buttons."""
    expect(page.get_by_role("main").get_by_role("button", name=re.compile("^(?!Filter)"))).to_have_count(0)
    expect(page.get_by_role("link", name=re.compile("New Job|Edit|Delete"))).to_have_count(0)


def test_operator_runs_and_reloads_but_edits_nothing(site: Site, people: People) -> None:
    site.add_job("Errand", lua.OK, schedule="3600")
    page = people.open(role=Role.OPERATOR)
    expect(page.get_by_role("link", name="New Job")).to_have_count(0)
    expect(button(page, "Reload")).to_be_visible()
    button(row(page, "Errand"), "Run now").click()
    expect(page.get_by_text("Finished OK after")).to_be_visible()


def test_changed_password_signs_out_everywhere_else(site: Site, people: People) -> None:
    site.add_account("joan")
    here, elsewhere = people.open("/login", role=None), people.open("/login", role=None)
    people.expect_complaint("(status of|Error Code) 4(22|01)")
    for page in (here, elsewhere):
        sign_in(page, "joan")
    _open_menu(here, "joan")
    here.get_by_role("link", name="Account").click()
    _change_password(here, "not the old one", "a quite new password")
    expect(here.get_by_label("Present password")).to_have_attribute("aria-invalid", "true")
    _change_password(here, PASSWORD, "short")
    expect(here.get_by_label("New password", exact=True)).to_have_attribute("aria-invalid", "true")
    _change_password(here, PASSWORD, "a quite new password")
    expect(message(here)).to_contain_text("Your password is changed. You are signed out everywhere else.")

    expect(elsewhere.get_by_text("You are signed out, so this page no longer follows.")).to_be_visible()
    elsewhere.get_by_role("link", name="Sign in").click()
    try_to_sign_in(elsewhere, "joan", PASSWORD)
    expect(elsewhere.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    sign_in(elsewhere, "joan", "a quite new password")


def _change_password(page: Page, old: str, new: str) -> None:
    page.get_by_label("Present password").fill(old)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password again").fill(new)
    page.get_by_role("button", name="Change the password").click()


def test_form_sent_after_the_session_ended_is_not_lost(site: Site, people: People) -> None:
    site.add_account("nora")
    page = people.open("/login", role=None)
    people.expect_complaint("status of 40[01]")
    sign_in(page, "nora")
    page.goto("/jobs/new")
    other_tab = page.context.new_page()
    other_tab.goto("/account")
    _sign_out(other_tab, "nora")

    page.bring_to_front()
    page.get_by_label("Name").fill("Typed for long")
    page.get_by_label("Path").fill("long.lua")
    page.get_by_label("Schedule").fill("60")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("so nothing was done")).to_be_visible()
    sign_in(other_tab, "nora")
    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("Typed for long")
    page.get_by_role("button", name="Create").click()
    expect(message(page)).to_contain_text("“Typed for long” is made.")
