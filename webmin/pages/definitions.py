"""A job's fields as a person reads them: names, values, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobservice.domain.job import JobDefinition
from webmin.forms.job import ISOLATION_LABELS, MISFIRE_LABELS, OVERLAP_LABELS

_LABELS = {
    "name": "Name",
    "path": "Path",
    "schedule": "Schedule",
    "run_once": "Run Once",
    "active": "Active",
    "time_limit_s": "Time limit",
    "memory_limit_mib": "Memory limit",
    "isolation": "Isolation",
    "overlap": "When it overlaps",
    "misfire": "Missed fire times",
    "misfire_grace_s": "Grace",
    "repeat_after_crash": "Repeat after a crash",
    "description": "Description",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that somebody else changed while a form was open."""

    label: str
    theirs: str
    yours: str


def facts_of(definition: JobDefinition) -> Sequence[tuple[str, str]]:
    """Return a definition's limits and policies as labels and words."""
    names = (
        "time_limit_s",
        "memory_limit_mib",
        "isolation",
        "overlap",
        "misfire",
        "misfire_grace_s",
        "repeat_after_crash",
    )
    return [(_LABELS[name], in_words(name, getattr(definition, name))) for name in names]


def in_words(name: str, value: object) -> str:
    """Return one field's value as a person reads it."""
    labels: dict[str, Mapping[str, str]] = {
        "isolation": _by_value(ISOLATION_LABELS),
        "overlap": _by_value(OVERLAP_LABELS),
        "misfire": _by_value(MISFIRE_LABELS),
    }
    if name in labels:
        return labels[name][str(value)]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_s"):
        return f"{value} s"
    return f"{value} MiB" if name.endswith("_mib") else str(value)


def _by_value(labels: Mapping[Any, str]) -> Mapping[str, str]:
    return {str(member): words for member, words in labels.items()}


def differences(theirs: JobDefinition, yours: JobDefinition) -> Sequence[Difference]:
    """Return the fields in which a stored definition and a typed one differ."""
    stored, typed = theirs.to_dict(), yours.to_dict()
    return [
        Difference(label, in_words(name, stored[name]), in_words(name, typed[name]))
        for name, label in _LABELS.items()
        if stored[name] != typed[name]
    ]
