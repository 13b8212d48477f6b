"""What a browser sends for a filled form."""

from __future__ import annotations

from typing import Any

JOB = {
    "name": "Nightly",
    "path": "reports/nightly.lua",
    "schedule": "3600",
    "active": "y",
    "time_limit_s": "60",
    "memory_limit_mib": "64",
    "isolation": "pooled",
    "overlap": "skip",
    "misfire": "last",
    "misfire_grace_s": "60",
    "repeat_after_crash": "y",
    "description": "",
}


def job_form(**changes: Any) -> dict[str, Any]:
    """Return the fields of a job form; None leaves a field out, as an empty check box does."""
    return {name: value for name, value in (JOB | changes).items() if value is not None}
