"""The checker that the editor asks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from jobservice.executors.script_checker import LuaScriptChecker
from jobservice.ports import ScriptProblem


@pytest.fixture(scope="module")
def checker() -> Iterator[LuaScriptChecker]:
    checker = LuaScriptChecker()
    yield checker
    checker.close()


def test_source_that_compiles_has_no_problems(checker: LuaScriptChecker) -> None:
    assert checker.check("a/b.lua", "local x = 1 return x") == ()


def test_source_is_not_run(checker: LuaScriptChecker) -> None:
    assert checker.check("a/b.lua", "while true do end") == ()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("local x = = 1", ScriptProblem(1, "unexpected symbol near '='")),
        ("if true then\n  x()\n", ScriptProblem(3, "'end' expected (to close 'if' at line 1) near '<eof>'")),
        ("\x1bLJ", ScriptProblem(1, "this is compiled Lua, not text: only source code can be loaded")),
        ("x = " + "(" * 300, ScriptProblem(1, "chunk has too many syntax levels")),
    ],
)
def test_problem_has_line_and_words(checker: LuaScriptChecker, source: str, problem: ScriptProblem) -> None:
    assert checker.check("a/b.lua", source) == (problem,)


def test_oversized_source_is_a_problem(checker: LuaScriptChecker) -> None:
    assert checker.check("a/b.lua", "-" * 3_000_000) == (ScriptProblem(1, "the script is larger than 2 MiB"),)


def test_text_that_is_no_unicode_is_still_checked(checker: LuaScriptChecker) -> None:
    assert checker.check("a/b.lua", "local s = '\ud800\0'") == ()


def test_threads_may_check_at_once(checker: LuaScriptChecker) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(checker.check("a/b.lua", "x = = 1")), name=f"checker-{number}")
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(ScriptProblem(1, "unexpected symbol near '='"),)] * 8


def test_worker_that_died_is_replaced() -> None:
    checker = LuaScriptChecker()
    try:
        checker.check("a/b.lua", "return 1")
        assert checker.worker_pid is not None
        os.kill(checker.worker_pid, signal.SIGKILL)
        os.waitid(os.P_PID, checker.worker_pid, os.WEXITED | os.WNOWAIT)
        assert checker.check("a/b.lua", "return 1") == ()
    finally:
        checker.close()


def test_worker_starts_with_the_first_check_and_ends_when_idle() -> None:
    checker = LuaScriptChecker(idle_end_s=0.05)
    assert checker.worker_pid is None
    before = set(threading.enumerate())
    checker.check("a/b.lua", "return 1")
    pid = checker.worker_pid
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert pid is not None
    assert checker.worker_pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
