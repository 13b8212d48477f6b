"""Which schedule texts are understood, and what a person reads when one is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.domain.errors import InvalidInputError
from jobservice.schedules import IntervalSchedule, parse_schedule


def problem_with(text: str) -> str:
    with pytest.raises(InvalidInputError) as refused:
        parse_schedule(text)
    ((field, sentences),) = refused.value.problems.items()
    assert field == "schedule"
    return " ".join(sentences)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("  120\n", 120),
        ("007", 7),
        ("every 30 seconds", 30),
        ("every 1 second", 1),
        ("every 5 minutes", 300),
        ("every minute", 60),
        ("every hour", 3_600),
        ("Every  2   HOURS", 7_200),
        ("every day", 86_400),
        ("every 2 weeks", 1_209_600),
    ],
)
def test_seconds_and_every_n_units_are_understood(text, seconds):
    assert parse_schedule(text) == IntervalSchedule(timedelta(seconds=seconds))


@pytest.mark.parametrize("text", ["1", "31536000", "every 365 days", "every 1 second"])
def test_an_interval_at_either_limit_is_accepted(text):
    assert parse_schedule(text).interval in {timedelta(seconds=1), timedelta(days=365)}


@pytest.mark.parametrize("text", ["0", "31536001", "every 0 minutes", "every 366 days", "every 53 weeks", "9" * 200])
def test_an_interval_past_a_limit_is_refused_with_both_limits(text):
    problem = problem_with(text)

    assert "1 second" in problem
    assert "31,536,000 seconds" in problem


@pytest.mark.parametrize("text", ["-5", "abc", "1.5", "+5", "1e3", "1_000", "5 minutes", "every", "every 5", "0x10"])
def test_what_is_not_understood_is_repeated_with_what_is_allowed(text):
    problem = problem_with(text)

    assert text in problem
    assert "such as 120" in problem
    assert "every 5 minutes" in problem


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_schedule_says_what_to_enter(text):
    assert "such as 120" in problem_with(text)


@pytest.mark.parametrize("unit", ["fortnights", "month", "ss", "s", "m"])
def test_an_unknown_unit_is_named_with_the_known_ones(unit):
    problem = problem_with(f"every 5 {unit}")

    assert f"“{unit}”" in problem
    assert "seconds, minutes, hours, days or weeks" in problem


@pytest.mark.parametrize(
    "text", ["١٢٠", "１２０", "every ٥ minutes", "²", "every 5 minuteſ", "every\u00a05 minutes", "12\x000"]
)
def test_digits_letters_and_spaces_of_other_scripts_are_not_understood(text):
    assert "not understood" in problem_with(text)


@pytest.mark.parametrize("text", ["9" * 10_000, "every " * 1_700, "every " + " " * 10_000 + "5 minutes", "x" * 201])
def test_a_text_that_is_too_long_is_refused_without_being_repeated(text):
    problem = problem_with(text)

    assert "at most 200 characters" in problem
    assert len(problem) < 300


@given(st.text())
def test_any_text_is_either_an_interval_within_the_limits_or_a_field_problem(text):
    try:
        interval = parse_schedule(text).interval
    except InvalidInputError as error:
        interval, problems = None, error.problems

    if interval is None:
        assert set(problems) == {"schedule"}
    else:
        assert timedelta(seconds=1) <= interval <= timedelta(days=365)


@given(st.integers(1, 31_536_000))
def test_words_say_what_was_parsed(seconds):
    schedule = parse_schedule(str(seconds))

    assert parse_schedule(schedule.words().replace(",", "")) == schedule
