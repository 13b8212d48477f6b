"""A real browser, and a Moontide with real processes for each module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.people import People
from tests.browser.site import Site
from tests.support.moontide import copy_template

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever a page asks for, nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Debian's Chromium is not installed; apt-get install chromium brings it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def empty_site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory, migrated_template: Path) -> Iterator[Site]:
    """A migrated database, and nothing started yet."""
    site = Site(tmp_path_factory.mktemp("site"))
    copy_template(migrated_template, site.folder)
    yield site
    site.end()


@pytest.fixture(scope="module")
def site(empty_site: Site) -> Site:
    """A Moontide that runs; each test of the module begins with an empty list of jobs."""
    empty_site.start_up()
    return empty_site


@pytest.fixture
def people(chromium: Browser, site: Site) -> Iterator[People]:
    people = People(chromium, site)
    try:
        yield people
        people.leave()
    finally:
        if not site.keeps_jobs:
            site.clear()
