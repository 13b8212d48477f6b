"""``make bench``: print every figure as a table."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import console, engine, lua_pool
from bench.report import Row


def sqlite_commit(times: int = 500) -> list[Row]:
    """The machine's own price of an empty durable transaction."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "reference.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE reference (number INTEGER)")
        began = time.perf_counter()
        for number in range(times):
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO reference VALUES (?)", (number,))
            database.execute("COMMIT")
        spent = time.perf_counter() - began
        database.close()
    return [Row("reference: SQLite commit of one row", f"{spent / times * 1000:.3f} ms")]


def main() -> None:
    """Measure one part after the other, each by itself."""
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}, load {load:.1f}")
    if load > 1:
        print("The machine is busy; figures will be worse than they are.")
    parts: tuple[Callable[[], list[Row]], ...] = (sqlite_commit, lua_pool.measure, engine.measure, console.measure)
    for part in parts:
        for row in part():
            print(f"{row.what:<52}  {row.figure:<44}  {row.target}", flush=True)


if __name__ == "__main__":
    main()
