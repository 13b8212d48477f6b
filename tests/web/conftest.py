"""Fixtures of the console's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobservice.domain.account import Role
from jobservice.testing import FakeClock
from tests.support.console import Console, Visitor, make_console


@pytest.fixture
def console(tmp_path: Path, migrated_template: Path, clock: FakeClock) -> Iterator[Console]:
    console = make_console(tmp_path, migrated_template, clock)
    yield console
    console.moontide.close()


@pytest.fixture
def admin(console: Console) -> Visitor:
    return console.sign_in(Role.ADMIN)


@pytest.fixture
def operator(console: Console) -> Visitor:
    return console.sign_in(Role.OPERATOR)


@pytest.fixture
def viewer(console: Console) -> Visitor:
    return console.sign_in(Role.VIEWER)
