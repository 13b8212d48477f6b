"""What the console says about the job service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobservice.read_models import PendingChange, ServiceState, ServiceStatus
from webmin.pages.badges import SERVICE_STATES, Badge


@dataclass(frozen=True, slots=True)
class ServicePanel:
    """The job service in one line.

    :ivar waiting: how many jobs wait for a reload.
    """

    status: ServiceStatus
    badge: Badge
    waiting: int

    @classmethod
    def of(cls, status: ServiceStatus, waiting: int) -> ServicePanel:
        """Return the line that shows ``status``."""
        return cls(status, SERVICE_STATES[status.state], waiting)

    @property
    def is_down(self) -> bool:
        """Whether nothing will run as things stand."""
        return self.status.state in {ServiceState.STOPPED, ServiceState.NEVER_STARTED}

    @property
    def is_reloading(self) -> bool:
        """Whether a reload is under way."""
        return self.status.state is ServiceState.RELOADING


@dataclass(frozen=True, slots=True)
class ReloadPage:
    """What a reload will change."""

    service: ServicePanel
    changes: Sequence[PendingChange]

    @property
    def hidden(self) -> int:
        """How many more jobs wait than are listed."""
        return max(0, self.service.waiting - len(self.changes))
