"""Sandboxed states of every Lua that may be used, in this process, without a worker around them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from jobservice.luahost.sandbox import LUA_MODULES, State, StateFactory, load_lua

SCRIPT = b"""
local job = core.job()
function job.run()
  core.log("begun", {1, x = 2}, core.sf("%03d", 7), core.json.encode(core.json.decode('{"a":[1,null]}')))
  core.log(core.split("a,b"), core.trim(" x "), job.day(), job.weekNum(), os.date("%H:%M"))
  leaked = true
  return job.SLEEP, 5, "note"
end
return job
"""


class FakeHost:
    """Answers as the worker's host does, and keeps the log."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.scripts: dict[str, bytes] = {}
        self.raises: BaseException | None = None

    def __call__(self, operation: str, a: Any = None, b: Any = None) -> tuple[Any, ...]:
        if self.raises is not None:
            raise self.raises
        if operation == "log":
            self.log.append(a)
            return (True,)
        if operation == "elapsed":
            return (True, 0.5)
        if operation == "uuid":
            return (True, object())
        return (True, self.scripts.get(b[2:-2]))


@pytest.fixture(params=LUA_MODULES)
def host_and_state(request: pytest.FixtureRequest) -> tuple[FakeHost, State]:
    lua = pytest.importorskip(request.param)
    host = FakeHost()
    return host, StateFactory(lua, host).make()


def run(state: State, source: bytes) -> tuple[Any, ...]:
    return tuple(state.run(source, b"a/b.lua", 1767614400.0, 3600.0, 7.0))


def test_script_runs_in_every_lua(host_and_state: tuple[FakeHost, State]) -> None:
    host, state = host_and_state
    assert run(state, SCRIPT) == ("done", "SLEEP", "note", 5)
    assert host.log == [
        'begun {1, x = 2} 007 {"a":[1,null]}',
        '{"a", "b"} x Mon 1 13:00',
        "warning: global 'leaked' is set at a/b.lua:6; it is gone after this run",
    ]


def test_source_that_does_not_compile_is_a_fault_with_its_place(host_and_state: tuple[FakeHost, State]) -> None:
    kind, message, _ = run(host_and_state[1], b"x = = 1")
    assert kind == "fault"
    assert message.startswith("a/b.lua:1: unexpected symbol near")


def test_check_compiles_without_running(host_and_state: tuple[FakeHost, State]) -> None:
    host, state = host_and_state
    assert state.check(b"core.log('ran')", b"a/b.lua") is None
    assert state.check(b"\n)", b"a/b.lua").startswith("a/b.lua:2:")
    assert host.log == []


def test_exception_of_the_host_never_reaches_the_script(host_and_state: tuple[FakeHost, State]) -> None:
    host, state = host_and_state
    host.raises = ZeroDivisionError("/secret/path")
    kind, message, _ = run(state, b"core.md5('x')")
    assert (kind, message) == ("fault", "a/b.lua:1: the runtime could not carry out 'md5'")


def test_object_of_the_host_never_reaches_the_script(host_and_state: tuple[FakeHost, State]) -> None:
    kind, message, _ = run(host_and_state[1], b"local id = core.uuid()")
    assert (kind, message) == ("fault", "a/b.lua:1: the runtime could not carry out 'uuid'")


def test_memory_limit_is_a_fault(host_and_state: tuple[FakeHost, State]) -> None:
    state = host_and_state[1]
    state.limit_memory(4 << 20)
    assert run(state, b"local t = {} while true do t[#t + 1] = {} end")[:2] == ("fault", "not enough memory")


def test_best_lua_is_the_first_that_is_there() -> None:
    assert load_lua().__name__ in LUA_MODULES
    assert load_lua() is importlib.import_module(load_lua().__name__)
