"""The form behind the editor."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField

from jobservice.domain.errors import InvalidInputError


class ScriptForm(FlaskForm):
    """A script's source, and the revision that it was made from."""

    source = TextAreaField("Lua source")
    revision = HiddenField()

    @property
    def text(self) -> str:
        """The source with line feeds alone; browsers send CRLF."""
        return (self.source.data or "").replace("\r\n", "\n").replace("\r", "\n")

    @property
    def expected_revision(self) -> int | None:
        """The revision that the person saw; None for a script that did not exist.

        :raises InvalidInputError: somebody altered the hidden field.
        """
        text = str(self.revision.data or "")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004
            raise InvalidInputError({"revision": ["Reload the page and try again; copy your text first."]})
        return int(text)
