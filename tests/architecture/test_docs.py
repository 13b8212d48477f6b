"""What an operator can set is written down."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from jobservice.settings import PREFIX, Settings
from tests.architecture.sources import ROOT

DEPENDS_ON_THE_MACHINE = {"database_url", "timezone", "lua_workers", "public_url"}
NAMES = [field.name for field in fields(Settings)]


def documented() -> dict[str, list[str]]:
    """Return the rows of the tables in docs/settings.md: variable -> the other cells."""
    rows: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith(f"`{PREFIX}"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_every_setting_is_documented_and_nothing_else():
    assert set(documented()) == {PREFIX + name.upper() for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_documented_with_default_unit_and_meaning(name):
    default, unit, meaning = documented()[PREFIX + name.upper()]

    assert default
    assert unit
    assert meaning.endswith(".")


@pytest.mark.parametrize("name", sorted(set(NAMES) - DEPENDS_ON_THE_MACHINE))
def test_a_documented_default_is_the_real_one(name):
    value = getattr(Settings.from_environment({}), name)

    assert documented()[PREFIX + name.upper()][0] == f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_setting_that_a_message_or_page_names_exists():
    named: set[str] = set()
    for folder, pattern in (("jobservice", "*.py"), ("webmin", "*.py"), ("templates", "*.html"), ("docs", "*.md")):
        for path in (ROOT / folder).rglob(pattern):
            named |= set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))

    known = {PREFIX + name.upper() for name in NAMES} | {f"{PREFIX}NAME", f"{PREFIX}NAME_FILE"}
    assert named - known == set()
