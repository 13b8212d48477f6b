"""What a script returns decides how its run ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from jobservice.domain.run import Outcome

if TYPE_CHECKING:
    from tests.integration.lua.conftest import PoolRig

ALLOWED = "Return job.OK, job.SLEEP, job.STOP or job.EXIT."


@pytest.mark.parametrize("name", ["OK", "SLEEP", "STOP", "EXIT"])
def test_each_constant_is_its_outcome(rig: PoolRig, name: str) -> None:
    result = rig.run_body(f"return job.{name}")
    assert (result.outcome, result.error) == (Outcome(name.lower()), None)


def test_constants_of_two_job_objects_are_the_same(rig: PoolRig) -> None:
    assert rig.run_body("return core.job().STOP").outcome is Outcome.STOP


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", f"job.run() returned nothing. {ALLOWED}"),
        ("return", f"job.run() returned nothing. {ALLOWED}"),
        ("return true", f"job.run() returned the boolean true. {ALLOWED}"),
        ("return false", f"job.run() returned the boolean false. {ALLOWED}"),
        ("return 'OK'", f'job.run() returned the string "OK". {ALLOWED}'),
        ("return 1", f"job.run() returned the number 1. {ALLOWED}"),
        ("return {}", f"job.run() returned a table. {ALLOWED}"),
        ("return print", f"job.run() returned a function. {ALLOWED}"),
        ("return ('x'):rep(60)", f'job.run() returned the string "{"x" * 40}".... {ALLOWED}'),
        (
            "return job.DONE",
            f"job.run() returned nil; a constant that does not exist, such as job.DONE, is nil. {ALLOWED}",
        ),
    ],
)
def test_any_other_return_fails_and_names_what_came(rig: PoolRig, body: str, message: str) -> None:
    result = rig.run_body(body)
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert (result.error.message, result.error.script, result.error.line) == (message, "reports/x.lua", 2)


def test_core_error_is_not_a_return_value(rig: PoolRig) -> None:
    result = rig.run_body('return core.error("x")')
    assert result.error is not None
    assert result.error.message == "core.error is not available in jobs"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("local job = core.job()", "The script does not return its job. End the file with: return job"),
        ("return nil", "The script does not return its job. End the file with: return job"),
        ("return 5", "The script returned the number 5 instead of its job. End the file with: return job"),
        (
            "return core.job()",
            "The job has no run function. Define function job.run() ... end before return job.",
        ),
        ("local job = core.job() job.run = 7 return job", "job.run must be a function; it is the number 7."),
    ],
)
def test_file_without_a_job_to_run_fails_in_its_own_words(rig: PoolRig, source: str, message: str) -> None:
    result = rig.run_source(source)
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert (result.error.message, result.error.script) == (message, "reports/x.lua")


def test_missing_script_fails_as_not_found(rig: PoolRig) -> None:
    result = rig.run_source(None)
    assert result.outcome is Outcome.FAILED
    assert str(result.error) == "reports/x.lua: script reports/x.lua was not found"


@pytest.mark.parametrize(
    ("value", "sleep"),
    [
        ("600", timedelta(seconds=600)),
        ("0.25", timedelta(seconds=1)),
        ("-5", timedelta(seconds=1)),
        ("1/0", timedelta(days=365)),
        ("1e12", timedelta(days=365)),
        ("0/0", None),
        ("{}", None),
        ("nil", None),
    ],
)
def test_sleep_is_clamped_and_what_is_no_number_means_the_usual(
    rig: PoolRig, value: str, sleep: timedelta | None
) -> None:
    result = rig.run_body(f"return job.SLEEP, {value}")
    assert (result.outcome, result.sleep) == (Outcome.SLEEP, sleep)


def test_text_beside_the_status_is_the_note(rig: PoolRig) -> None:
    assert rig.run_body('return job.OK, "17 rows – fine"').note == "17 rows – fine"


def test_sleep_takes_seconds_and_a_note(rig: PoolRig) -> None:
    result = rig.run_body('return job.SLEEP, 60, "later"')
    assert (result.sleep, result.note) == (timedelta(minutes=1), "later")


def test_note_has_at_most_500_characters(rig: PoolRig) -> None:
    assert len(rig.run_body('return job.OK, ("é"):rep(900)').note) == 500


@pytest.mark.parametrize("extra", ["42", "{}", "print", "nil, nil", "true"])
def test_extra_that_is_no_text_is_ignored(rig: PoolRig, extra: str) -> None:
    result = rig.run_body(f"return job.OK, {extra}")
    assert (result.outcome, result.note, result.sleep) == (Outcome.OK, "", None)


def test_error_caught_by_the_script_is_no_failure(rig: PoolRig) -> None:
    assert rig.run_body('pcall(error, "boom") return job.OK').outcome is Outcome.OK


def test_failing_run_does_not_disturb_others(rig: PoolRig) -> None:
    rig.run_body('error("boom")')
    assert rig.run_body("return job.OK").outcome is Outcome.OK
