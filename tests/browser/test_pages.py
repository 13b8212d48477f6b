"""What holds on every page: long values fit, the keyboard reaches everything, the theme is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from jobservice.domain.account import Role
from tests.browser.desk import editor, message, reload_until
from tests.browser.legibility import SCROLLS_SIDEWAYS
from tests.browser.people import NARROW, People
from tests.browser.populated import Populated, populate
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]

CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def populated(empty_site: Site) -> Populated:
    return populate(empty_site)


@pytest.fixture
def site(populated: Populated) -> Site:
    return populated.site


def test_longest_values_fit_a_narrow_screen(populated: Populated, people: People) -> None:
    name, path = "W" * 64, "w" * 100 + "/" + "w" * 80 + ".lua"
    job_id = populated.site.add_job(name, "return 1", path=path, reload=False, description="w" * 400)
    page = people.open(None, width=NARROW)
    for address in ("/jobs", f"/jobs/{job_id}", f"/jobs/{job_id}/edit", f"/jobs/{job_id}/delete", f"/scripts/{path}"):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert not page.evaluate(SCROLLS_SIDEWAYS), address
    populated.site.backend.service.delete_job(job_id, delete_script=True, by="alice")


@pytest.mark.parametrize("address", ["/jobs", "/jobs/new", "/login"])
def test_tab_reaches_every_control_and_shows_where_it_is(people: People, address: str) -> None:
    # Without smooth scrolling, what has the focus is in sight at once.
    page = people.open(None, role=None if address == "/login" else Role.ADMIN, reduced_motion="reduce")
    # No region is exchanged under the test's feet.
    page.route("**/jobs", _without_regions)
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    visible = "(all) => all.filter((one) => one.checkVisibility() && one.tabIndex >= 0 && !one.disabled)"
    wanted = page.locator(CONTROLS).evaluate_all(f"(all) => (window.wanted = ({visible})(all)).length")
    page.evaluate("() => { window.reached = new Set(); document.activeElement.blur(); }")
    hidden = []
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        unseen = page.evaluate("""() => {
            const at = document.activeElement;
            window.reached.add(at);
            const style = getComputedStyle(at);
            const box = at.getBoundingClientRect();
            const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
            const seen = (outlined || style.boxShadow !== "none") && box.left >= 0 && box.top >= 0;
            return at === document.body || seen ? null : at.outerHTML.slice(0, 120);
        }""")
        hidden += [unseen] if unseen else []
    missed = page.evaluate("wanted.filter((one) => !reached.has(one)).map((one) => one.outerHTML.slice(0, 120))")
    assert wanted > 2
    assert not missed
    assert not hidden


def _without_regions(route: Route) -> None:
    if "moontide-region" in route.request.headers:
        route.fulfill(status=204)
    else:
        route.continue_()


def test_skip_link_menu_and_form_work_from_the_keyboard(site: Site, people: People) -> None:
    page = people.open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()

    menu = page.locator("summary").filter(has_text="admin")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()

    page.get_by_role("link", name="New Job").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").focus()
    for typed in ("By keyboard", "keyboard.lua", "every 9 hours"):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(message(page)).to_contain_text("“By keyboard” is made.")
    # Tab indents in the editor; Escape first lets it lead out.
    editor(page).focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Save")).to_be_focused()
    job = site.backend.queries.list_jobs(search="By keyboard").rows[0]
    site.backend.service.delete_job(job.job_id, delete_script=True, by="alice")


def test_theme_is_applied_at_once_and_remembered(people: People) -> None:
    page = people.open(color_scheme="light")
    shade = "document.documentElement.dataset.bsTheme"
    assert page.evaluate(shade) == "light"
    _choose_theme(page, "Dark")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    # It is sent in the background, and arrives although the page is left at once.
    stored = page.locator("html[data-theme=dark]")
    reload_until(page, stored)
    expect(stored).to_have_attribute("data-bs-theme", "dark")
    page.emulate_media(color_scheme="dark")
    _choose_theme(page, "System")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")


def _choose_theme(page: Page, theme: str) -> None:
    page.locator("summary").filter(has_text="admin").click()
    page.get_by_role("button", name=theme).click()
    page.keyboard.press("Escape")
