"""The pool of Lua workers: throughput, latency, kill precision, recovery."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import lupa.luajit21

from bench.report import Row, quantile_ms
from jobservice.clock import SystemClock
from jobservice.domain.job import JobId
from jobservice.domain.run import RunId, RunOrder, RunResult
from jobservice.executors.lua_pool import LuaPool

SOURCE = 'local job = core.job()\nfunction job.run()\n  core.log("done")\n  return job.OK\nend\nreturn job\n'
ENDLESS = "local job = core.job()\nfunction job.run() while true do end end\nreturn job\n"
PATIENCE_S = 60


class NoScripts:
    """A store without scripts."""

    def read(self, path: str) -> str | None:
        return None


class Finishes:
    """Notes when each run ended; calls back for each, and wakes the waiter at the last."""

    def __init__(self) -> None:
        self.at: dict[RunId, float] = {}
        self.last = RunId(-1)
        self.all_done = threading.Event()
        self.on_finish: Callable[[RunId], None] = lambda _: None

    def run_started(self, run_id: RunId, fence: int, started_at: datetime) -> None:
        pass

    def run_output(self, run_id: RunId, text: str, at: datetime) -> None:
        pass

    def run_finished(self, result: RunResult) -> None:
        self.at[result.run_id] = time.perf_counter()
        self.on_finish(result.run_id)
        if result.run_id == self.last:
            self.all_done.set()


class Rig:
    """A started pool."""

    def __init__(self) -> None:
        self.finishes = Finishes()
        self.pool = LuaPool(scripts=NoScripts(), clock=SystemClock(), logger=logging.getLogger("bench"))
        self.pool.start(self.finishes)
        self._numbers = 0

    def orders(self, count: int, source: str = SOURCE, limit_s: float = 60) -> list[RunOrder]:
        first = self._numbers
        self._numbers += count
        return [
            RunOrder(
                run_id=RunId(number), fence=1, job_id=JobId(1), job_name="bench", path="bench/x.lua", source=source,
                time_limit=timedelta(seconds=limit_s), memory_limit_bytes=64 << 20,
            )
            for number in range(first, first + count)
        ]  # fmt: skip

    def finish(self, orders: Sequence[RunOrder]) -> float:
        """Run the orders and return the seconds until the last one handed in has ended."""
        self.finishes.last = orders[-1].run_id
        self.finishes.all_done.clear()
        begun = time.perf_counter()
        self.pool.submit(orders)
        assert self.finishes.all_done.wait(PATIENCE_S)
        return time.perf_counter() - begun


def throughput(rig: Rig, runs: int = 6_000, windows: int = 4) -> Row:
    """Hand in everything at once."""
    best, cost = 0.0, 0.0
    for _ in range(windows):
        orders = rig.orders(runs)
        used = time.process_time()
        rate = runs / rig.finish(orders)
        if rate > best:
            best, cost = rate, (time.process_time() - used) / runs
    return Row("pool, trivial runs", f"{best:,.0f} runs/s ({cost * 1e6:.0f} us of the parent each)", "≥ 7,000 runs/s")


def loaded_latency(rig: Rig, runs: int = 4_000, in_flight: int = 2) -> Row:
    """Keep the workers busy, each with one run in flight."""
    orders = rig.orders(runs)
    submitted: dict[RunId, float] = {}
    left = iter(orders)

    def hand_in(_: RunId) -> None:
        wanted = next(left, None)
        if wanted is not None:
            submitted[wanted.run_id] = time.perf_counter()
            rig.pool.submit([wanted])

    rig.finishes.on_finish = hand_in
    rig.finishes.last = orders[-1].run_id
    rig.finishes.all_done.clear()
    for _ in range(in_flight):
        hand_in(RunId(0))
    assert rig.finishes.all_done.wait(PATIENCE_S)
    rig.finishes.on_finish = lambda _: None
    waits = [rig.finishes.at[number] - at for number, at in submitted.items() if number in rig.finishes.at]
    return _latency("pool, both cores busy", waits, "p99 ≤ 1 ms")


def paced_latency(rig: Rig, runs: int = 400, per_second: int = 200) -> Row:
    """One run now and then, on a pool that has prepared itself."""
    pause = threading.Event()
    waits = []
    for wanted in rig.orders(runs):
        waits.append(rig.finish([wanted]))
        pause.wait(1 / per_second)
    return _latency(f"pool, {per_second} runs/s", waits, "p99 ≤ 1 ms")


def _latency(what: str, waits: Sequence[float], target: str) -> Row:
    return Row(what, f"p50 {quantile_ms(waits, 0.5):.2f} ms, p99 {quantile_ms(waits, 0.99):.2f} ms", target)


def kill_precision(rig: Rig, kills: int = 5, limit_s: float = 0.5) -> list[Row]:
    """Let endless loops hit their limit, then time the next run of a pool with a hole in it."""
    late, whole = [], []
    for _ in range(kills):
        late.append(rig.finish(rig.orders(1, ENDLESS, limit_s)) - limit_s)
        begun = time.perf_counter()
        while rig.pool.report().ready < rig.pool.report().workers or rig.pool.report().workers < 2:
            rig.finish(rig.orders(1))
        whole.append(time.perf_counter() - begun)
    return [
        Row("endless loop killed after its limit", f"{max(late) * 1000:.1f} ms late at most", "≤ 30 ms"),
        Row("pool whole again after a kill", f"{quantile_ms(whole, 0.5):.0f} ms", "≤ 100 ms"),
    ]


def python_start(times: int = 10) -> Row:
    """The usual way to run a script in a process of its own."""
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        spent.append(time.perf_counter() - begun)
    return Row("reference: python -c pass", f"{quantile_ms(spent, 0.5):.1f} ms")


def bare_call(seconds: float = 0.5) -> Row:
    """The upper bound: a function of one state, called again and again, with nothing around it."""
    call = lupa.luajit21.LuaRuntime().eval("function(x) return x + 1 end")
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(1000):
            call(3)
        count += 1000
    return Row("reference: bare lupa call", f"{count / seconds:,.0f} calls/s")


def fresh_state(seconds: float = 0.5) -> Row:
    """A fresh state without sandbox or process, one script each."""
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        lupa.luajit21.LuaRuntime(register_eval=False, register_builtins=False).execute("return 1")
        count += 1
    return Row("reference: bare fresh lupa state", f"{count / seconds:,.0f} states/s")


def measure() -> list[Row]:
    """Measure everything; takes about ten seconds."""
    rows = [python_start(), bare_call(), fresh_state()]
    begun = time.perf_counter()
    rig = Rig()
    try:
        rows.append(Row("pool ready", f"{(time.perf_counter() - begun) * 1000:.0f} ms"))
        rig.finish(rig.orders(500))
        rows += [throughput(rig), loaded_latency(rig), paced_latency(rig), *kill_precision(rig)]
    finally:
        rig.pool.stop(timedelta(0))
    return rows


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what:38} {row.figure:44} {row.target}")
