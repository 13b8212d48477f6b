"""Form fields that say in plain words what they accept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from wtforms import Form, IntegerField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from jobservice.domain.errors import InvalidInputError

Member = TypeVar("Member", bound=StrEnum)

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,12}\Z")


class WholeNumberField(IntegerField):
    """A whole number in ASCII digits, within a range.

    :param allowed: lowest and highest value.
    :param unit: what the number counts, in the plural.
    """

    def __init__(self, label: str, *, allowed: tuple[int, int], unit: str, **kwargs: object) -> None:
        super().__init__(label, **kwargs)
        self.allowed = allowed
        self.unit = unit

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the text; a wrong one keeps standing in the field."""
        if not valuelist:
            return
        text = valuelist[0].strip()
        low, high = self.allowed
        if not _WHOLE_NUMBER.match(text) or not low <= int(text) <= high:
            self.data = None
            raise ValueError(f"Enter a whole number of {self.unit} from {low} to {high:,}.")
        self.data = int(text)


class PolicyField(SelectField, Generic[Member]):
    """One member of an enum.

    :param labels: every member with the words for it, in the order shown.
    """

    def __init__(self, label: str, *, labels: Mapping[Member, str], **kwargs: object) -> None:
        choices = [SelectChoice(value=member.value, label=words) for member, words in labels.items()]
        super().__init__(label, choices=choices, **kwargs)
        self._members = {member.value: member for member in labels}

    def process_data(self, value: object) -> None:
        """Take the value that is stored."""
        self.data = None if value is None else str(value)

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the member's value."""
        if valuelist:
            self.data = valuelist[0]

    def pre_validate(self, form: Form) -> None:
        """Refuse what is not a member."""
        if self.data not in self._members:
            raise ValidationError(f"Choose one of: {', '.join(self._members)}.")

    @property
    def member(self) -> Member:
        """The chosen member; the first one while the choice is wrong."""
        return self._members.get(str(self.data)) or next(iter(self._members.values()))


def take_problems(form: Form, error: InvalidInputError) -> None:
    """Put the engine's sentences beside the fields that they are about.

    What is about no field of this form is shown above it.  A field that
    already says something keeps its own words.
    """
    for name, sentences in error.problems.items():
        if name not in form:
            form.form_errors = [*form.form_errors, *sentences]
        elif not form[name].errors:
            form[name].errors = list(sentences)
