"""What a run may use, and how it ends when it takes more."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from jobservice.domain.run import Outcome

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig

HALF_SECOND = timedelta(seconds=0.5)


@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do pcall(function() while true do end end) end",
        "xpcall(error, function() while true do end end)",
        "local s = ('a'):rep(50000) s:find('.-.-.-.-b$')",
        "local n = 0 table.sort({5, 3, 8, 1, 9, 2}, function() while true do n = n + 1 end end)",
        "local x = setmetatable({}, {__index = function() while true do end end}).x",
        "core.sleep(3600)",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
    ],
)
def test_run_that_does_not_end_is_timed_out(rig: PoolRig, body: str) -> None:
    begun = time.monotonic()
    result = rig.run_body(body, time_limit=timedelta(seconds=0.2))
    assert result.outcome is Outcome.TIMED_OUT
    assert str(result.error) == "The script ran longer than its limit of 0.2 s."
    assert time.monotonic() - begun < 2.2


def test_whole_limit_is_granted_and_little_more(rig: PoolRig) -> None:
    begun = time.monotonic()
    rig.run_body("while true do end", time_limit=HALF_SECOND)
    assert 0.49 < time.monotonic() - begun < 1.0


def test_output_before_the_end_of_time_is_kept(rig: PoolRig) -> None:
    result = rig.run_body("core.log('begun') while true do end", time_limit=timedelta(seconds=0.2))
    assert rig.log_of(result) == "begun\n"


def test_sort_with_a_senseless_comparator_ends(rig: PoolRig) -> None:
    result = rig.run_body(
        "local t = {} for i = 1, 100 do t[i] = i % 7 end table.sort(t, function() return true end) return job.OK",
        time_limit=HALF_SECOND,
    )
    assert result.outcome in {Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT}


@pytest.mark.parametrize(
    "body",
    [
        "return job.OK, ('x'):rep(1e9)",
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
        "core.json.encode((function() local t = {} while true do t[#t + 1] = {'x', #t} end end)())",
    ],
)
def test_memory_bomb_ends_at_the_memory_limit(rig: PoolRig, body: str) -> None:
    result = rig.run_body(body, memory_limit_bytes=16 << 20)
    assert result.outcome is Outcome.FAILED
    assert str(result.error) == "The script used more memory than its limit of 16 MiB."


def test_script_that_swallows_memory_errors_ends_all_the_same(rig: PoolRig) -> None:
    result = rig.run_body(
        "local t = {} local function fill() while true do t[#t + 1] = ('x'):rep(1e4) .. #t end end "
        "while true do pcall(fill) core.log('on') end",
        memory_limit_bytes=16 << 20,
        time_limit=timedelta(seconds=2),
    )
    assert str(result.error) == "The script used more memory than its limit of 16 MiB."
    assert rig.log_of(result) == "on\n"


def test_memory_given_back_may_be_used_again(rig: PoolRig) -> None:
    body = "for i = 1, 200 do local s = ('x'):rep(1e6) .. i end return job.OK"
    assert rig.run_body(body, memory_limit_bytes=16 << 20).outcome is Outcome.OK


def test_worker_is_replaced_after_a_memory_error(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    rig.run_body("local s = 'x' while true do s = s .. s end", memory_limit_bytes=8 << 20)
    assert rig.run_body("return job.OK").outcome is Outcome.OK


@pytest.mark.parametrize(
    "body",
    [
        "local function f(s) return (s:gsub('.', f)) end f('abc') return job.OK",
        "local function f() return coroutine.wrap(f)() end f() return job.OK",
        "local function f(s) return coroutine.wrap(function() return (s:gsub('.', f)) end)() end f('ab') return job.OK",
    ],
)
def test_deep_recursion_through_c_never_takes_the_pool_along(start_pool: Callable[..., PoolRig], body: str) -> None:
    rig = start_pool(workers=1)
    result = rig.run_body(body, memory_limit_bytes=256 << 20, time_limit=timedelta(seconds=5))
    assert result.outcome in {Outcome.FAILED, Outcome.KILLED, Outcome.TIMED_OUT}
    assert rig.run_body("return job.OK").outcome is Outcome.OK


def test_output_bomb_is_capped_with_its_beginning_and_end_kept(rig: PoolRig) -> None:
    result = rig.run_body(
        "local line = ('x'):rep(1015) for i = 1, 20000 do core.log(('%08d'):format(i) .. line) end return job.OK",
        time_limit=timedelta(seconds=60),
    )
    assert result.outcome is Outcome.OK
    log = rig.log_of(result)
    lines = log.splitlines()
    assert 10 << 20 >= len(log) - 200 > 9.9 * (1 << 20)
    marks = [line for line in lines if "were cut here" in line]
    cut = 20_000 - (len(lines) - 1)
    assert marks == [f"... {cut * 1024:,} bytes of output were cut here ..."]
    assert lines[0].startswith("00000001")
    assert lines[-1].startswith("00020000")


def test_output_is_seen_while_the_run_goes_on(rig: PoolRig) -> None:
    from tests.support.lua_runs import order, script

    wanted = order(script("core.log('first') core.sleep(30)"))
    rig.pool.submit([wanted])
    rig.events.wait_output(wanted.run_id, "first\n")
    assert wanted.run_id not in rig.events.results
    assert rig.pool.cancel(wanted.run_id)


def test_second_run_in_a_worker_has_its_own_limits(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    assert rig.run_body("return job.OK", time_limit=HALF_SECOND, memory_limit_bytes=4 << 20).outcome is Outcome.OK
    body = "core.sleep(0.6) local s = ('x'):rep(3e7) return job.OK"
    assert rig.run_body(body, memory_limit_bytes=64 << 20).outcome is Outcome.OK
