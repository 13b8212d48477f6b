"""Pages about jobs: each dataclass is one template's whole context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobservice.domain.job import JobStatus
from jobservice.domain.run import CRITICAL_OUTCOMES, RunError
from jobservice.read_models import DeletionPreview, FieldChange, JobPage, JobRow, JobView, RunPage, RunRow
from webmin.forms.job import JobForm
from webmin.pages.badges import CAUSES, JOB_STATUSES, OUTCOMES, Badge, run_badge
from webmin.pages.definitions import Difference, facts_of
from webmin.pages.service import ServicePanel

_NEW_HINT = "New: it runs after the next reload."
_CHANGED_HINT = "Changed: the service still works from the old definition until the next reload."


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in the list."""

    row: JobRow
    status: Badge
    last: Badge | None
    pending_word: str
    pending_hint: str

    @classmethod
    def of(cls, row: JobRow) -> JobLine:
        """Return the line that shows ``row``."""
        return cls(
            row=row,
            status=JOB_STATUSES[row.status],
            last=OUTCOMES[row.last_outcome] if row.last_outcome else None,
            pending_word={"new": "new", "changed": "changed"}.get(row.pending or "", ""),
            pending_hint=_NEW_HINT if row.pending == "new" else _CHANGED_HINT,
        )


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What the list is narrowed to, as it stands in the URL."""

    search: str
    status: JobStatus | None
    after: str | None

    @property
    def is_set(self) -> bool:
        """Whether jobs may be hidden by it."""
        return bool(self.search) or self.status is not None

    def url_values(self, after: str | None = None) -> dict[str, str]:
        """Return the URL parameters of this filter, from ``after`` on."""
        values = {"search": self.search, "status": self.status.value if self.status else "", "after": after or ""}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class JobListPage:
    """The list of jobs."""

    filter: JobFilter
    lines: Sequence[JobLine]
    total: int
    next_values: dict[str, str] | None
    service: ServicePanel
    here: str

    @classmethod
    def of(cls, jobs: JobPage, chosen: JobFilter, service: ServicePanel, here: str) -> JobListPage:
        """Return the page that shows ``jobs``.

        :param here: the page's own path and query, to come back to.
        """
        return cls(
            filter=chosen,
            lines=[JobLine.of(row) for row in jobs.rows],
            total=jobs.total,
            next_values=chosen.url_values(jobs.next_after) if jobs.next_after else None,
            service=service,
            here=here,
        )

    @property
    def statuses(self) -> Sequence[tuple[str, str]]:
        """The choices of the status filter."""
        return [("", "Any status"), *((status.value, badge.word) for status, badge in JOB_STATUSES.items())]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a history."""

    row: RunRow
    badge: Badge
    cause: str

    @classmethod
    def of(cls, row: RunRow) -> RunLine:
        """Return the line that shows ``row``."""
        return cls(row, run_badge(row), CAUSES[row.cause])


@dataclass(frozen=True, slots=True)
class JobShowPage:
    """One job: facts, what waits, history."""

    job: JobView
    status: Badge
    facts: Sequence[tuple[str, str]]
    changes: Sequence[FieldChange]
    runs: Sequence[RunLine]
    older: str | None
    is_newest: bool
    service: ServicePanel
    here: str

    @property
    def runs_well_again(self) -> bool:
        """Whether the last error is history: the job is active, and its last run was no failure."""
        row = self.job.row
        return row.status is not JobStatus.INACTIVE and row.last_outcome not in CRITICAL_OUTCOMES

    @classmethod
    def of(cls, job: JobView, runs: RunPage, service: ServicePanel, *, is_newest: bool, here: str) -> JobShowPage:
        """Return the page that shows ``job`` with part of its history."""
        return cls(
            job=job,
            status=JOB_STATUSES[job.row.status],
            facts=facts_of(job.definition),
            changes=job.changes,
            runs=[RunLine.of(row) for row in runs.rows],
            older=runs.next_before,
            is_newest=is_newest,
            service=service,
            here=here,
        )


@dataclass(frozen=True, slots=True)
class JobFormPage:
    """The form that makes a job (``job`` is None) or changes one.

    :ivar conflict: what somebody else saved meanwhile, in words, or "".
    """

    form: JobForm
    job: JobView | None = None
    conflict: str = ""
    differences: Sequence[Difference] = ()

    @property
    def is_refused(self) -> bool:
        """Whether what was typed is not stored."""
        return bool(self.conflict or self.form.errors)

    @property
    def last_error(self) -> RunError | None:
        """What went wrong in the job's last failed run."""
        return self.job.row.last_error if self.job else None


@dataclass(frozen=True, slots=True)
class JobDeletePage:
    """Asks before a job goes."""

    job: JobView
    preview: DeletionPreview

    @property
    def runs_words(self) -> str:
        """How many runs go, in words."""
        if self.preview.runs >= self.preview.runs_counted_to:
            return f"{self.preview.runs_counted_to:,} or more runs"
        return f"{self.preview.runs:,} run{'' if self.preview.runs == 1 else 's'}"
