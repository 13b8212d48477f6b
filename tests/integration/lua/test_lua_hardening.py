"""The second wall: what the process itself can do, whatever Lua or Python in it may want."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import lua_hardened

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    reader, writer = os.pipe()
    subprocess.run(
        [sys.executable, "-I", "-S", str(lua_hardened.__file__), str(writer), str(ROOT)],
        pass_fds=(writer,),
        env={},
        cwd="/",
        start_new_session=True,
        check=True,
        timeout=30,
    )
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        found: dict[str, Any] = json.load(pipe)
    return found


def test_every_layer_is_on_or_says_why_not(report: dict[str, Any]) -> None:
    assert set(report["layers"]) == {"rlimits", "no_new_privs", "landlock", "seccomp"}
    assert all(state is True or isinstance(state, str) for state in report["layers"].values())


@pytest.mark.skipif(platform.system() != "Linux", reason="the layers are Linux's")
def test_hardened_process_can_do_nothing_outside(report: dict[str, Any]) -> None:
    if report["layers"]["seccomp"] is not True:
        pytest.skip(f"no seccomp here: {report['layers']['seccomp']}")
    assert {name: outcome for name, outcome in report["attempts"].items() if outcome == "done"} == {}
    assert set(report["attempts"].values()) == {"PermissionError"}
