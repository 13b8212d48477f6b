from __future__ import annotations

import json
import signal
from datetime import timedelta
from typing import Any

import pytest

from jobservice.domain.run import Outcome, RunError
from jobservice.executors.endings import OK, read_done, read_exit
from jobservice.luahost.protocol import DONE_OK, ProtocolError

LIMIT = timedelta(seconds=60)
ERROR = {"message": "boom", "script": "a.lua", "line": 3, "traceback": "a.lua:3"}


def done(**facts: Any) -> bytes:
    return json.dumps({"outcome": "ok"} | facts).encode()


def test_plain_ok_is_known_by_its_bytes() -> None:
    assert read_done(DONE_OK) is OK


def test_report_is_read_in_full() -> None:
    ending = read_done(done(outcome="failed", note="n", error=ERROR, recycle=True))
    assert ending.outcome is Outcome.FAILED
    assert ending.error == RunError("boom", "a.lua", 3, "a.lua:3")
    assert ending.worker_is_spent


@pytest.mark.parametrize(("seconds", "sleep"), [(0, 1), (600, 600), (1e18, 31_536_000)])
def test_sleep_is_clamped_here_too(seconds: float, sleep: int) -> None:
    assert read_done(done(outcome="sleep", sleep=seconds)).sleep == timedelta(seconds=sleep)


def test_texts_are_bounded_and_storable() -> None:
    ending = read_done(done(note="\0\ud800" + "x" * 600, error=ERROR | {"message": "m" * 9000}))
    assert ending.note == "\ufffd?" + "x" * 498
    assert ending.error is not None
    assert len(ending.error.message) == 4096


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"\xff",
        b"5",
        b"[" * 100_000,
        done(outcome="misfired"),
        done(outcome=None),
        done(outcome=["ok"]),
        done(note=5),
        done(sleep="x"),
        done(sleep=float("nan")),
        done(error={}),
        done(error=ERROR | {"message": None}),
        done(error=ERROR | {"script": 5}),
    ],
)
def test_report_that_no_worker_sends_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_done(payload)


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (-signal.SIGALRM, Outcome.TIMED_OUT, "ran longer than its limit of 60 s"),
        (-signal.SIGSEGV, Outcome.KILLED, "crashed (SIGSEGV)"),
        (-signal.SIGABRT, Outcome.KILLED, "crashed (SIGABRT)"),
        (-signal.SIGXCPU, Outcome.KILLED, "more processor time"),
        (-signal.SIGKILL, Outcome.ABANDONED, "killed from outside (SIGKILL)"),
        (-signal.SIGTERM, Outcome.ABANDONED, "ended from outside (SIGTERM)"),
        (-99, Outcome.ABANDONED, "signal 99"),
        (1, Outcome.KILLED, "exit status 1"),
    ],
)
def test_death_is_told_in_words(status: int, outcome: Outcome, words: str) -> None:
    ending = read_exit(status, LIMIT)
    assert ending.outcome is outcome
    assert words in str(ending.error)
