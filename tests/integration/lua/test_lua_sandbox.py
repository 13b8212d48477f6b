"""Nothing but the allowed functions can be reached from a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobservice.domain.run import Outcome

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig

FORBIDDEN = [
    *("python", "io", "debug", "package", "module", "dofile", "loadfile", "newproxy", "getfenv", "setfenv"),
    *("jit", "ffi", "gcinfo", "lupa", "_ENV", "table.new"),
]
GLOBALS = """
_G _VERSION assert bit collectgarbage core coroutine error getmetatable ipairs load loadstring math next os pairs
pcall print rawequal rawget rawset require select setmetatable string table tonumber tostring type unpack xpcall
"""

WALK = """
local seen, kinds, count = {}, {}, 0
local function walk(value, path)
  local kind = type(value)
  kinds[kind] = true
  if kind == "userdata" or kind == "cdata" then core.log("found", kind, path) end
  if kind == "thread" or kind ~= "table" and kind ~= "function" or seen[value] then return end
  seen[value] = true
  count = count + 1
  if kind ~= "table" then return end
  for key, item in next, value do
    walk(key, path .. ".<key>")
    walk(item, path .. "." .. tostring(key))
  end
  local metatable = getmetatable(value)
  if type(metatable) == "table" then walk(metatable, path .. ".<metatable>") end
end
walk(_G, "_G")
for _, name in ipairs({"mysql", "pages", "run", "error"}) do walk(core[name], "core." .. name) end
walk(job, "job")
walk(getmetatable(""), "string metatable")
for _, name in ipairs({"json", "json_safe"}) do walk(core[name].decode('{"a":[null]}'), "json") end
for _, call in ipairs({core.uuid, core.job, core.array, os.time, os.date, os.clock, coroutine.running}) do
  walk(call(), "result")
end
local decode, safe_decode = core.json.decode, core.json_safe.decode
for _, call in ipairs({core.md5, core.trim, core.sleep, require, load, error, decode, safe_decode}) do
  for _, argument in ipairs({0/0, -1, "\\255\\254", {}, print, true}) do
    local results = {pcall(call, argument)}
    for _, result in ipairs(results) do walk(result, "result") end
  end
end
core.log(count > 100, kinds.userdata, kinds.cdata)
"""


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_name_is_nil_from_everywhere(rig: PoolRig, name: str) -> None:
    log = rig.logged(
        f"""
        local function at(root)
          for part in ("{name}"):gmatch("[^.]+") do root = type(root) == "table" and root[part] or nil end
          return root
        end
        core.log(at(_G), at(_G._G), at(string), (coroutine.wrap(function() return at(_G) end)()))
        core.log(load("return {name.split(".", maxsplit=1)[0]}")() == {"table" if "." in name else "nil"})
        """
    )
    assert log == "nil nil nil nil\ntrue\n"


def test_os_has_time_functions_only(rig: PoolRig) -> None:
    log = rig.logged(
        "local n = {} for k in pairs(os) do n[#n + 1] = k end table.sort(n) core.log(table.concat(n, ' '))"
    )
    assert log == "clock date difftime time\n"


def test_globals_are_the_documented_ones(rig: PoolRig) -> None:
    log = rig.logged(
        "local n = {} for k in pairs(_G) do n[#n + 1] = k end table.sort(n) core.log(table.concat(n, ' '))"
    )
    assert log.split() == GLOBALS.split()


def test_no_userdata_can_be_reached(rig: PoolRig) -> None:
    assert rig.logged(WALK).split() == ["true", "nil", "nil"]


def test_bytecode_is_refused_and_cannot_be_made(rig: PoolRig) -> None:
    log = rig.logged(
        r"""
        core.log(load("\27LJ\2"))
        core.log(loadstring("\27Lua"))
        core.log(string.dump, ("x").dump)
        core.log(load(coroutine.wrap(function() coroutine.yield("\27LJ") end)))
        """
    )
    refusal = "nil this is compiled Lua, not text: only source code can be loaded"
    assert log.splitlines() == [refusal, refusal, "nil nil", refusal]


def test_loaded_text_sees_the_scripts_globals_only(rig: PoolRig) -> None:
    assert rig.logged("core.log(load('return _G')() == _G, load('return x', 'n', 't', {x = 5})())") == "true 5\n"
    assert rig.logged("core.log(pcall(load('return io.open')))").startswith("false ")


def test_protected_metatables_stay_as_they_are(rig: PoolRig) -> None:
    log = rig.logged(
        """
        core.log(getmetatable(""), getmetatable(_G), getmetatable(core), getmetatable(core.NULL), getmetatable(job.OK))
        for _, value in ipairs({_G, core, core.NULL, job.OK, core.mysql}) do
          core.log((pcall(setmetatable, value, {})))
        end
        core.log(pcall(setmetatable, "", {}))
        core.log(pcall(setmetatable, {}, {__gc = print}))
        """
    )
    assert log.splitlines() == [
        "nil false false false false",
        *["false"] * 5,
        "false bad argument #1 to 'setmetatable' (table expected, got string)",
        "false __gc is not available in jobs",
    ]


def test_changed_string_library_stays_in_its_run(rig: PoolRig) -> None:
    assert rig.logged("string.upper = function() return 'mine' end core.log(('a'):upper())") == "mine\n"
    assert rig.logged("core.log(('a'):upper())") == "A\n"


def test_changed_libraries_do_not_reach_the_runtimes_own_functions(rig: PoolRig) -> None:
    log = rig.logged(
        """
        local log = core.log
        for _, library in ipairs({string, table, math, os, coroutine, bit}) do
          for name in pairs(library) do rawset(library, name, function() error("hijacked " .. name) end) end
        end
        for _, name in ipairs({"tostring", "type", "pcall", "error", "next", "rawget", "select", "setmetatable"}) do
          rawset(_G, name, function() log("hijacked", name) end)
        end
        log({1, a = "\\1"}, core.split("a,b"), core.trim(" x "), core.json.encode({1, {a = core.NULL}}), core.md5(""))
        log(core.json.decode("[1]"), job.day(), #core.uuid(), core.sf("%d", 3))
        """
    )
    assert log.splitlines() == [
        '{1, a = "\\001"} {"a", "b"} x [1,{"a":null}] d41d8cd98f00b204e9800998ecf8427e',
        "{1} Mon 36 3",
    ]


@pytest.mark.parametrize(
    "argument",
    [
        "{}",
        "print",
        "('x'):rep(3e6)",
        "0/0",
        "1/0",
        "-1/0",
        "t",
        "'\\255\\254\\0'",
        "nil",
        "true",
        "coroutine.create(print)",
    ],
)
@pytest.mark.parametrize(
    "function",
    ["core.md5", "core.trim", "core.split", "core.sf", "core.json.decode", "core.json.encode", "require"],
)
def test_odd_arguments_give_values_or_plain_errors(rig: PoolRig, function: str, argument: str) -> None:
    log = rig.logged(
        f"local t = {{}} t.t = t local fine, value = pcall({function}, {argument}) "
        "core.log(type(value), not fine and value or '')",
        memory_limit_bytes=64 << 20,
    )
    assert log.split(" ")[0].strip() in {"string", "table", "nil"}
    for word in ("Traceback", "python", "Python", ".py", "lupa", "Error:", "object at", "moontide:"):
        assert word not in log


def test_a_million_arguments_are_no_harm(rig: PoolRig) -> None:
    result = rig.run_body(
        "local t = {} for i = 1, 1e6 do t[i] = i end pcall(function() core.log(unpack(t)) end) "
        "pcall(function() core.md5(unpack(t, 1, 7000)) end) return job.OK",
        memory_limit_bytes=256 << 20,
    )
    assert result.outcome is Outcome.OK


@pytest.mark.parametrize(
    "name",
    ["__class__", "__globals__", "gi_frame", "cr_frame", "tb_frame", "__self__", "__traceback__", "obj", "args"],
)
def test_probes_for_host_objects_find_nothing(rig: PoolRig, name: str) -> None:
    log = rig.logged(
        f"""
        local values = {{core.job, core.md5, core.NULL, job.OK, core.uuid(), require, core.mysql}}
        values[#values + 1] = core.json.decode("[]")
        values[#values + 1] = select(2, pcall(core.md5, nil))
        values[#values + 1] = select(2, pcall(core.json.decode, "["))
        values[#values + 1] = select(2, pcall(require, "nothing"))
        for _, value in ipairs(values) do
          local fine, found = pcall(function() return value["{name}"] end)
          if fine and found ~= nil then core.log("found", value, found) end
        end
        core.log("done")
        """
    )
    assert log == "done\n"


def test_run_cannot_see_another_runs_state(rig: PoolRig) -> None:
    rig.logged("rawset(_G, 'leak', 'secret') string.leak = 'secret' rawset(core.NULL, 'leak', 'secret') core.leak = 1")
    for _ in range(4):
        assert rig.logged("core.log(leak, string.leak, rawget(core.NULL, 'leak'), core.leak)") == "nil nil nil nil\n"


def test_garbage_collector_can_only_be_asked_for_its_count(rig: PoolRig) -> None:
    log = rig.logged("core.log(type(collectgarbage('count')), collectgarbage('stop'), collectgarbage())")
    assert log == "number 0 0\n"
