"""Turns what Lua says about an error into message, script, line and traceback."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TypedDict

MEMORY_MESSAGE = "not enough memory"
"""Lua's own words when an allocation is refused."""

_PLACE = re.compile(r"(?P<script>[^\s:]+):(?P<line>\d+): ?(?P<message>.*)\Z", re.DOTALL)
_FRAME = re.compile(r"\t(?P<script>[^\s:]+):(?P<line>\d+): in (?P<what>.*)\Z")
_RUNTIME_PLACE = re.compile(r"moontide:\d+: ")
_SHORTENED = "..."


class Fault(TypedDict):
    """An error as it goes to the pool; the fields are those of ``RunError``."""

    message: str
    script: str | None
    line: int | None
    traceback: str


def whole_name(shown: str, scripts: Collection[str]) -> str | None:
    """Return the script that Lua shows as ``shown``, or None when it is none of ``scripts``.

    Lua shortens names of 60 characters and more to ``...`` and their end.
    """
    if shown in scripts:
        return shown
    if shown.startswith(_SHORTENED):
        matching = [script for script in scripts if script.endswith(shown[len(_SHORTENED) :])]
        return matching[0] if len(matching) == 1 else None
    return None


def script_frames(traceback: str, scripts: Collection[str]) -> list[tuple[str, int, str]]:
    """Return the frames of a Lua traceback that lie in scripts, innermost first, as (script, line, what)."""
    frames = []
    for text in traceback.splitlines():
        found = _FRAME.match(text)
        script = found and whole_name(found["script"], scripts)
        if found and script:
            frames.append((script, int(found["line"]), "" if found["what"] == "function ''" else found["what"]))
    return frames


def describe(message: str, traceback: str, scripts: Collection[str]) -> Fault:
    """Return the error with its place.

    The place is the one that the message begins with; a message without one,
    as from ``error({message = ...})``, gets that of the innermost frame.

    :param scripts: every script that the run has loaded.
    """
    frames = script_frames(traceback, scripts)
    shown = "\n".join(f"{script}:{line}: in {what}" if what else f"{script}:{line}" for script, line, what in frames)
    message = _RUNTIME_PLACE.sub("", message)
    place: tuple[str, int] | None = frames[0][:2] if frames else None
    # An error that was raised again, or went through coroutine.wrap, begins
    # with several places: the last one is where it comes from.
    while found := _PLACE.match(message):
        script = whole_name(found["script"], scripts)
        if script is None:
            break
        place, message = (script, int(found["line"])), found["message"]
    script, line = place or (None, None)
    return Fault(message=message, script=script, line=line, traceback=shown)
