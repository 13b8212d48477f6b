"""Imports run downward only, and each library comes in by one door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imports_of, modules, packages_of

DOORS = {
    "flask": ("webmin/",),
    "flask_wtf": ("webmin/",),
    "wtforms": ("webmin/",),
    "werkzeug": ("webmin/",),
    "jinja2": ("webmin/",),
    "markupsafe": ("webmin/",),
    "waitress": ("webmin/",),
    "limits": ("webmin/",),
    "sqlalchemy": ("jobservice/store/",),
    "alembic": ("jobservice/store/",),
    "sqlite3": ("jobservice/store/",),
    "psycopg": (),
    "apscheduler": ("jobservice/schedules/", "jobservice/loops/supervisor.py"),
    "lupa": ("jobservice/luahost/",),
    "argon2": ("jobservice/accounts.py",),
    "webmin": ("webmin/",),
}


def test_the_layers_of_the_house_hold(tmp_path):
    # In a process of its own: the linter sets up logging for itself and switches every other logger off.
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--cache-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_behind_its_door_alone(library):
    importers = [module for module in modules() if library in packages_of(module)]

    assert [module for module in importers if not module.startswith(DOORS[library])] == []


def test_the_rules_of_jobs_and_runs_import_the_standard_library_and_each_other_alone():
    foreign = {
        (module, name)
        for module in modules()
        if module.startswith("jobservice/domain/")
        for name in imports_of(module)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("jobservice.domain.")
    }

    assert foreign == set()


def test_the_lua_process_imports_nothing_of_the_service_that_starts_it():
    foreign = {
        (module, name)
        for module in modules()
        if module.startswith("jobservice/luahost/")
        for name in imports_of(module)
        if name.startswith("jobservice") and not name.startswith("jobservice.luahost")
    }

    assert foreign == set()
