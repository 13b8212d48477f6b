from __future__ import annotations

import pytest

from jobservice.luahost.faults import describe

SCRIPTS = {"a/b.lua", "lib/c.lua"}
TRACEBACK = (
    "\nstack traceback:\n\t[C]: in function 'error'\n\tlib/c.lua:4: in function 'go'\n\tmoontide: in function ''\n"
    "\ta/b.lua:9: in function <a/b.lua:7>\n\tmoontide: in function <moontide:0>"
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a/b.lua:3: boom", ("boom", "a/b.lua", 3)),
        ("a/b.lua:3: two\nlines", ("two\nlines", "a/b.lua", 3)),
        ("a/b.lua:3: lib/c.lua:5: boom", ("boom", "lib/c.lua", 5)),
        ("other.lua:3: boom", ("other.lua:3: boom", None, None)),
        ("moontide:0: boom", ("boom", None, None)),
        ("boom", ("boom", None, None)),
        ("", ("", None, None)),
    ],
)
def test_place_in_the_message_is_taken_out(message: str, expected: tuple[str, str | None, int | None]) -> None:
    fault = describe(message, "", SCRIPTS)
    assert (fault["message"], fault["script"], fault["line"]) == expected


def test_message_without_a_place_gets_the_innermost_frames() -> None:
    fault = describe("no stock", TRACEBACK, SCRIPTS)
    assert (fault["script"], fault["line"]) == ("lib/c.lua", 4)


def test_traceback_keeps_script_frames_only() -> None:
    fault = describe("x", TRACEBACK, SCRIPTS)
    assert fault["traceback"] == "lib/c.lua:4: in function 'go'\na/b.lua:9: in function <a/b.lua:7>"


def test_shortened_name_is_made_whole_when_only_one_fits() -> None:
    long = "department/" * 8 + "x.lua"
    shown = "..." + long[-40:]
    assert describe(f"{shown}:7: boom", "", {long})["script"] == long
    assert describe(f"{shown}:7: boom", "", {long, "z" + long})["script"] is None
