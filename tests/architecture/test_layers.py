"""Imports run downward only, and each library comes in by one door."""

from __future__ import annotations

import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

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


def test_the_layers_of_the_house_hold(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)

    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=str(tmp_path))

    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


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
