"""Every page, light and dark, wide and narrow: it is legible, and ``test-results/screenshots/`` has its picture.

The pictures of the documentation are made by the same test, only when they are asked for:

    MOONTIDE_WRITE_SCREENSHOTS=1 python -m pytest tests/browser/test_screenshots.py

writes ``docs/images/jobs.png``, ``editor.png`` and ``run.png``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.legibility import illegible
from tests.browser.people import NARROW, WIDE, People
from tests.browser.populated import Populated, populate
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-screenshots")]

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "test-results" / "screenshots"
FOR_DOCS = {"jobs": "jobs.png", "editor": "editor.png", "run-running": "run.png"}


@pytest.fixture(scope="module")
def populated(empty_site: Site) -> Populated:
    return populate(empty_site)


@pytest.fixture
def site(populated: Populated) -> Site:
    return populated.site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_page_is_legible_and_pictured(populated: Populated, people: People, scheme: str, width: int) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = people.open(width=width, color_scheme=scheme, reduced_motion="reduce")
    people.expect_complaint("status of 404")
    found = []
    for name, address in populated.pages.items():
        page.goto(address)
        _wait_until_settled(page, name)
        found += [f"{name}: {text}" for text in illegible(page)]
        page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
        if name in FOR_DOCS and (scheme, width) == ("light", WIDE) and _may_write_docs():
            page.screenshot(path=ROOT / "docs" / "images" / FOR_DOCS[name], full_page=True)

    stranger = people.open("/login", role=None, width=width, color_scheme=scheme)
    found += [f"login: {text}" for text in illegible(stranger)]
    stranger.screenshot(path=PICTURES / f"login-{scheme}-{width}.png", full_page=True)
    page.goto("/jobs")
    page.locator("summary").filter(has_text="admin").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    found += [f"menu: {text}" for text in illegible(page)]
    page.screenshot(path=PICTURES / f"menu-{scheme}-{width}.png", full_page=True)
    assert not found, "\n".join(found)


def _wait_until_settled(page: Page, name: str) -> None:
    """Wait for what comes after the page itself: the editor, times in words, the log."""
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page).to_have_title(re.compile(r". · Moontide$"))
    if name == "editor":
        expect(page.locator(".cm-wanted-line")).to_be_visible()
    if name == "jobs":
        expect(page.locator("time").filter(has_text="UTC")).to_have_count(0)
        for word in ("Once: done", "Once: waiting", "Sleeping", "Stopped", "Inactive", "Running"):
            expect(page.get_by_role("table").get_by_text(word, exact=True)).to_have_count(1)
    if name == "run-running":
        expect(page.get_by_role("log")).to_contain_text("page 12 of 400")
    page.evaluate("document.fonts.ready.then(() => true)")


def _may_write_docs() -> bool:
    return os.environ.get("MOONTIDE_WRITE_SCREENSHOTS") == "1"
