"""Small scripts for tests."""

from __future__ import annotations


def script(body: str) -> str:
    """Return a whole script whose ``job.run`` has this body."""
    return f"local job = core.job()\nfunction job.run()\n{body}\nend\nreturn job\n"


OK = script("return job.OK")
SLEEP = script("return job.SLEEP")
STOP = script("return job.STOP")
EXIT = script("return job.EXIT")
