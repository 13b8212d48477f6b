"""Waiting for something that other threads or processes do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_EVERY_S = 0.02


def wait_until(look: Callable[[], T], *, timeout_s: float = 20, what: str = "") -> T:
    """Look again and again until the answer is true, and return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or look}"
        threading.Event().wait(_LOOK_EVERY_S)


def pass_real_time(seconds: float) -> None:
    """Let real services work for a while; for tests that are about real time."""
    threading.Event().wait(seconds)
