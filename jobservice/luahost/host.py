"""The host functions: what the runtime's Lua may ask of its process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, NoReturn

from jobservice.luahost import protocol
from jobservice.luahost.channel import Channel
from jobservice.luahost.sandbox import State

try:
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:  # hashlib takes 3 ms to load, so it is only the second choice.
    from hashlib import md5

Answer = tuple[Any, ...]
Scalar = str | float | bool | None

_SPARE_BYTES = 64 << 10
_LONGEST_SLEEP_S = 86_400.0


class PoolGoneError(Exception):
    """The pool closed the connection while a run was waiting for it."""


class Host:
    """Answers ``host(operation, a, b)``.

    An answer is ``(True, value, ...)`` or ``(False, message, code)`` with
    scalars only.  Nothing may raise here: an exception object would reach the
    script's ``pcall``.

    :param on_full: ends the run, and the process, because a value that has
        to go back does not fit into the script's memory any more.  Lua would
        leave through the Python frames with a jump and deadlock.
    """

    def __init__(self, channel: Channel, on_full: Callable[[], NoReturn]) -> None:
        self._channel = channel
        self._on_full = on_full
        self._state: State | None = None
        self._started = 0.0
        self.scripts: set[str] = set()
        self._operations: dict[str, Callable[[Any, Any], Answer]] = {
            "log": self._log,
            "elapsed": self._elapsed,
            "sleep": self._sleep,
            "uuid": self._uuid,
            "md5": self._md5,
            "call": self._call,
        }

    def begin(self, state: State, path: str) -> None:
        """Serve this state from now on; its run starts at this instant."""
        self._state = state
        self._started = time.monotonic()
        self.scripts = {path}

    def end(self) -> None:
        """Let go of the state that was served."""
        self._state = None

    def __call__(self, operation: str, a: Scalar = None, b: Scalar = None) -> Answer:
        """Carry one operation out."""
        try:
            answer = self._operations[operation](a, b)
        except PoolGoneError:
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, a script may not see it
            return (False, "the runtime could not carry out the call")
        if self._state is not None:
            size = sum(len(value) for value in answer if isinstance(value, (str, bytes)))
            if self._state.free_bytes() < size + _SPARE_BYTES:
                self._on_full()
        return answer

    def _log(self, text: str, _: object) -> Answer:
        entry = text.encode("latin-1")
        if not entry.endswith(b"\n"):
            entry += b"\n"
        self._channel.send(protocol.LOG, entry[: protocol.LINE_MAX_BYTES + 1])
        return (True,)

    def _elapsed(self, _a: object, _b: object) -> Answer:
        return (True, time.monotonic() - self._started)

    def _sleep(self, seconds: float, _: object) -> Answer:
        time.sleep(min(seconds, _LONGEST_SLEEP_S))
        return (True,)

    def _uuid(self, _a: object, _b: object) -> Answer:
        number = int.from_bytes(os.urandom(16), "big")
        number = number & ~(0xF << 76) | 0x4 << 76
        number = number & ~(0x3 << 62) | 0x2 << 62
        text = f"{number:032x}"
        return (True, f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")

    def _md5(self, text: str, _: object) -> Answer:
        return (True, md5(text.encode("latin-1"), usedforsecurity=False).hexdigest())

    def _call(self, name: str, arguments: str) -> Answer:
        """Ask the pool; a text comes back as it is, anything else as JSON after a True."""
        request = json.dumps({"name": name, "args": json.loads(arguments.encode("latin-1"))}).encode()
        if len(request) > protocol.MAX_FROM_WORKER_BYTES:
            return (False, f"the arguments are larger than {protocol.MAX_FROM_WORKER_BYTES >> 20} MiB")
        self._channel.send(protocol.CALL, request)
        received = self._channel.receive()
        if received is None or received[0] != protocol.REPLY:
            raise PoolGoneError
        reply = received[1]
        if "error" in reply:
            return (False, reply["error"].encode(), reply["code"])
        value = reply["value"]
        if name == "require" and value is not None:
            self.scripts.add(json.loads(arguments)[0])
        if value is None or isinstance(value, str):
            return (True, None if value is None else value.encode("utf-8", "replace"))
        return (True, json.dumps(value, ensure_ascii=False).encode(), True)
