"""Fresh, sandboxed Lua states, and what one run in them gives."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

HostFunction = Callable[..., Any]

LUA_MODULES = ("lupa.luajit21", "lupa.lua51")
"""In order of preference; both speak Lua 5.1.  Wheels for macOS have no LuaJIT."""

PARTS = ("bridge", "env", "display", "present", "job", "core", "modules")
_RUNTIME_CHUNK = "=moontide"
_PREWARM_MEMORY_BYTES = 64 << 20


def load_lua() -> ModuleType:
    """Return the best Lua binding there is.

    :raises ImportError: none can be imported; says why for each.
    """
    problems = []
    for name in LUA_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            problems.append(f"{name}: {error}")
    raise ImportError("; ".join(problems))


def _refuse_get(_object: object, _name: object) -> NoReturn:
    raise AttributeError("not available")


def _refuse_set(_object: object, _name: object, _value: object) -> NoReturn:
    raise AttributeError("not available")


def _lua_file(name: str) -> str:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lua")
    with open(os.path.join(folder, f"{name}.lua"), encoding="utf-8") as file:
        return file.read()


def _runtime_source() -> str:
    parts = [f'parts["{name}"] = function(...)\n{_lua_file(name)}\nend\n' for name in (*PARTS, "main")]
    return f'local parts = {{}}\n{"".join(parts)}return parts["main"](parts, ...)'


class State:
    """One Lua state, good for one run.

    :ivar run: ``run(source, path, now, offset, seed)``; returns scalars only:
        ``"done", status, note, seconds``, ``"invalid", message, line`` or
        ``"fault", message, traceback``.
    :ivar check: ``check(source, path)``; the compiler's message or None.
    """

    __slots__ = ("check", "run", "runtime")

    def __init__(self, lua: ModuleType, bytecode: bytes, json_bytecode: bytes, host: HostFunction) -> None:
        # Latin-1 keeps every byte of a Lua string; UTF-8 is handled at the edge.
        self.runtime = lua.LuaRuntime(
            encoding="latin-1",
            source_encoding="utf-8",
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_handlers=(_refuse_get, _refuse_set),
            max_memory=_PREWARM_MEMORY_BYTES,
        )
        self.run, self.check = self.runtime.execute(bytecode, host, json_bytecode, name=_RUNTIME_CHUNK)

    def limit_memory(self, max_bytes: int) -> None:
        """Allow scripts ``max_bytes`` beyond what a bare state needs."""
        self.runtime.set_max_memory(max_bytes)

    def free_bytes(self) -> int:
        """Return how much may still be allocated."""
        free: int = self.runtime.get_max_memory() - self.runtime.get_memory_used()
        return free


class StateFactory:
    """Makes states; compiles the runtime's own Lua once.

    :param host: what a state calls, as ``host(operation, a, b)``.
    """

    def __init__(self, lua: ModuleType, host: HostFunction) -> None:
        self._lua = lua
        self._host = host
        compiler = lua.LuaRuntime(encoding="latin-1", register_eval=False, register_builtins=False)
        dump = compiler.execute(
            b"local load, dump = loadstring, string.dump\n"
            b"return function(text, name) return dump(assert(load(text, name)), true) end"
        )
        self._bytecode = dump(_runtime_source(), _RUNTIME_CHUNK).encode("latin-1")
        self._json_bytecode = dump(_lua_file("json"), _RUNTIME_CHUNK).encode("latin-1")

    @property
    def version(self) -> str:
        """The Lua implementation, as it names itself."""
        runtime = self._lua.LuaRuntime(register_eval=False, register_builtins=False)
        return str(runtime.lua_implementation)

    def make(self) -> State:
        """Return a fresh state."""
        return State(self._lua, self._bytecode, self._json_bytecode, self._host)
