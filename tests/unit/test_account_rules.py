"""Account names, passwords and roles."""

from __future__ import annotations

import pytest

from jobservice.domain.account import Role, check_account_name, check_password
from jobservice.domain.errors import InvalidInputError


def said(check, *arguments: object, **named: object) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refused:
        check(*arguments, **named)
    return {field: " ".join(sentences) for field, sentences in refused.value.problems.items()}


@pytest.mark.parametrize("name", ["a", "n" * 64, "Ana María", "services"])
def test_any_printable_line_up_to_64_characters_is_an_account_name(name):
    check_account_name(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Enter a name"),
        ("n" * 65, "at most 64 characters"),
        (" a", "without spaces at its ends"),
        ("a\n", "one line"),
        ("a\0b", "one line"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "one line"),
        ("service", "job service's own name"),
    ],
)
def test_a_name_that_misleads_is_refused(name, text):
    assert text in said(check_account_name, name)["name"]


@pytest.mark.parametrize("length", [12, 200])
def test_a_password_at_a_limit_passes(length):
    check_password(("correct horse " * 20)[:length])


@pytest.mark.parametrize("length", [0, 11, 201])
def test_a_password_past_a_limit_names_the_range_and_its_own_length_but_not_itself(length):
    password = ("correct horse " * 20)[:length]

    problem = said(check_password, password)["password"]

    assert "12 to 200 characters" in problem
    assert f"has {length}" in problem
    assert not password or password not in problem


def test_a_password_that_is_nearly_one_character_is_refused():
    assert "one character repeated" in said(check_password, "a" * 8 + "bcde")["password"]
    check_password("a" * 7 + "bcdef")


def test_a_password_problem_lands_on_the_named_field():
    assert set(said(check_password, "short", field="new")) == {"new"}


@pytest.mark.parametrize("role", Role)
def test_a_role_has_its_word(role):
    assert Role.from_word(role.value) is role


@pytest.mark.parametrize("word", ["", "root", "Admin", "viewer "])
def test_an_unknown_role_says_which_there_are(word):
    assert said(Role.from_word, word) == {"role": "A role is viewer, operator or admin."}
