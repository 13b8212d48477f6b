"""The worker's end of its socket: whole frames in, whole frames out, blocking."""

from __future__ import annotations

import json
import os
from collections import deque
from typing import Any

from jobservice.luahost import protocol

_CHUNK_BYTES = 64 << 10


class Channel:
    """Frames over one file descriptor.

    Plain reads and writes, so that the worker needs no socket module.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reader = protocol.FrameReader(protocol.MAX_TO_WORKER_BYTES)
        self._frames: deque[tuple[int, bytes]] = deque()

    def send(self, kind: int, payload: bytes) -> None:
        """Send one frame; waits while the pool is behind."""
        data = protocol.frame(kind, payload)
        sent = os.write(self._descriptor, data)
        while sent < len(data):
            sent += os.write(self._descriptor, data[sent:])

    def send_json(self, kind: int, value: object) -> None:
        """Send one frame with a JSON payload."""
        self.send(kind, json.dumps(value).encode())

    def receive(self) -> tuple[int, Any] | None:
        """Wait for the next frame and return its kind and JSON value; None when the pool has gone."""
        while not self._frames:
            data = os.read(self._descriptor, _CHUNK_BYTES)
            if not data:
                return None
            self._frames.extend(self._reader.feed(data))
        kind, payload = self._frames.popleft()
        return kind, json.loads(payload.decode())
