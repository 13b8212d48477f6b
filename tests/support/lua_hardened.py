"""Starts a process as a worker is started, hardens it, and tries what it must not be able to do.

Run as a program with the descriptor of a pipe and the folder of the package;
it writes one JSON object: attempt -> "done" or the name of the refusal.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"


def main() -> None:
    """Harden this process and report what was refused."""
    pipe = int(sys.argv[1])
    sys.path.append(sys.argv[2])
    from jobservice.luahost import harden

    parent = os.getppid()
    layers = harden.harden(harden.RunLimits())
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "write a file": lambda: os.open("/tmp/moontide-probe", os.O_WRONLY | os.O_CREAT),
        "list a folder": lambda: os.listdir("/"),
        "remove a file": lambda: os.unlink("/etc/hostname"),
        "fork": os.fork,
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
        "kill the parent": lambda: os.kill(parent, 9),
        "trace the parent": lambda: os.stat("/proc/1/mem"),
        "change directory": lambda: os.chdir("/"),
        "become somebody else": lambda: os.setuid(1),
    }
    report = {"layers": layers, "attempts": {name: _outcome(attempt) for name, attempt in attempts.items()}}
    os.write(pipe, json.dumps(report).encode())


if __name__ == "__main__":
    main()
