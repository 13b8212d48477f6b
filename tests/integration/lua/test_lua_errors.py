"""What a failing script tells a person: message, place and traceback."""

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


def test_error_has_message_file_and_line(rig: PoolRig) -> None:
    error = error_of(rig, 'error("boom")')
    assert (error.message, error.script, error.line) == ("boom", "reports/x.lua", 3)


def test_table_error_keeps_its_text_and_gets_the_place(rig: PoolRig) -> None:
    error = error_of(rig, 'error({message = "no stock", code = 7})')
    assert (error.message, error.script, error.line) == ("no stock", "reports/x.lua", 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [("{code = 5}", "{code = 5}"), ("nil", "nil"), ("42", "42"), ("job.OK", "job.OK"), ("true", "true")],
)
def test_error_that_is_no_text_is_shown(rig: PoolRig, value: str, message: str) -> None:
    assert error_of(rig, f"error({value}, 0)").message == message


def test_error_object_with_broken_tostring_is_still_an_error(rig: PoolRig) -> None:
    error = error_of(rig, "error(setmetatable({}, {__tostring = function() error('again') end}))")
    assert error.message == "<table that cannot be shown>"


def test_syntax_error_is_found_at_run_time_with_its_line(rig: PoolRig) -> None:
    result = rig.run_source("local job = core.job()\nfunction job.run( return job.OK end\nreturn job")
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert (result.error.script, result.error.line) == ("reports/x.lua", 2)
    assert "expected near 'return'" in result.error.message


def test_traceback_has_script_frames_only(rig: PoolRig) -> None:
    error = error_of(rig, "local function inner() error('deep') end\nlocal function outer() inner() end\nouter()")
    assert error.traceback.splitlines() == [
        "reports/x.lua:3: in function 'inner'",
        "reports/x.lua:4: in function 'outer'",
        "reports/x.lua:5: in function <reports/x.lua:2>",
    ]


def test_name_too_long_for_lua_is_given_in_full(rig: PoolRig) -> None:
    path = f"{'department/' * 8}report.lua"
    result = rig.run_body("error('boom')", path=path)
    assert result.error is not None
    assert (result.error.script, result.error.line, result.error.message) == (path, 3, "boom")


def test_long_message_is_cut(rig: PoolRig) -> None:
    assert len(error_of(rig, 'error(("x"):rep(100000), 0)').message) == 4096


def test_nul_and_broken_utf8_in_a_message_are_replaced(rig: PoolRig) -> None:
    assert error_of(rig, 'error("a\\0b\\255c", 0)').message == "a\ufffdb\ufffdc"


def test_runaway_recursion_is_an_error_with_its_place(rig: PoolRig) -> None:
    error = error_of(rig, "local function f() return f() + 1 end f()")
    assert (error.message, error.line) == ("stack overflow", 3)


def test_coroutine_error_reaches_the_run(rig: PoolRig) -> None:
    error = error_of(rig, "coroutine.wrap(function() error('inside') end)()")
    assert (error.message, error.line) == ("inside", 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("core.mysql.select('db', {})", "core.mysql is not configured: "),
        ("core.network.get('http://x')", "core.network is not configured: "),
        ("core.run('ls')", "core.run is not configured: "),
        ("core.secret('key')", "core.secret is not configured: "),
        ("local m = core.email.new()", "core.email is not configured: "),
        ("core.pages.new()", "core.pages is not available in jobs"),
        ("core.countryCode()", "core.countryCode is not available in jobs"),
        ("core.callApi('a', 'b')", "core.callApi is not available in jobs"),
        ("core.users.flushExpiredPasswordResets()", "core.users is not available in jobs"),
    ],
)
def test_absent_module_says_why_at_the_scripts_line(rig: PoolRig, call: str, message: str) -> None:
    error = error_of(rig, call)
    assert error.message.startswith(message)
    assert (error.script, error.line) == ("reports/x.lua", 3)


def test_absent_module_may_be_tested_for_and_logged(rig: PoolRig) -> None:
    assert rig.logged("if core.mysql then core.log(core.mysql, core.nothing) end") == "core.mysql nil\n"


def test_unknown_core_function_is_named(rig: PoolRig) -> None:
    assert "'frobnicate'" in error_of(rig, "core.frobnicate()").message


def test_source_that_would_fill_the_memory_is_refused(rig: PoolRig) -> None:
    result = rig.run_source("-- " + "x" * 300_000, memory_limit_bytes=4 << 20)
    assert result.error is not None
    assert "300,003 bytes" in result.error.message
