"""What a job's definition may hold (reference: form cases F2 and F3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.domain.errors import InvalidInputError
from jobservice.domain.job import (
    Isolation,
    JobDefinition,
    MisfirePolicy,
    OverlapPolicy,
    check_definition,
    path_problem,
)

GOOD = JobDefinition(name="Nightly", path="reports/nightly.lua", schedule="3600")


def problems_of(**changes: object) -> dict[str, str]:
    try:
        check_definition(replace(GOOD, **changes))  # type: ignore[arg-type]
    except InvalidInputError as error:
        return {field: " ".join(sentences) for field, sentences in error.problems.items()}
    return {}


def test_a_sound_definition_passes():
    assert problems_of() == {}


@pytest.mark.parametrize(
    "path",
    [
        "a.lua",
        "admin/x.lua",
        "a/b/c/d.lua",
        "-x.lua",
        "_.lua",
        "0.lua",
        "v1.2/job.lua",
        "a..lua",
        "a.lua.lua",
        "A-Z_9.lua",
    ],
)
def test_relative_paths_of_plain_ascii_are_accepted(path):
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "such as reports/daily.lua"),
        ("/etc/x.lua", "leave out the leading slash"),
        ("x.txt", "must end in .lua"),
        ("x", "must end in .lua"),
        ("x.LUA", "must end in .lua"),
        ("x.lua/", "must end in .lua"),
        ("x.lua\n", "must end in .lua"),
        ("../x.lua", "“..”"),
        ("a/../x.lua", "“..”"),
        ("a/./x.lua", "“.”"),
        ("a//x.lua", "empty parts"),
        (".lua", "“.lua” is not allowed"),
        ("a/.lua", "“.lua” is not allowed"),
        (".hidden/x.lua", "“.hidden” is not allowed"),
        ("a b.lua", "“a b.lua” is not allowed"),
        ("a\\b.lua", "is not allowed"),
        ("a\0.lua", "is not allowed"),
        ("a\n.lua", "is not allowed"),
        ("a\n/x.lua", "is not allowed"),
        ("\N{CYRILLIC SMALL LETTER A}dmin.lua", "is not allowed"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}.lua", "is not allowed"),
        ("x\N{ZERO WIDTH SPACE}.lua", "is not allowed"),
        ("a\N{DIVISION SLASH}b.lua", "is not allowed"),
        ("\N{ARABIC-INDIC DIGIT ONE}.lua", "is not allowed"),
        ("~root/x.lua", "is not allowed"),
        ("C:x.lua", "is not allowed"),
        ("%2e%2e/x.lua", "is not allowed"),
    ],
)
def test_a_path_that_could_name_another_file_is_refused_and_says_why(path, said):
    assert said in problems_of(path=path)["path"]


def test_a_path_of_200_characters_passes_and_one_of_201_does_not():
    assert path_problem("a" * 196 + ".lua") is None
    assert "at most 200 characters; this one has 201" in str(path_problem("a" * 197 + ".lua"))


@given(st.text())
def test_an_accepted_path_stays_below_its_root(path):
    if path_problem(path) is None:
        assert path.isascii()
        assert not path.startswith("/")
        assert path.endswith(".lua")
        assert not {"", ".", ".."} & set(path.split("/"))


@pytest.mark.parametrize("name", ["x", "n" * 64, "Żółw 🐢", "a/b %_'\"<&>"])
def test_any_printable_line_up_to_64_characters_is_a_name(name):
    assert problems_of(name=name) == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Enter a name"),
        ("n" * 65, "at most 64 characters; this one has 65"),
        ("a\nb", "printable"),
        ("a\0b", "printable"),
        ("a\x1b[31m", "printable"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "printable"),
        ("a\N{ZERO WIDTH SPACE}b", "printable"),
        ("\ud800", "printable"),
    ],
)
def test_a_name_that_deceives_or_does_not_fit_is_refused(name, said):
    assert said in problems_of(name=name)["name"]


def test_a_name_of_white_space_is_empty_once_cleaned():
    cleaned = replace(GOOD, name=" \t ", path=" a.lua ", schedule=" 60\n", description=" x ").cleaned()

    assert (cleaned.name, cleaned.path, cleaned.schedule, cleaned.description) == ("", "a.lua", "60", "x")


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("time_limit_s", 1, 86_400), ("memory_limit_mib", 4, 512), ("misfire_grace_s", 1, 86_400)],
)
def test_a_number_at_a_limit_passes_and_one_past_it_names_the_range(field, low, high):
    assert problems_of(**{field: low}) == {}
    assert problems_of(**{field: high}) == {}
    for wrong in (low - 1, high + 1, -5):
        assert f"from {low} to {high:,}" in problems_of(**{field: wrong})[field]


@pytest.mark.parametrize("description", ["", "d" * 2_000, "lines\nand\ttabs 🐢"])
def test_a_description_of_up_to_2000_characters_passes(description):
    assert problems_of(description=description) == {}


@pytest.mark.parametrize(
    ("description", "said"),
    [("d" * 2_001, "at most 2,000 characters"), ("a\0b", "NUL"), ("a\ud800b", "not valid text")],
)
def test_a_description_that_no_database_can_hold_is_refused(description, said):
    assert said in problems_of(description=description)["description"]


def test_all_problems_are_reported_at_once():
    problems = problems_of(name="", path="", description="\0", time_limit_s=0, memory_limit_mib=0, misfire_grace_s=0)

    assert set(problems) == {
        "name",
        "path",
        "description",
        "time_limit_s",
        "memory_limit_mib",
        "misfire_grace_s",
    }


def test_a_definition_survives_its_json_form():
    definition = replace(
        GOOD, isolation=Isolation.PROCESS, overlap=OverlapPolicy.QUEUE, misfire=MisfirePolicy.ALL, run_once=True
    )

    assert JobDefinition.from_dict(definition.to_dict()) == definition


def test_a_stored_definition_of_another_release_is_read_with_defaults_and_without_unknown_keys():
    stored = {"name": "a", "path": "a.lua", "schedule": "60", "colour": "red"}

    assert JobDefinition.from_dict(stored) == JobDefinition(name="a", path="a.lua", schedule="60")
