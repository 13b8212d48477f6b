"""What the log looks like: one line an event, with its facts at the end."""

from __future__ import annotations

import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FactsFormatter(logging.Formatter):
    """Adds the facts that came with an event: ``… Reloaded [event=reloaded jobs=3]``."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        facts = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD)
        line = super().formatMessage(record)
        return f"{line} [{facts}]" if facts else line


def start_logging(level: str) -> None:
    """Log to standard error from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FactsFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It warns whenever a step takes longer than its interval, which is no news under load.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
