"""The code editor: where it comes from, what it says about a script, and that it loses nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.browser.desk import editor, message, save, write
from tests.browser.people import CDN, CDN_FILES, VENDOR, VENDOR_FOLDER, People, answer_from_vendor, sign_in
from tests.browser.site import Site
from tests.support import lua

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-editor")]

ADDRESS = "/scripts/draft.lua"
EVIL = "globalThis.evil = true;"


@pytest.fixture(autouse=True)
def draft(site: Site) -> None:
    """A stored script, revision 2, whose job does not run meanwhile."""
    site.add_job("Draft", lua.OK, schedule="3600", reload=False)


def _stand_in(page: Page, pattern: str, answer: Callable[[Route], None]) -> None:
    page.context.unroute_all()
    page.route(pattern, answer)


def _tampered(route: Route) -> None:
    """Answer with another file where the drawing part of the editor should be."""
    if "view" not in route.request.url:
        answer_from_vendor(route)
        return
    route.fulfill(body=EVIL, content_type="application/javascript", headers={"Access-Control-Allow-Origin": "*"})


def test_cdn_delivers_exactly_the_files_of_the_manifest(people: People) -> None:
    page = people.open(None)
    asked: list[str] = []
    own: list[str] = []
    page.on("request", lambda request: (asked if request.url.startswith(VENDOR.cdn) else own).append(request.url))
    page.goto(ADDRESS)
    expect(editor(page)).to_contain_text("function job.run()")

    assert set(asked) == {VENDOR.cdn_url(file) for file in VENDOR.modules}
    assert not [address for address in own if "/vendor/codemirror" in address]
    for address in asked:
        file = CDN_FILES[address]
        content = (VENDOR_FOLDER / file.file).read_bytes()
        assert f"{file.name}@{file.version}/" in address
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert base64.b64encode(hashlib.sha384(content).digest()).decode() == file.sha384
    told = page.evaluate("JSON.parse(document.querySelector('script[type=importmap]').textContent).integrity")
    assert told == {VENDOR.cdn_url(file): file.integrity for file in VENDOR.modules}


def test_without_the_cdn_the_vendored_copy_works(people: People) -> None:
    page = people.open(None)
    people.expect_complaint("ERR_FAILED")
    own: list[str] = []
    page.on("request", lambda request: own.append(request.url))
    _stand_in(page, CDN, lambda route: route.abort())
    page.goto(ADDRESS)
    expect(editor(page)).to_contain_text("function job.run()")
    assert {address.partition("/vendor/")[2] for address in own} >= {file.file for file in VENDOR.modules}

    write(page, lua.SLEEP)
    save(page, 3)
    page.reload()
    expect(editor(page)).to_contain_text("return job.SLEEP")


@pytest.mark.parametrize("place", ["the CDN", "this server"])
def test_altered_file_is_refused_and_the_text_area_stays(people: People, place: str) -> None:
    page = people.open(None)
    people.expect_complaint("integrity")
    if place == "the CDN":
        _stand_in(page, CDN, _tampered)
    else:
        people.expect_complaint("ERR_FAILED")
        _stand_in(page, CDN, lambda route: route.abort())
        page.route(
            "**/vendor/codemirror-view*/**", lambda route: route.fulfill(body=EVIL, content_type="text/javascript")
        )
    page.goto(f"{ADDRESS}?line=3")
    expect(page.get_by_text("a file of it is not the one that was expected")).to_be_visible()
    assert page.evaluate("globalThis.evil") is None
    expect(editor(page)).to_have_count(0)

    source = page.get_by_label("Lua source of draft.lua")
    expect(source).to_be_visible()
    expect(source).to_be_focused()
    assert source.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "return job.OK"
    source.fill(lua.STOP)
    page.get_by_role("button", name="Save").click()
    expect(message(page)).to_contain_text("Saved as revision 3.")
    expect(page.get_by_label("Lua source of draft.lua")).to_have_value(lua.STOP)


def test_syntax_error_is_marked_at_its_line_and_goes_away(people: People) -> None:
    page = people.open(ADDRESS)
    write(page, "local job = core.job()\nlocal x = @\nreturn job\n")
    problem = page.get_by_role("list", name="Problems").get_by_role("button")
    expect(problem).to_have_text(re.compile("^Line 2: .*'@'"))
    expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
    problem.click()
    expect(page.locator(".cm-activeLine")).to_have_text("local x = @")

    write(page, lua.OK)
    expect(problem).to_have_count(0)
    expect(page.locator(".cm-lint-marker-error")).to_have_count(0)


@pytest.mark.parametrize(("asked", "text"), [("3", "return job.OK"), ("1", "local job = core.job()"), ("9999", "")])
def test_line_of_the_address_is_shown_and_marked(people: People, asked: str, text: str) -> None:
    page = people.open(f"{ADDRESS}?line={asked}")
    expect(page.locator(".cm-wanted-line")).to_have_text(text)
    expect(page.locator(".cm-activeLine")).to_have_text(text)
    expect(editor(page)).to_be_focused()


def test_mark_of_the_line_moves_with_it_and_goes_with_it(people: People) -> None:
    page = people.open(f"{ADDRESS}?line=3")
    expect(page.locator(".cm-wanted-line")).to_have_text("return job.OK")
    editor(page).click()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".cm-wanted-line")).to_have_text("return job.OK")
    write(page, "return 1")
    expect(page.locator(".cm-wanted-line")).to_have_count(0)
    save(page, 3)


def test_line_that_is_no_line_is_refused_by_name(people: People) -> None:
    page = people.open(None)
    people.expect_complaint("status of 400")
    page.goto(f"{ADDRESS}?line=0")
    expect(page.get_by_text("line: Use the number of a line, from 1.")).to_be_visible()


def test_leaving_with_unsaved_text_asks_first(people: People) -> None:
    page = people.open(ADDRESS)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    write(page, "-- mine\n" + lua.OK)
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(editor(page)).to_contain_text("-- mine")
    expect(page).to_have_url(re.compile("/scripts/draft.lua$"))
    assert asked == ["beforeunload"]

    save(page, 3)
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs Service")).to_be_visible()
    assert asked == ["beforeunload"]


def test_text_typed_while_it_is_saved_stays_unsaved(people: People) -> None:
    page = people.open(ADDRESS)
    held: list[Route] = []
    page.route(
        f"**{ADDRESS}", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    write(page, lua.SLEEP)
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith(ADDRESS)):
        page.keyboard.press("Control+s")
    expect(page.locator("#editor-state")).to_have_text("Saving…")
    page.keyboard.type("-- later")
    held.pop().continue_()
    expect(page.locator("#editor-state")).to_have_text("Saved as revision 3. What you typed since is not saved yet.")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(editor(page)).to_contain_text("-- later")
    assert asked == ["beforeunload"]


def test_second_person_to_save_sees_both_texts_and_decides(site: Site, people: People) -> None:
    page = people.open(ADDRESS)
    people.expect_complaint("status of 409")
    write(page, "-- mine\n" + lua.OK)
    assert site.save("draft.lua", "-- theirs\n" + lua.OK, by="bob") == 3
    page.keyboard.press("Control+s")
    expect(page.get_by_role("alert")).to_contain_text("Your text is kept in the editor.")
    expect(editor(page)).to_contain_text("-- mine")
    page.get_by_text("What is stored now").click()
    expect(page.get_by_label("Stored source")).to_have_value(re.compile("^-- theirs"))

    page.get_by_role("button", name="Save").click()
    expect(page.locator("#editor-state")).to_have_text("Saved as revision 4.")
    assert site.backend.queries.get_script("draft.lua").source.startswith("-- mine")
    page.goto(ADDRESS)
    page.get_by_text("4 revisions").click()
    revisions = page.get_by_role("table", name="Revisions, newest first").get_by_role("row")
    expect(revisions.nth(2)).to_contain_text("bob")


def test_session_that_ended_costs_no_text(people: People) -> None:
    page = people.open("/login", role=None)
    people.site.add_account("vera")
    sign_in(page, "vera")
    page.goto(ADDRESS)
    people.expect_complaint("status of 40[01]")
    write(page, "-- kept\n" + lua.OK)
    other_tab = page.context.new_page()
    other_tab.goto("/account")
    other_tab.locator("summary").first.click()
    other_tab.get_by_role("button", name="Sign out").click()
    expect(message(other_tab)).to_contain_text("You are signed out.")

    page.bring_to_front()
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-state")).to_have_text(re.compile("Not saved: you are signed out."))
    expect(editor(page)).to_contain_text("-- kept")
    sign_in(other_tab, "vera")
    save(page, 3)


def test_completion_offers_the_words_of_the_job(people: People) -> None:
    page = people.open(ADDRESS)
    write(page, "local job = core.job()\n")
    page.keyboard.type("return job.S")
    options = page.get_by_role("option")
    expect(options.filter(has_text="SLEEP")).to_be_visible()
    expect(options.filter(has_text="STOP")).to_be_visible()
