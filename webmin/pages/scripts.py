"""The editor's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobservice.domain.job import JobId
from jobservice.ports import ScriptProblem
from jobservice.read_models import RevisionRow, ScriptView
from webmin.forms.script import ScriptForm


@dataclass(frozen=True, slots=True)
class EditorParts:
    """What the browser needs to load the editor.

    :ivar probe: one file on the CDN that shows whether it can be reached.
    :ivar cdn_map: import map for the CDN; ``own_map`` for the vendored copies.
    """

    probe: str
    cdn_map: Mapping[str, Any]
    own_map: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptPage:
    """A script in the editor.

    :ivar script: as stored; None when nothing is stored under the path yet.
    :ivar source: what stands in the text area.
    :ivar line: the line to jump to, or None.
    :ivar conflict: what happened when somebody else saved first, or "".
    :ivar stored_source: with a conflict, what is stored now.
    """

    path: str
    script: ScriptView | None
    form: ScriptForm
    source: str
    editable: bool
    parts: EditorParts
    revisions: Sequence[RevisionRow] = ()
    problems: Sequence[ScriptProblem] = ()
    line: int | None = None
    conflict: str = ""
    stored_source: str = ""
    used_by: Mapping[JobId, str] = field(default_factory=dict)

    @property
    def refusals(self) -> Sequence[str]:
        """Why the last save did not work, one sentence each."""
        return [sentence for sentences in self.form.errors.values() for sentence in sentences]

    @property
    def is_refused(self) -> bool:
        """Whether what stands in the editor is not stored."""
        return bool(self.conflict or self.refusals)
