"""Starting, waiting, cancelling, stopping, and workers that die."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobservice.domain.job import Isolation
from jobservice.domain.run import Outcome, RunId, RunOrder
from jobservice.executors.broker import BrokerError
from jobservice.executors.lua_worker import WorkerStartError
from tests.support import lua_rogue_worker
from tests.support.lua_runs import order, script

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig

LONG = script("core.log('begun') core.sleep(60) return job.OK")
SHORT = script("return job.OK")


def pids(rig: PoolRig) -> set[int]:
    """The process ids that runs report: workers have no other sign of their identity."""
    return {member.worker.pid for member in rig.pool._fleet.members}


def start_long(rig: PoolRig, **changes: Any) -> RunOrder:
    wanted = order(LONG, time_limit=timedelta(seconds=60), **changes)
    rig.pool.submit([wanted])
    rig.events.wait_output(wanted.run_id, "begun")
    return wanted


def rogue(wrong: str) -> Callable[[int, int], list[str]]:
    path = str(Path(lua_rogue_worker.__file__))
    return lambda descriptor, parent: [sys.executable, "-I", "-S", path, str(descriptor), str(parent), wrong]


def test_every_order_ends_once_after_its_output(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=2)
    orders = [order(script(f"core.log({number}) return job.OK")) for number in range(200)]
    rig.pool.submit(orders)
    for wanted in orders:
        assert rig.events.wait_finished(wanted.run_id).outcome is Outcome.OK
    for number, wanted in enumerate(orders):
        assert rig.events.output[wanted.run_id] == f"{number}\n"
        kinds = [kind for kind, run_id in rig.events.order if run_id == wanted.run_id]
        assert kinds == ["started", "output", "finished"]


def test_every_order_ends_once_while_workers_are_killed(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=2)
    orders = [order(script(f"core.log({number}) return job.OK")) for number in range(3000)]
    rig.pool.submit(orders)
    for milestone in range(200, 3000, 400):
        rig.events.wait_finished(orders[milestone].run_id)
        for pid in pids(rig):
            os.kill(pid, signal.SIGKILL)
    for wanted in orders:
        assert rig.events.wait_finished(wanted.run_id).outcome in {Outcome.OK, Outcome.ABANDONED}
    assert {len(results) for results in rig.events.results.values()} == {1}
    kept = [wanted for wanted in orders if rig.events.results[wanted.run_id][0].outcome is Outcome.OK]
    assert len(kept) > 2900


def test_times_are_the_injected_clocks(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool()
    begun = rig.clock.now()
    wanted = start_long(rig)
    rig.clock.advance(timedelta(minutes=5))
    assert rig.pool.cancel(wanted.run_id)
    result = rig.events.wait_finished(wanted.run_id)
    assert (result.started_at, result.finished_at) == (begun, begun + timedelta(minutes=5))
    assert (result.run_id, result.fence) == (wanted.run_id, wanted.fence)


def test_running_order_is_cancelled_with_its_output(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool()
    wanted = start_long(rig)
    assert rig.pool.cancel(wanted.run_id)
    result = rig.events.wait_finished(wanted.run_id)
    assert (result.outcome, rig.log_of(result)) == (Outcome.CANCELLED, "begun\n")
    assert not rig.pool.cancel(wanted.run_id)
    assert rig.run_source(SHORT).outcome is Outcome.OK


def test_waiting_order_is_cancelled_at_once(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1, max_workers=1)
    running = start_long(rig)
    waiting = order(SHORT)
    rig.pool.submit([waiting])
    assert rig.pool.cancel(waiting.run_id)
    assert rig.events.wait_finished(waiting.run_id).outcome is Outcome.CANCELLED
    assert waiting.run_id not in rig.events.started
    assert rig.pool.cancel(running.run_id)


def test_unknown_order_cannot_be_cancelled(start_pool: Callable[..., PoolRig]) -> None:
    assert not start_pool().pool.cancel(RunId(999_999_999))


def test_isolated_run_has_a_worker_of_its_own(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    pooled = pids(rig)
    wanted = start_long(rig, isolation=Isolation.PROCESS)
    own = pids(rig) - pooled
    assert len(own) == 1
    assert rig.run_source(SHORT).outcome is Outcome.OK
    assert rig.pool.cancel(wanted.run_id)
    assert rig.run_source(SHORT, isolation=Isolation.PROCESS).outcome is Outcome.OK
    rig.events.wait_until(lambda: True, "")
    assert not own & pids(rig)


def test_isolated_run_gets_its_place_in_a_full_pool(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1, max_workers=1)
    assert rig.run_source(SHORT, isolation=Isolation.PROCESS).outcome is Outcome.OK
    assert rig.run_source(SHORT).outcome is Outcome.OK


def test_pool_grows_while_runs_last_and_only_so_far(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1, max_workers=3)
    held = [order(LONG, time_limit=timedelta(seconds=60)) for _ in range(4)]
    rig.pool.submit(held)
    rig.events.wait_until(lambda: len(rig.events.started) == 3, "the pool did not grow")
    assert rig.pool.report().workers == 3
    assert rig.pool.report().waiting == 1
    for wanted in held:
        assert rig.pool.cancel(wanted.run_id)


def test_stop_waits_for_what_runs_within_its_grace(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1, max_workers=1)
    running = order(script("core.log('begun') core.sleep(0.3) return job.OK"))
    waiting = order(SHORT)
    rig.pool.submit([running])
    rig.events.wait_output(running.run_id, "begun")
    rig.pool.submit([waiting])
    rig.pool.stop(timedelta(seconds=10))
    assert rig.events.results[running.run_id][0].outcome is Outcome.OK
    assert rig.events.results[waiting.run_id][0].outcome is Outcome.ABANDONED


def test_stop_abandons_what_still_runs_after_its_grace(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool()
    wanted = start_long(rig)
    begun = time.monotonic()
    rig.pool.stop(timedelta(seconds=0.1))
    assert time.monotonic() - begun < 5
    result = rig.events.results[wanted.run_id][0]
    assert (result.outcome, rig.log_of(result)) == (Outcome.ABANDONED, "begun\n")


def test_order_after_stop_is_abandoned(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool()
    rig.pool.stop(timedelta(0))
    assert rig.run_source(SHORT).outcome is Outcome.ABANDONED
    assert not rig.pool.cancel(RunId(1))


def test_stopped_pool_leaves_no_process(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=2)
    before = pids(rig)
    rig.pool.stop(timedelta(0))
    for pid in before:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_worker_killed_from_outside_is_explained_and_replaced(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    wanted = start_long(rig)
    os.kill(next(iter(pids(rig))), signal.SIGKILL)
    result = rig.events.wait_finished(wanted.run_id)
    assert (result.outcome, rig.log_of(result)) == (Outcome.ABANDONED, "begun\n")
    assert "killed from outside (SIGKILL)" in str(result.error)
    assert rig.run_source(SHORT).outcome is Outcome.OK


def test_idle_worker_that_died_costs_no_run(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    for _ in range(5):
        rig.run_source(SHORT)
        for pid in pids(rig):
            os.kill(pid, signal.SIGKILL)
        result = rig.run_source(SHORT)
        assert result.outcome in {Outcome.OK, Outcome.ABANDONED}


def test_worker_ignores_the_services_signals(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool(workers=1)
    wanted = order(script("core.log('begun') core.sleep(0.2) return job.OK"))
    rig.pool.submit([wanted])
    rig.events.wait_output(wanted.run_id, "begun")
    for pid in pids(rig):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    assert rig.events.wait_finished(wanted.run_id).outcome is Outcome.OK


@pytest.mark.parametrize("wrong", sorted(lua_rogue_worker.ANSWERS))
def test_worker_that_sends_nonsense_is_killed(start_pool: Callable[..., PoolRig], wrong: str) -> None:
    rig = start_pool(command=rogue(wrong))
    result = rig.run_source(SHORT)
    assert result.outcome is Outcome.KILLED
    assert str(result.error).startswith("The worker was killed because it broke the protocol: ")


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("SIGALRM", Outcome.TIMED_OUT, "ran longer than its limit of 10 s"),
        ("SIGSEGV", Outcome.KILLED, "crashed (SIGSEGV)"),
        ("SIGABRT", Outcome.KILLED, "crashed (SIGABRT)"),
        ("SIGXCPU", Outcome.KILLED, "more processor time than its limit of 10 s"),
        ("SIGKILL", Outcome.ABANDONED, "killed from outside (SIGKILL)"),
    ],
)
def test_death_of_a_worker_is_told_in_words(
    start_pool: Callable[..., PoolRig], name: str, outcome: Outcome, words: str
) -> None:
    rig = start_pool(command=rogue(f"dies-{name}"))
    result = rig.run_source(SHORT)
    assert result.outcome is outcome
    assert words in str(result.error)
    assert rig.log_of(result) == "last words\n"


@pytest.mark.parametrize(
    ("wrong", "reason"), [("never-ready", "it ended with status 3"), ("cannot-start", "no Lua here")]
)
def test_pool_that_cannot_start_workers_says_why(start_pool: Callable[..., PoolRig], wrong: str, reason: str) -> None:
    with pytest.raises(WorkerStartError, match=reason):
        start_pool(command=rogue(wrong))


def test_calls_reach_the_service_with_their_run(start_pool: Callable[..., PoolRig]) -> None:
    def require(order: RunOrder, arguments: Any) -> str:
        if arguments == ["lib/refused.lua"]:
            raise BrokerError("not today", 815)
        if arguments == ["lib/broken.lua"]:
            raise ZeroDivisionError("/secret/path")
        return f"return '{order.job_name} {arguments[0]}'"

    rig = start_pool(calls={"require": require})
    assert rig.logged("core.log(require 'lib.any')") == "nightly lib/any.lua\n"
    refused = rig.run_body("require 'lib.refused'")
    assert refused.error is not None
    assert refused.error.message == "module 'lib.refused' was not loaded: not today"
    broken = rig.run_body("require 'lib.broken'")
    assert "secret" not in str(broken.error)
    assert "ZeroDivision" not in str(broken.error)


def test_large_source_is_carried_whole(start_pool: Callable[..., PoolRig]) -> None:
    rig = start_pool()
    comment = "-- " + "ü" * 400_000 + "\n"
    result = rig.run_source(comment + script("core.log('end') return job.OK"), memory_limit_bytes=64 << 20)
    assert (result.outcome, rig.log_of(result)) == (Outcome.OK, "end\n")


def test_report_tells_workers_and_layers(start_pool: Callable[..., PoolRig]) -> None:
    report = start_pool(workers=1).pool.report()
    assert (report.workers, report.busy, report.waiting) == (1, 0, 0)
    assert "Lua" in report.lua
    assert set(report.layers) == {"rlimits", "no_new_privs", "landlock", "seccomp"}
