"""What an error page says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """One failed request.

    :ivar happened: what went wrong, in a sentence.
    :ivar details: more sentences, such as one per wrong parameter.
    :ivar advice: what the person can do.
    :ivar back_url: where to go on.
    """

    status: int
    title: str
    happened: str
    advice: str
    details: Sequence[str] = ()
    back_url: str = "/"
    back_label: str = "Go to the jobs"
