from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from jobservice.executors.lua_fleet import GROW_AFTER_S, Member, Running, is_held_up
from tests.support.lua_runs import order

NOW = 1000.0
NO_PROCESS = cast("Any", None)


def busy(seconds: float) -> Member:
    run = Running(order(""), datetime(2026, 1, 5, tzinfo=UTC), deadline=NOW + 60)
    return Member(NO_PROCESS, NOW - seconds, is_ready=True, run=run)


SHORT, LONG = busy(GROW_AFTER_S / 2), busy(GROW_AFTER_S * 2)
IDLE = Member(NO_PROCESS, 0.0, is_ready=True)
STARTING = Member(NO_PROCESS, NOW)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([SHORT, SHORT], False),
        ([SHORT, LONG], True),
        ([LONG, LONG], True),
        ([LONG, LONG, SHORT], True),
        ([LONG, SHORT, SHORT], False),
        ([LONG, IDLE, IDLE], False),
        ([LONG, LONG, STARTING], False),
        ([LONG, LONG, LONG, LONG], False),
    ],
)
def test_pool_grows_only_while_lasting_runs_hold_the_others_up(members: list[Member], expected: bool) -> None:
    assert is_held_up(members, least=2, most=4, now=NOW) is expected
