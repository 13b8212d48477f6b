"""People at their browsers: who opens which page, and what the browser complains about meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from jobservice.domain.account import Role
from tests.browser.site import PASSWORD, Site
from webmin.vendor import Vendor

TIMEOUT_MS = 20_000
WIDE, NARROW = 1280, 390
VENDOR_FOLDER = Path(__file__).parents[2] / "static" / "vendor"
VENDOR = Vendor.load(VENDOR_FOLDER / "manifest.json")
CDN = f"{VENDOR.cdn}/**"
CDN_FILES = {VENDOR.cdn_url(file): file for file in VENDOR.files}

expect.set_options(timeout=TIMEOUT_MS)


def answer_from_vendor(route: Route) -> None:
    """Answer a request to the CDN with the vendored copy, as the CDN would."""
    file = CDN_FILES[route.request.url]
    route.fulfill(
        path=VENDOR_FOLDER / file.file,
        content_type="application/javascript",
        headers={"Access-Control-Allow-Origin": "*"},
    )


class Watch:
    """Gathers what the browser complains about: errors, warnings, refusals of the content security policy."""

    def __init__(self, context: BrowserContext) -> None:
        self._complaints: list[str] = []
        self._expected: list[str] = []
        context.on("console", lambda message: self._note(message.type, message.text, message.location))
        context.on("weberror", lambda error: self._complaints.append(f"exception: {error.error}"))

    def _note(self, kind: str, text: str, location: Any) -> None:
        if kind in {"error", "warning"}:
            self._complaints.append(f"{kind}: {text} ({location['url']})")

    def expect(self, pattern: str) -> None:
        """Let complaints that match ``pattern`` pass: this test provokes them."""
        self._expected.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """What nobody provoked."""
        return [text for text in self._complaints if not any(re.search(known, text) for known in self._expected)]


class People:
    """Opens browsers on one site; each ``open`` is another person with cookies of their own."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self.site = site
        self.watches: list[Watch] = []
        self._contexts: list[BrowserContext] = []

    def open(
        self,
        address: str | None = "/jobs",
        *,
        role: Role | None = Role.ADMIN,
        width: int = WIDE,
        javascript: bool = True,
        **options: Any,
    ) -> Page:
        """Return a page of somebody new; the CDN answers from the vendored files.

        :param address: where the page is; None for an empty one.
        :param role: of the account that is signed in already; None for nobody.
        """
        context = self._browser.new_context(
            base_url=self.site.address,
            viewport={"width": width, "height": 900},
            locale="en-US",
            timezone_id="UTC",
            java_script_enabled=javascript,
            storage_state=self._state(role),  # type: ignore[arg-type]
            **options,
        )
        self._contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.route(CDN, answer_from_vendor)
        self.watches.append(Watch(context))
        page = context.new_page()
        if address is not None:
            page.goto(address)
        return page

    def expect_complaint(self, pattern: str) -> None:
        """Let the browsers that are open complain about this."""
        for watch in self.watches:
            watch.expect(pattern)

    def _state(self, role: Role | None) -> dict[str, object] | None:
        if role is None:
            return None
        if role not in self.site.states:
            self.site.add_account(role.value, role)
            page = self.open("/login", role=None)
            sign_in(page, role.value)
            self.site.states[role] = page.context.storage_state()  # type: ignore[assignment]
        return self.site.states[role]

    def leave(self) -> None:
        """Close every browser window, and fail when a page complained."""
        for context in self._contexts:
            context.close()
        complaints = [text for watch in self.watches for text in watch.unexpected]
        assert not complaints, "\n".join(complaints)


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill the login form that is open, and wait for the page behind it."""
    try_to_sign_in(page, name, password)
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def try_to_sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
