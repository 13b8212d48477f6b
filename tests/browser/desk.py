"""What a person does and sees on the pages, found as a person finds it: by role, label and text."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def row(page: Page, name: str) -> Locator:
    """Return a job's line in the list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def status(line: Locator) -> Locator:
    """Return the status cell of a job's line."""
    return line.get_by_role("cell").first


def next_run(line: Locator) -> Locator:
    """Return the cell of a line that says when the job runs next."""
    return line.get_by_role("cell").nth(4)


def button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=re.compile(f"^{name}"))


def message(page: Page) -> Locator:
    """Return the messages above the page: what the last action did."""
    return page.locator("#messages")


def editor(page: Page) -> Locator:
    """Return the code editor, once it stands in the text area's place."""
    return page.locator(".cm-content")


def write(page: Page, source: str) -> None:
    """Replace what stands in the code editor."""
    editor(page).click()
    page.keyboard.press("Control+a")
    # Text put over a selection would be styled by Chromium itself, which the policy refuses; no key does that.
    page.keyboard.press("Delete")
    page.keyboard.insert_text(source)


def save(page: Page, revision: int) -> None:
    """Press Ctrl-S and wait until the page says that it is stored."""
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-state")).to_have_text(f"Saved as revision {revision}.")


def reload_jobs(page: Page) -> None:
    """Press Reload on the list and wait until the job service has done it."""
    button(page, "Reload").click()
    expect(message(page)).to_contain_text("Reload requested.")
    expect(page.get_by_text("for a reload")).to_have_count(0)
    expect(page.locator("#service-state")).to_have_text("Running")


def reload_until(page: Page, wanted: Locator, most: int = 300) -> None:
    """Load the page again, as a person without JavaScript does, until it shows ``wanted``."""
    for _ in range(most):
        page.reload()
        if wanted.is_visible():
            return
    raise AssertionError(f"not shown after {most} loads: {wanted}")
