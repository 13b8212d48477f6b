"""``job.day`` and its kin follow the run's own time (conformance table 6.5)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support import lua
from tests.support.moontide import Moontide


@pytest.mark.parametrize(
    ("instant", "expression", "printed"),
    [
        (datetime(2024, 1, 4, 12, tzinfo=UTC), "job.day(), job.dayNum()", "Thu\t4"),
        (datetime(2024, 1, 7, 12, tzinfo=UTC), "job.day(), job.dayNum(), job.weekNum()", "Sun\t7\t1"),
        (datetime(2024, 1, 8, 12, tzinfo=UTC), "job.dayNum(), job.weekNum()", "1\t2"),
        (
            datetime(2025, 1, 1, 12, tzinfo=UTC),
            "job.weekNum(), job.month(), job.monthNum(), job.dayMonth()",
            "0\tJan\t1\t1",
        ),
        (datetime(2024, 10, 10, 12, tzinfo=UTC), "job.month(), job.monthNum(), job.weekNum()", "Oct\t10\t41"),
        (
            datetime(2024, 3, 1, 9, 5, tzinfo=UTC),
            'job.hour(), job.minute(), type(job.hour()), job.minute() == "05"',
            "9\t5\tnumber\tfalse",
        ),
        (datetime(2024, 7, 1, 22, 30, tzinfo=UTC), "job.hour(), job.hour(true)", "22\t0"),
        (datetime(2024, 7, 1, 22, 30, tzinfo=UTC), "job.day(), job.day(true)", "Mon\tTue"),
        (datetime(2024, 7, 1, 22, 30, tzinfo=UTC), "job.hour(false), job.hour(nil)", "22\t22"),
    ],
)
def test_helper_follows_the_time_of_the_run(
    moontide: Moontide, instant: datetime, expression: str, printed: str
) -> None:
    job_id = moontide.add_job(lua.script(f"print({expression}) return job.OK"), schedule="every day")
    moontide.clock.move_to(instant)

    run_id = moontide.service.run_now(job_id, by="alice")
    moontide.step()

    assert printed + "\n" in moontide.log(run_id)
