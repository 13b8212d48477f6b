"""Programs nobody would write: a worker may die of them, the pool may not."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from jobservice.domain.run import Outcome
from tests.support.lua_runs import order, script

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig

PROGRAMS = 4000
ATOMS = """
nil true false 0 -1 0/0 1e308 '' 'a' '%s' '\\0' {} {1,2} {n=core.NULL} core job job.OK core.NULL _G string
core.job core.log print pcall error select coroutine.wrap string.rep string.format table.concat table.sort
setmetatable getmetatable require load tostring next core.json.encode core.json.decode core.split core.md5
core.sleep core.mysql string.gsub string.find math.random os.date os.time table.insert unpack bit.bxor
""".split()  # noqa: SIM905 - a list literal of these would be unreadable
OPERATORS = ["+", "..", "==", "<", "and", "or", "%", "*"]


def expression(source: random.Random, depth: int = 0) -> str:
    """Return a random expression."""
    kind = source.random() if depth < 4 else 0.0
    if kind < 0.35:
        return source.choice([*ATOMS, "v"])
    if kind < 0.7:
        arguments = ", ".join(expression(source, depth + 1) for _ in range(source.randint(0, 4)))
        return f"({expression(source, depth + 1)})({arguments})"
    if kind < 0.8:
        return f"({expression(source, depth + 1)})[{expression(source, depth + 1)}]"
    if kind < 0.9:
        return f"({expression(source, depth + 1)} {source.choice(OPERATORS)} {expression(source, depth + 1)})"
    return f"function(v) return {expression(source, depth + 1)} end"


def program(source: random.Random) -> str:
    """Return a script that tries a few random expressions."""
    tries = [f"v = select(2, pcall(function() return {expression(source)} end))" for _ in range(source.randint(1, 6))]
    return script("local v\n" + "\n".join(tries) + f"\nreturn {expression(source)}")


def test_pool_survives_thousands_of_random_programs(start_pool: Callable[..., PoolRig]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    rig = start_pool(workers=2, max_workers=4)
    limit = timedelta(seconds=0.25)
    orders = [order(program(source), time_limit=limit, memory_limit_bytes=8 << 20) for _ in range(PROGRAMS)]
    rig.pool.submit(orders)
    for wanted in orders:
        result = rig.events.wait_finished(wanted.run_id)
        assert result.outcome in {*Outcome} - {Outcome.ABANDONED, Outcome.CANCELLED}
        told = f"{result.error} {rig.log_of(result)}"
        assert "Traceback" not in told
        assert "object at 0x" not in told
    assert all(len(results) == 1 for results in rig.events.results.values())
    assert rig.run_body("return job.OK").outcome is Outcome.OK
