"""Scripts that load other scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobservice.domain.run import Outcome, RunError

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig


def error_of(rig: PoolRig, body: str) -> RunError:
    result = rig.run_body(body)
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    return result.error


def test_module_is_found_by_dots_and_by_path(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/stock.lua"] = "return {count = 7}"
    log = rig.logged('core.log(require "lib.stock".count, require("lib/stock.lua").count, require("lib/stock").count)')
    assert log == "7 7 7\n"


def test_module_is_loaded_once_per_run(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/once.lua"] = "core.log('loading') return {}"
    body = "core.log(require('lib.once') == require('lib.once'))"
    assert rig.logged(body) == "loading\ntrue\n"
    assert rig.logged(body) == "loading\ntrue\n"


def test_newest_source_is_used_by_the_next_run(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/version.lua"] = "return 1"
    assert rig.logged("core.log(require('lib.version'))") == "1\n"
    rig.scripts.scripts["lib/version.lua"] = "return 2"
    assert rig.logged("core.log(require('lib.version'))") == "2\n"


def test_module_without_a_value_gives_true(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/nothing.lua"] = "local x = 1"
    assert rig.logged("core.log(require 'lib.nothing')") == "true\n"


def test_unknown_module_is_named(rig: PoolRig) -> None:
    error = error_of(rig, 'require "lib.nope"')
    assert str(error) == "reports/x.lua:3: module 'lib.nope' was not found: there is no script lib/nope.lua"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "lib/ünï", "a\\0b", "lib//x", "", "lib/lua.l\u0430va"])
def test_names_that_leave_the_store_are_refused(rig: PoolRig, name: str) -> None:
    assert error_of(rig, f'require("{name}")').message.startswith("module '")


def test_error_in_a_module_names_the_module(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/broken.lua"] = "local M = {}\nfunction M.go()\n  error('kaputt')\nend\nreturn M"
    error = error_of(rig, "require('lib.broken').go()")
    assert str(error) == "lib/broken.lua:3: kaputt"
    assert error.traceback.splitlines() == [
        "lib/broken.lua:3: in function 'go'",
        "reports/x.lua:3: in function <reports/x.lua:2>",
    ]


def test_syntax_error_in_a_module_names_the_module(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/typo.lua"] = "return {\n  a = = 1\n}"
    error = error_of(rig, "require 'lib.typo'")
    assert (error.script, error.line) == ("lib/typo.lua", 2)
    assert error.traceback == "reports/x.lua:3: in function <reports/x.lua:2>"


def test_circle_is_reported_with_its_members(rig: PoolRig) -> None:
    rig.scripts.scripts |= {"lib/a.lua": "return require 'lib.b'", "lib/b.lua": "return (require 'lib.a')"}
    error = error_of(rig, "require 'lib.a'")
    assert error.message == "require goes in a circle: lib/a.lua -> lib/b.lua -> lib/a.lua"
    assert error.script == "lib/b.lua"


def test_module_that_failed_may_be_tried_again(rig: PoolRig) -> None:
    rig.scripts.scripts["lib/flaky.lua"] = (
        "attempts = (attempts or 0) + 1 if attempts < 2 then error('first') end return 'ok'"
    )
    assert "ok" in rig.logged("pcall(require, 'lib.flaky') core.log(require 'lib.flaky')")


def test_libraries_may_be_required(rig: PoolRig) -> None:
    assert rig.logged("core.log(require 'string' == string, require('bit') == bit)") == "true true\n"


@pytest.mark.parametrize("name", ["io", "os.execute", "ffi", "jit", "debug", "package", "table.new", "string.buffer"])
def test_libraries_of_the_machine_are_not_there(rig: PoolRig, name: str) -> None:
    assert "was not found" in error_of(rig, f"require '{name}'").message
