"""The frames that the pool and a Lua worker exchange over their socket.

A frame is a 4-byte length (big-endian, of the payload alone), one byte for its
kind, and the payload: JSON, except for LOG, whose payload is UTF-8 text.
Neither side trusts a length beyond its limit, and nothing is ever unpickled.
"""

from __future__ import annotations

import struct

READY = 1
"""Worker to pool: ``{"lua": version, "layers": {name: true or why it is missing}}``."""
LOG = 2
"""Worker to pool: one entry of the script's log, ending in a newline."""
CALL = 3
"""Worker to pool: ``{"name": function, "args": [...]}``; the worker waits for REPLY."""
DONE = 4
"""Worker to pool: how a run ended; ``executors.endings`` reads it."""
CHECKED = 5
"""Worker to pool: ``{"problem": {"line": n, "message": text} or null}``."""
FAILED = 6
"""Worker to pool: ``{"reason": text}``; the worker cannot start and ends."""

RUN = 16
"""Pool to worker: ``{"path", "source", "now", "offset", "memory", "limit"}``."""
CHECK = 17
"""Pool to worker: ``{"path", "source", "limit"}``."""
REPLY = 18
"""Pool to worker: ``{"value": plain value}`` or ``{"error": text, "code": number or null}``."""

MAX_FROM_WORKER_BYTES = 1 << 20
MAX_TO_WORKER_BYTES = 16 << 20
SOURCE_MAX_BYTES = 2 << 20
"""Largest source of a script: in JSON each byte may take six."""
DONE_OK = b'{"outcome": "ok"}'
"""The report of a run that ended well and said nothing more."""
LINE_MAX_BYTES = 64 << 10
"""Longest entry of a script's log, without its newline."""

_HEAD = struct.Struct(">IB")
HEAD_BYTES = _HEAD.size


class ProtocolError(Exception):
    """The other side sent bytes that are no frame; the connection is of no further use."""


def frame(kind: int, payload: bytes) -> bytes:
    """Return one frame, ready to send."""
    return _HEAD.pack(len(payload), kind) + payload


class FrameReader:
    """Cuts a stream of bytes into frames.

    :param max_bytes: largest payload accepted.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes and return the frames that are now whole, as (kind, payload).

        :raises ProtocolError: a frame announces more than ``max_bytes``.
        """
        if self._rest:
            data = self._rest + data
        frames = []
        position = 0
        available = len(data)
        while available - position >= HEAD_BYTES:
            length, kind = _HEAD.unpack_from(data, position)
            if length > self._max_bytes:
                raise ProtocolError(f"a frame of {length:,} bytes was announced; {self._max_bytes:,} are allowed")
            end = position + HEAD_BYTES + length
            if end > available:
                break
            frames.append((kind, data[position + HEAD_BYTES : end]))
            position = end
        self._rest = data[position:] if position else data
        return frames
