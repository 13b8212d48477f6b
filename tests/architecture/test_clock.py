"""One place reads the machine's clock; everybody else is told the time."""

from __future__ import annotations

import ast

from tests.architecture.sources import modules, tree_of

READS_THE_CLOCK = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.ctime",
    "time.asctime",
}
READS_THE_CLOCK_WITHOUT_ARGUMENTS = {"time.localtime", "time.gmtime"}

ALLOWED = {
    "jobservice/clock.py": "it is the clock",
    "webmin/views/account.py": "the library that counts logins says when a window ends by the machine's clock",
}


def clock_reads(module: str) -> list[str]:
    found = []
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute | ast.Call):
            name = ast.unparse(node.func if isinstance(node, ast.Call) else node).removeprefix("datetime.datetime.")
            name = ".".join(name.split(".")[-2:])
            bare = isinstance(node, ast.Call) and not node.args and name in READS_THE_CLOCK_WITHOUT_ARGUMENTS
            if name in READS_THE_CLOCK or bare:
                found.append(f"{module}:{node.lineno} {name}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found.extend(f"{module}:{node.lineno} from time import {alias.name}" for alias in node.names)
    return found


def test_nothing_but_the_clock_reads_the_wall_clock():
    reads = [read for module in modules() if module not in ALLOWED for read in clock_reads(module)]

    assert reads == []


def test_the_test_finds_what_it_looks_for():
    assert clock_reads("jobservice/clock.py") != []
