"""How a run ended: what a worker reports, and what a worker's death means."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jobservice.domain.run import Outcome, RunError
from jobservice.luahost import protocol
from jobservice.luahost.protocol import ProtocolError

MESSAGE_MAX_CHARS = 4096
TRACEBACK_MAX_CHARS = 16384
NOTE_MAX_CHARS = 500
LONGEST_SLEEP_S = 31_536_000

_REPORTED = {
    outcome.value: outcome for outcome in (Outcome.OK, Outcome.SLEEP, Outcome.STOP, Outcome.EXIT, Outcome.FAILED)
}
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run ended, without its times.

    :ivar worker_is_spent: the worker must not get another run.
    """

    outcome: Outcome
    note: str = ""
    sleep: timedelta | None = None
    error: RunError | None = None
    worker_is_spent: bool = False


OK = Ending(Outcome.OK)
CANCELLED = Ending(Outcome.CANCELLED)
ABANDONED = Ending(Outcome.ABANDONED, error=RunError("The job service stopped before the run was over."))


def abandoned(message: str) -> Ending:
    """Return the ending of a run that could not be carried out, through no fault of its script."""
    return Ending(Outcome.ABANDONED, error=RunError(message))


def failed(message: str, script: str | None = None) -> Ending:
    """Return the ending of a run that could not even begin."""
    return Ending(Outcome.FAILED, error=RunError(message, script))


def killed(message: str) -> Ending:
    """Return the ending of a run whose worker was killed for this reason."""
    return Ending(Outcome.KILLED, error=RunError(message))


def timed_out(limit: timedelta) -> Ending:
    """Return the ending of a run that was ended by its time limit."""
    return Ending(Outcome.TIMED_OUT, error=RunError(f"The script ran longer than its limit of {in_seconds(limit)}."))


def in_seconds(duration: timedelta) -> str:
    """Return the duration as in ``60 s`` or ``0.5 s``."""
    return f"{duration.total_seconds():g} s"


def clean(text: str) -> str:
    """Return the text without NUL characters, which databases refuse."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def read_done(payload: bytes) -> Ending:
    """Return what a DONE frame reports.

    A worker is not trusted: every field is checked and bounded.

    :raises ProtocolError: the payload is not what a worker sends.
    """
    if payload == protocol.DONE_OK:
        return OK
    try:
        report = json.loads(payload)
        return Ending(
            _REPORTED[report["outcome"]],
            clean(_text(report.get("note", "")))[:NOTE_MAX_CHARS],
            _sleep(report.get("sleep")),
            _error(report.get("error")),
            report.get("recycle") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError("the report of the run's end cannot be read") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    # A lone surrogate is legal in JSON, but cannot be stored anywhere.
    return value.encode("utf-8", "replace").decode()


def _sleep(seconds: float | None) -> timedelta | None:
    if seconds is None:
        return None
    return timedelta(seconds=min(max(float(seconds), 1.0), LONGEST_SLEEP_S))


def _error(report: dict[str, Any] | None) -> RunError | None:
    if report is None:
        return None
    script, line = report["script"], report["line"]
    return RunError(
        clean(_text(report["message"]))[:MESSAGE_MAX_CHARS],
        None if script is None else clean(_text(script)),
        line if isinstance(line, int) and line > 0 else None,
        clean(_text(report["traceback"]))[:TRACEBACK_MAX_CHARS],
    )


def read_exit(status: int, limit: timedelta) -> Ending:
    """Return what the death of a worker means for the run it was carrying out.

    :param status: as ``Popen.returncode``: negative for a signal.
    :param limit: the run's time limit.
    """
    if status >= 0:
        return killed(
            f"The Lua runtime gave up (exit status {status}). That happens when a script's memory runs out "
            "at a moment when Lua cannot report it."
        )
    number = -status
    if number == signal.SIGALRM:
        return timed_out(limit)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _CRASHES:
        return killed(
            f"The Lua runtime crashed ({name}). "
            "Very deep recursion through string.gsub, sort or coroutines can do that."
        )
    if number == signal.SIGXCPU:
        return killed(f"The script used more processor time than its limit of {in_seconds(limit)} allows.")
    if number == signal.SIGKILL:
        return abandoned(f"The worker was killed from outside ({name}), likely because the machine ran out of memory.")
    return abandoned(f"The worker was ended from outside ({name}).")
