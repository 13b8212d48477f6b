"""How much of a run's output is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

HEAD_BYTES = 8 << 20
"""Reported as it comes."""
TAIL_BYTES = 2 << 20
"""Kept of all that follows, and reported at the end."""


class OutputGate:
    """Lets the beginning of a run's output through and holds its end.

    :param head_bytes: how much is let through at once.
    :param tail_bytes: how much of the rest is held.
    """

    __slots__ = ("_cut_bytes", "_head_left", "_tail", "_tail_bytes", "_tail_room")

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head_left = head_bytes
        self._tail_room = tail_bytes
        self._tail: deque[bytes] | None = None
        self._tail_bytes = 0
        self._cut_bytes = 0

    def take(self, entries: Sequence[bytes]) -> bytes:
        """Take whole lines and return those to report now."""
        if self._tail is None:
            together = b"".join(entries)
            if len(together) <= self._head_left:
                self._head_left -= len(together)
                return together
        return self._take_slowly(entries)

    def _take_slowly(self, entries: Sequence[bytes]) -> bytes:
        passed = []
        for entry in entries:
            if self._tail is None and len(entry) <= self._head_left:
                self._head_left -= len(entry)
                passed.append(entry)
            else:
                self._hold(entry)
        return b"".join(passed)

    def _hold(self, entry: bytes) -> None:
        if self._tail is None:
            self._tail = deque()
        self._tail.append(entry)
        self._tail_bytes += len(entry)
        while self._tail_bytes > self._tail_room:
            oldest = self._tail.popleft()
            self._tail_bytes -= len(oldest)
            self._cut_bytes += len(oldest)

    def rest(self) -> bytes:
        """Return what was held, after a line that says how much was cut; empty when nothing was held."""
        if self._tail is None:
            return b""
        held = b"".join(self._tail)
        if not self._cut_bytes:
            return held
        return f"... {self._cut_bytes:,} bytes of output were cut here ...\n".encode() + held
