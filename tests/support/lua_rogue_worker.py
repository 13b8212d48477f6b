"""A worker that misbehaves on purpose; started in place of the real one.

Arguments: descriptor, parent's process id (ignored), what to do wrong.
"""

from __future__ import annotations

import os
import signal
import struct
import sys


def frame(kind: int, payload: bytes) -> bytes:
    """Return a frame of the workers' protocol."""
    return struct.pack(">IB", len(payload), kind) + payload


READY = frame(1, b'{"lua": "rogue", "layers": {}}')
ANSWERS = {
    "endless-frame": struct.pack(">IB", 0xFFFFFFFF, 2),
    "unknown-kind": frame(99, b""),
    "broken-json": frame(4, b"{"),
    "wrong-outcome": frame(4, b'{"outcome": "misfired"}'),
    "wrong-types": frame(4, b'{"outcome": "ok", "note": {"a": 1}}'),
    "line-without-end": frame(2, b"half a line"),
    "ready-again": READY,
}


def main() -> None:
    """Say that the worker is ready, and answer the first order wrongly."""
    descriptor, wrong = int(sys.argv[1]), sys.argv[3]
    if wrong == "never-ready":
        sys.exit(3)
    if wrong == "cannot-start":
        os.write(descriptor, frame(6, b'{"reason": "no Lua here"}'))
        sys.exit(0)
    os.write(descriptor, READY)
    if wrong == "talks-first":
        os.write(descriptor, frame(2, b"hello\n"))
    os.read(descriptor, 65536)
    if wrong.startswith("dies-"):
        os.write(descriptor, frame(2, b"last words\n"))
        os.kill(os.getpid(), getattr(signal, wrong.removeprefix("dies-")))
    os.write(descriptor, ANSWERS[wrong])
    signal.pause()


if __name__ == "__main__":
    main()
