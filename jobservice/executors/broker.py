"""What scripts may ask of the job service while they run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobservice.domain.job import path_problem
from jobservice.domain.run import RunOrder
from jobservice.luahost import protocol
from jobservice.ports import ScriptSource

BrokerCall = Callable[[RunOrder, Sequence[Any]], Any]
"""Takes the run and the script's arguments (plain JSON values), returns a plain JSON value.

Called on a thread of its own; may block.
"""

FAILED_CODE = -1


class BrokerError(Exception):
    """A call that failed, in words for the script's author.

    :param code: as Coronium numbers errors; ``-1`` for one without a number.
    """

    def __init__(self, message: str, code: int = FAILED_CODE) -> None:
        super().__init__(message)
        self.code = code


class Broker:
    """Answers calls by name; ``require`` is always there.

    :param calls: further functions.
    """

    def __init__(self, scripts: ScriptSource, calls: Mapping[str, BrokerCall], logger: logging.Logger) -> None:
        self._scripts = scripts
        self._calls: dict[str, BrokerCall] = {"require": self._require, **calls}
        self._logger = logger

    def answer(self, order: RunOrder, payload: bytes) -> bytes:
        """Carry out the call in a CALL frame and return the REPLY frame; never raises."""
        try:
            request = json.loads(payload)
            reply: dict[str, Any] = {"value": self._calls[request["name"]](order, request["args"])}
            encoded = json.dumps(reply).encode()
        except BrokerError as error:
            encoded = json.dumps({"error": str(error), "code": error.code}).encode()
        except Exception:
            self._logger.exception(
                "A call of a script failed unexpectedly", extra={"event": "lua_call_failed", "run_id": order.run_id}
            )
            encoded = _error("the job service could not carry this out; its log says why")
        if len(encoded) > protocol.MAX_TO_WORKER_BYTES:
            encoded = _error(f"the answer is larger than {protocol.MAX_TO_WORKER_BYTES >> 20} MiB")
        return protocol.frame(protocol.REPLY, encoded)

    def _require(self, _: RunOrder, arguments: Sequence[Any]) -> str | None:
        path = arguments[0]
        if problem := path_problem(path):
            raise BrokerError(problem)
        return self._scripts.read(path)


def _error(message: str) -> bytes:
    return json.dumps({"error": message, "code": FAILED_CODE}).encode()
