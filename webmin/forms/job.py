"""The form that makes and changes a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, StringField, TextAreaField

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.job import (
    MEMORY_LIMIT_RANGE_MIB,
    MISFIRE_GRACE_RANGE_S,
    NAME_MAX_CHARS,
    PATH_MAX_CHARS,
    SCHEDULE_MAX_CHARS,
    TIME_LIMIT_RANGE_S,
    Isolation,
    JobDefinition,
    MisfirePolicy,
    OverlapPolicy,
    check_definition,
)
from webmin.forms.fields import PolicyField, WholeNumberField, take_problems

ISOLATION_LABELS = {
    Isolation.POOLED: "Shared worker, fresh state (fast)",
    Isolation.PROCESS: "A process of its own (strict)",
}
OVERLAP_LABELS = {
    OverlapPolicy.SKIP: "Skip this time",
    OverlapPolicy.QUEUE: "Wait until the run has ended",
    OverlapPolicy.ALLOW: "Run both at once",
}
MISFIRE_LABELS = {
    MisfirePolicy.LAST: "Run once, for the last one",
    MisfirePolicy.SKIP: "Skip them",
    MisfirePolicy.ALL: "Run once for each",
}


class JobForm(FlaskForm):
    """A job's definition as a person types it."""

    name = StringField(
        "Name",
        description=f"Unique, 1 to {NAME_MAX_CHARS} characters.",
        render_kw={"maxlength": NAME_MAX_CHARS, "required": True, "dir": "auto"},
    )
    path = StringField(
        "Path",
        description="The script’s file, such as reports/daily.lua: letters, digits, “_”, “-”, “.”, “/”; ends in .lua.",
        render_kw={"maxlength": PATH_MAX_CHARS, "required": True, "spellcheck": "false", "autocapitalize": "none"},
    )
    schedule = StringField(
        "Schedule",
        description="A number of seconds, such as 120, or words, such as “every 5 minutes”. "
        "The first run comes one interval after the reload.",
        render_kw={"maxlength": SCHEDULE_MAX_CHARS, "required": True, "autocapitalize": "none"},
    )
    run_once = BooleanField("Run Once", description="Run a single time after each start of the job service.")
    active = BooleanField(
        "Active", description="Off: the job is not loaded. Errors and EXIT turn it off.", default=True
    )
    time_limit_s = WholeNumberField(
        "Time limit",
        allowed=TIME_LIMIT_RANGE_S,
        unit="seconds",
        default=60,
        description="Seconds after which a run is ended; that counts as an error.",
    )
    memory_limit_mib = WholeNumberField(
        "Memory limit",
        allowed=MEMORY_LIMIT_RANGE_MIB,
        unit="MiB",
        default=64,
        description="MiB that a run may use.",
    )
    isolation = PolicyField(
        "Isolation", labels=ISOLATION_LABELS, default="pooled", description="Which process a run gets."
    )
    overlap = PolicyField(
        "When it overlaps",
        labels=OVERLAP_LABELS,
        default="skip",
        description="What happens when the next time comes before the last run has ended.",
    )
    misfire = PolicyField(
        "Missed fire times",
        labels=MISFIRE_LABELS,
        default="last",
        description="What happens with times that passed while nothing could run.",
    )
    misfire_grace_s = WholeNumberField(
        "Grace",
        allowed=MISFIRE_GRACE_RANGE_S,
        unit="seconds",
        default=60,
        description="Seconds that a start may be late before the time counts as missed.",
    )
    repeat_after_crash = BooleanField(
        "Repeat after a crash",
        default=True,
        description="Start a run again when the machine or the service died during it.",
    )
    description = TextAreaField(
        "Description", description="What the job is for.", render_kw={"rows": 3, "dir": "auto", "maxlength": 2000}
    )
    version = HiddenField()

    @classmethod
    def filled(cls, definition: JobDefinition, version: int) -> JobForm:
        """Return the form as it shows a stored job."""
        return cls(formdata=None, data={**definition.to_dict(), "version": version})

    @property
    def expected_version(self) -> int:
        """The version that the person saw.

        :raises InvalidInputError: somebody altered the hidden field.
        """
        text = str(self.version.data or "")
        if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004
            raise InvalidInputError({"version": ["The form is incomplete: reload the page and try again."]})
        return int(text)

    def definition(self) -> JobDefinition:
        """Return what was typed, with the usual value for each number that is no number."""
        return JobDefinition(
            name=self.name.data or "",
            path=self.path.data or "",
            schedule=self.schedule.data or "",
            run_once=self.run_once.data,
            active=self.active.data,
            time_limit_s=_or_default(self.time_limit_s),
            memory_limit_mib=_or_default(self.memory_limit_mib),
            isolation=self.isolation.member,
            overlap=self.overlap.member,
            misfire=self.misfire.member,
            misfire_grace_s=_or_default(self.misfire_grace_s),
            repeat_after_crash=self.repeat_after_crash.data,
            description=(self.description.data or "").replace("\r\n", "\n"),
        ).cleaned()

    def is_sound(self, explain_schedule: Callable[[str], str]) -> bool:
        """Check every field at once; the sentences stand at the fields afterwards."""
        sound = bool(self.validate())
        definition = self.definition()
        for check in (lambda: check_definition(definition), lambda: explain_schedule(definition.schedule)):
            try:
                check()
            except InvalidInputError as error:
                take_problems(self, error)
                sound = False
        return sound


def _or_default(field: WholeNumberField) -> int:
    value: Any = field.default if field.data is None else field.data
    return int(value)
