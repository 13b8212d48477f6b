"""A job's definition: what a person writes down, and what is allowed in it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, NewType, Self

from jobservice.domain.errors import InvalidInputError

JobId = NewType("JobId", int)

NAME_MAX_CHARS = 64
PATH_MAX_CHARS = 200
DESCRIPTION_MAX_CHARS = 2000
SCHEDULE_MAX_CHARS = 200
TIME_LIMIT_RANGE_S = (1, 86_400)
MEMORY_LIMIT_RANGE_MIB = (4, 512)
MISFIRE_GRACE_RANGE_S = (1, 86_400)

_PATH_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\Z")


class OverlapPolicy(StrEnum):
    """What happens to a fire time that comes while the job still runs."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class MisfirePolicy(StrEnum):
    """What happens to fire times that passed while nobody could start them."""

    LAST = "last"
    SKIP = "skip"
    ALL = "all"


class Isolation(StrEnum):
    """Which process a run gets: one from the pool, or one of its own that ends with it."""

    POOLED = "pooled"
    PROCESS = "process"


class JobStatus(StrEnum):
    """The six statuses that the console shows."""

    OK = "ok"
    SLEEPING = "sleeping"
    STOPPED = "stopped"
    INACTIVE = "inactive"
    ONCE_PENDING = "once_pending"
    ONCE_DONE = "once_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """What a person defines about one job."""

    name: str
    path: str
    schedule: str
    run_once: bool = False
    active: bool = True
    time_limit_s: int = 60
    memory_limit_mib: int = 64
    isolation: Isolation = Isolation.POOLED
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    misfire: MisfirePolicy = MisfirePolicy.LAST
    misfire_grace_s: int = 60
    repeat_after_crash: bool = True
    description: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the definition stored as ``values``; keys that this release does not know are ignored."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        kept["isolation"] = Isolation(kept.get("isolation", Isolation.POOLED))
        kept["overlap"] = OverlapPolicy(kept.get("overlap", OverlapPolicy.SKIP))
        kept["misfire"] = MisfirePolicy(kept.get("misfire", MisfirePolicy.LAST))
        return cls(**kept)

    def cleaned(self) -> Self:
        """Return the definition with the white space around its texts removed."""
        return replace(
            self,
            name=self.name.strip(),
            path=self.path.strip(),
            schedule=self.schedule.strip(),
            description=self.description.strip(),
        )


def path_problem(path: str) -> str | None:
    """Say what is wrong with a script path, or None.

    A path is relative, ends in ``.lua`` and is made of ASCII letters, digits,
    ``_``, ``-``, ``.`` and ``/``, so that no look-alike letter and no ``..``
    can name another script.
    """
    if not path:
        return "Enter a path such as reports/daily.lua."
    if len(path) > PATH_MAX_CHARS:
        return f"A path has at most {PATH_MAX_CHARS} characters; this one has {len(path)}."
    if path.startswith("/"):
        return "A path is relative: leave out the leading slash."
    if not path.endswith(".lua"):
        return "A path must end in .lua, as in reports/daily.lua."
    return next((problem for part in path.split("/") if (problem := _part_problem(part))), None)


def _part_problem(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return "A path may not contain empty parts, “.” or “..”."
    if part == ".lua" or not _PATH_SEGMENT.match(part):
        return (
            f"“{part}” is not allowed: use letters, digits, “_”, “-” and “.”, "
            "and begin each part with a letter, digit, “_” or “-”."
        )
    return None


def check_definition(definition: JobDefinition) -> None:
    """Check every field but the schedule's language.

    :raises InvalidInputError: with all problems at once.
    """
    problems: dict[str, list[str]] = {}
    if not definition.name:
        problems["name"] = ["Enter a name."]
    elif len(definition.name) > NAME_MAX_CHARS:
        problems["name"] = [f"A name has at most {NAME_MAX_CHARS} characters; this one has {len(definition.name)}."]
    elif not definition.name.isprintable():
        problems["name"] = ["A name is one line of printable characters."]
    if problem := path_problem(definition.path):
        problems["path"] = [problem]
    if len(definition.description) > DESCRIPTION_MAX_CHARS:
        problems["description"] = [f"A description has at most {DESCRIPTION_MAX_CHARS:,} characters."]
    elif "\0" in definition.description:
        problems["description"] = ["A description may not contain NUL characters."]
    elif not _is_text(definition.description):
        problems["description"] = ["The description holds characters that are not valid text."]
    _check_range(problems, "time_limit_s", definition.time_limit_s, TIME_LIMIT_RANGE_S, "seconds")
    _check_range(problems, "memory_limit_mib", definition.memory_limit_mib, MEMORY_LIMIT_RANGE_MIB, "MiB")
    _check_range(problems, "misfire_grace_s", definition.misfire_grace_s, MISFIRE_GRACE_RANGE_S, "seconds")
    if problems:
        raise InvalidInputError(problems)


def _is_text(value: str) -> bool:
    """Return whether a database can store it: JSON may carry lone surrogates, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_range(problems: dict[str, list[str]], field: str, value: int, allowed: tuple[int, int], unit: str) -> None:
    low, high = allowed
    if not low <= value <= high:
        problems[field] = [f"Enter a whole number of {unit} from {low} to {high:,}."]
