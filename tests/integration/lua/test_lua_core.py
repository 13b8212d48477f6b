"""The core functions, as a script in a real worker sees them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from jobservice.domain.run import Outcome

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "calls", "expected"),
    [
        ("2024-01-04 12:00", "job.day(), job.dayNum()", "Thu 4"),
        ("2024-01-07 12:00", "job.day(), job.dayNum(), job.weekNum()", "Sun 7 1"),
        ("2024-01-08 12:00", "job.dayNum(), job.weekNum()", "1 2"),
        ("2025-01-01 12:00", "job.weekNum(), job.month(), job.monthNum(), job.dayMonth()", "0 Jan 1 1"),
        ("2024-01-01 00:00", "job.weekNum()", "1"),
        ("2024-10-10 12:00", "job.month(), job.monthNum(), job.weekNum()", "Oct 10 41"),
        ("2024-02-29 23:59", "job.month(), job.dayMonth()", "Feb 29"),
        ("2024-05-05 09:05", "job.hour(), job.minute(), type(job.minute()), job.minute() == '05'", "9 5 number false"),
        ("2024-05-05 23:30", "job.hour(false), job.hour(nil), job.day()", "23 23 Sun"),
    ],
)
def test_helpers_read_the_runs_present_in_utc(rig: PoolRig, instant: str, calls: str, expected: str) -> None:
    assert rig.logged(f"core.log({calls})", now=at(instant), utc_offset=timedelta(hours=2)) == expected + "\n"


def test_helpers_read_local_time_when_asked(rig: PoolRig) -> None:
    log = rig.logged(
        "core.log(job.hour(), job.hour(true), job.day(true), job.dayMonth(true))",
        now=at("2024-05-05 23:30"),
        utc_offset=timedelta(hours=2),
    )
    assert log == "23 1 Mon 6\n"


def test_present_is_the_clocks_when_the_order_names_none(rig: PoolRig) -> None:
    assert rig.logged("core.log(os.time())") == f"{int(rig.clock.now().timestamp())}\n"


def test_present_moves_on_during_the_run(rig: PoolRig) -> None:
    log = rig.logged("local a = os.time() core.sleep(1.01) core.log(os.time() - a)", now=at("2024-05-05 23:30"))
    assert log in {"1\n", "2\n"}


def test_os_date_and_time_use_the_orders_offset(rig: PoolRig) -> None:
    log = rig.logged(
        """
        core.log(os.date("%Y-%m-%d %H:%M %z %Z"), "|", os.date("!%Y-%m-%d %H:%M %z %Z"))
        local t = os.date("*t")
        core.log(t.hour, t.isdst, os.time(t), os.time({year = 2024, month = 5, day = 32, hour = 0}))
        core.log(os.date("!%d%%z", 0), os.difftime(5, 3), type(os.clock()))
        """,
        now=at("2024-05-05 23:30"),
        utc_offset=timedelta(hours=-3, minutes=-30),
    )
    assert log.splitlines() == [
        "2024-05-05 20:00 -0330 UTC-03:30 | 2024-05-05 23:30 +0000 UTC",
        f"20 false {int(at('2024-05-05 23:30').timestamp())} {int(at('2024-06-01 03:30').timestamp())}",
        "01%z 2 number",
    ]


@pytest.mark.parametrize(
    "call", ["os.date('%c', 0/0)", "os.date('%c', 1e300)", "os.time({year = 2024})", "os.date({})"]
)
def test_senseless_times_are_errors(rig: PoolRig, call: str) -> None:
    assert rig.run_body(call).outcome is Outcome.FAILED


def test_log_takes_anything_in_one_entry(rig: PoolRig) -> None:
    log = rig.logged('core.log("a", 1, nil, {x = 1}, true, core.NULL, job.OK)')
    assert log == "a 1 nil {x = 1} true null job.OK\n"


def test_log_shows_tables_readably(rig: PoolRig) -> None:
    log = rig.logged(
        r"""
        local t = {1, 2, name = "a\nb", ["odd key"] = {}}
        t.self = t
        core.log(t)
        core.log({rows = {("x"):rep(40), ("y"):rep(40)}})
        """
    )
    assert log.splitlines() == [
        r'{1, 2, name = "a\nb", ["odd key"] = {}, self = <cycle>}',
        "{",
        "  rows = {",
        f'    "{"x" * 40}",',
        f'    "{"y" * 40}"',
        "  }",
        "}",
    ]


def test_log_never_raises(rig: PoolRig) -> None:
    log = rig.logged(
        """
        local bad = setmetatable({}, {__tostring = function() error("no") end, __index = function() error("no") end})
        core.log(bad, {bad}, core.log, coroutine.create(print))
        core.log()
        print(bad, nil, 1)
        """
    )
    first, second, third = log.splitlines()
    assert first.startswith("<table that cannot be shown> {<table that cannot be shown>} function: ")
    assert (second, third) == ("", "<table that cannot be shown>\tnil\t1")


def test_log_of_a_huge_table_is_bounded(rig: PoolRig) -> None:
    log = rig.logged("local t = {} for i = 1, 100000 do t[i] = {i, {i, {i}}} end core.log(t)")
    assert len(log) < 200_000


def test_long_line_is_cut_with_a_mark(rig: PoolRig) -> None:
    log = rig.logged('core.log(("x"):rep(100000))')
    assert len(log) == 65_537
    assert log.endswith("x ... (cut: a line has at most 64 KiB)\n")


def test_log_is_text_whatever_its_bytes(rig: PoolRig) -> None:
    assert rig.logged(r'core.log("über\0\255")') == "über\ufffd\ufffd\n"


def test_text_functions(rig: PoolRig) -> None:
    log = rig.logged(
        r"""
        local split = core.split
        core.log(split("a,b"), split("a,,b,"), split("", ","), split("1<br>2", "<br>"), split("a.b", "."))
        core.log("[" .. core.trim(" x\n ") .. "]", #core.uuid(), core.md5(""), core.md5("abc"))
        core.log(core.sf("%s %d %5.2f", "a", 3, 2.5), unpack({1, 2}), table.unpack({3}), table.pack(1, nil, 3).n)
        """
    )
    assert log.splitlines() == [
        '{"a", "b"} {"a", "", "b", ""} {""} {"1", "2"} {"a", "b"}',
        "[x] 36 d41d8cd98f00b204e9800998ecf8427e 900150983cd24fb0d6963f7d28e17f72",
        "a 3  2.50 1 3 3",
    ]


def test_uuids_are_random_and_well_formed(rig: PoolRig) -> None:
    first, second = rig.logged("core.log(core.uuid()) core.log(core.uuid())").split()
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)


def test_random_numbers_differ_from_run_to_run(rig: PoolRig) -> None:
    assert rig.logged("core.log(math.random())") != rig.logged("core.log(math.random())")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("core.sf('%d', 'x')", "bad argument #2 to 'core.sf' (number expected, got string)"),
        ("core.trim()", "bad argument #1 to 'core.trim' (string expected, got nil)"),
        ("core.split({})", "bad argument #1 to 'core.split' (string expected, got table)"),
        ("core.split('a', '')", "bad argument #2 to 'core.split' (the delimiter is empty)"),
        ("core.md5(nil)", "bad argument #1 to 'core.md5' (string expected, got nil)"),
        ("core.sleep(-1)", "bad argument #1 to 'core.sleep' (a number of seconds, zero or more, expected)"),
        ("core.sleep(0/0)", "bad argument #1 to 'core.sleep' (a number of seconds, zero or more, expected)"),
    ],
)
def test_wrong_argument_is_an_error_at_the_scripts_line(rig: PoolRig, call: str, message: str) -> None:
    result = rig.run_body(call)
    assert result.error is not None
    assert (result.error.message, result.error.line) == (message, 3)


def test_sleep_pauses_for_fractions_of_a_second(rig: PoolRig) -> None:
    assert rig.logged("core.sleep(0.02) core.log('awake')") == "awake\n"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"a":[1,2.5,-3e-07,true,false,null]}',
        '["","\\u00e9\\ud83d\\ude00","\\n\\t\\"\\\\/"]',
        "[[[[{}]]]]",
        " [ 1 , 2 ] ",
        "12345678901",
        "0.1",
    ],
)
def test_json_round_trip_keeps_the_value(rig: PoolRig, text: str) -> None:
    log = rig.logged(f"core.log(core.json.encode(core.json.decode([==[{text}]==])))")
    assert json.loads(log) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["{", "[1,]", '{"a":1,}', "01", "1.", "+1", "nul", '"a', '"\x01"', "[1 2]", '{"a" 1}', "", '"\\x"', "1 1"]
)
def test_json_refuses_what_is_no_json(rig: PoolRig, text: str) -> None:
    log = rig.logged(f"local v, e, c = core.json_safe.decode([==[{text}]==]) core.log(v, c, type(e))")
    assert log == "nil 830 string\n"


@pytest.mark.parametrize(
    "value", ["function() end", "0/0", "1/0", "{[{}] = 1}", "(function() local t = {} t.t = t return t end)()"]
)
def test_json_refuses_what_has_no_form(rig: PoolRig, value: str) -> None:
    assert rig.logged(f"local v, e, c = core.json_safe.encode({value}) core.log(v, c, type(e))") == "nil 831 string\n"


def test_json_raises_and_json_safe_does_not(rig: PoolRig) -> None:
    result = rig.run_body("core.json.decode('{')")
    assert result.error is not None
    assert result.error.message == "core.json.decode: the JSON text ends too early, at position 2"
    assert rig.logged("core.log(core.json_safe.decode('{'))").startswith("nil the JSON text ends too early")


def test_array_and_null_have_their_own_forms(rig: PoolRig) -> None:
    log = rig.logged("core.log(core.json.encode({core.array(), {}, core.NULL, core.array({1})}))")
    assert log == "[[],{},null,[1]]\n"


def test_null_is_not_nil_and_does_not_concatenate(rig: PoolRig) -> None:
    log = rig.logged(
        "core.log(core.NULL == nil, tostring(core.NULL), pcall(function() return core.NULL .. '' end) == false)"
    )
    assert log == "false null true\n"


def test_global_is_gone_after_the_run_and_warned_about_once(rig: PoolRig) -> None:
    log = rig.logged("counter = (counter or 0) + 1 counter = nil counter = 1 other = 2 core.log(counter)")
    assert log.splitlines() == [
        "warning: global 'counter' is set at reports/x.lua:3; it is gone after this run",
        "warning: global 'other' is set at reports/x.lua:3; it is gone after this run",
        "1",
    ]
    assert rig.logged("core.log(counter, other)") == "nil nil\n"
