"""Settings: each wrong one is named with what is allowed, all of them at once."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from jobservice.domain.errors import SettingsError
from jobservice.settings import Settings


def problems_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({f"MOONTIDE_{name}": value for name, value in variables.items()})
    return list(refused.value.problems)


def read(**variables: str) -> Settings:
    return Settings.from_environment({f"MOONTIDE_{name}": value for name, value in variables.items()})


def test_no_variable_at_all_gives_working_defaults():
    settings = Settings.from_environment({})

    assert settings.data_dir == Path("var")
    assert settings.database_url == "sqlite:///var/moontide.db"
    assert settings.is_sqlite
    assert settings.is_loopback_only
    assert settings.lua_workers == (os.cpu_count() or 1) + 1
    assert settings.stop_grace == timedelta(seconds=10)


def test_the_database_and_the_socket_follow_the_data_folder():
    settings = read(DATA_DIR="/srv/moontide")

    assert settings.database_url == "sqlite:////srv/moontide/moontide.db"
    assert settings.control_socket == Path("/srv/moontide/service.sock")


def test_variables_of_other_programs_are_not_our_business():
    Settings.from_environment({"PATH": "/bin", "MOON_PHASE": "full", "DATABASE_URL": "nonsense"})


WRONG = [
    ("DATA_DIR", " ", "path of a folder"),
    ("BIND_HOST", "example.org", "IP address"),
    ("BIND_HOST", "", "IP address"),
    ("BIND_PORT", "0", "from 1 to 65,535"),
    ("BIND_PORT", "65536", "from 1 to 65,535"),
    ("BIND_PORT", "http", "from 1 to 65,535"),
    ("PUBLIC_URL", "jobs.example.org", "such as https://jobs.example.org"),
    ("PUBLIC_URL", "https://", "such as https://jobs.example.org"),
    ("PUBLIC_URL", "javascript:alert(1)", "such as https://jobs.example.org"),
    ("TRUSTED_PROXIES", "-1", "from 0 to 10"),
    ("TRUSTED_PROXIES", "11", "from 0 to 10"),
    ("SECURE_COOKIES", "maybe", "true or false"),
    ("SESSION_IDLE_MINUTES", "0", "from 1 to 43,200"),
    ("SESSION_IDLE_MINUTES", "43201", "from 1 to 43,200"),
    ("SESSION_ABSOLUTE_HOURS", "8761", "from 1 to 8,760"),
    ("TIMEZONE", "Europe/Atlantis", "such as Europe/Vienna"),
    ("TIMEZONE", "../../etc/passwd", "such as Europe/Vienna"),
    ("TIMEZONE", "Europe", "such as Europe/Vienna"),
    ("APPLY_CHANGES_AT_ONCE", "", "true or false"),
    ("LUA_WORKERS", "0", "from 1 to 64"),
    ("LUA_WORKERS", "65", "from 1 to 64"),
    ("LUA_WORKERS_MAX", "257", "from 1 to 256"),
    ("STOP_GRACE_SECONDS", "3601", "from 0 to 3,600"),
    ("STOP_GRACE_SECONDS", "1.5", "from 0 to 3,600"),
    ("HISTORY_DAYS", "0", "from 1 to 3,650"),
    ("HISTORY_RUNS_PER_JOB", "9", "from 10 to 10,000,000"),
    ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_wrong_value_is_named_and_repeated_with_what_is_allowed(name, value, allowed):
    (problem,) = problems_of(**{name: value})

    assert problem.startswith(f"MOONTIDE_{name} is {value!r}: ")
    assert allowed in problem


def test_every_setting_with_a_rule_is_refused_somewhere_above():
    without_rule = {"database_url"}  # Its own tests are below.

    assert {name.lower() for name, _, _ in WRONG} | without_rule == set(Settings.__dataclass_fields__)


def test_all_problems_are_told_at_once():
    problems = problems_of(BIND_PORT="x", TIMEZONE="x", LOG_LEVEL="x", TYPO="x")

    assert len(problems) == 4


def test_the_message_holds_one_line_for_each_problem():
    error = SettingsError(problems_of(BIND_PORT="x", LOG_LEVEL="x"))

    assert str(error).count("\n  - MOONTIDE_") == 2


def test_an_unknown_variable_is_a_problem_since_it_is_most_likely_a_typing_error():
    assert problems_of(BIND_PROT="1") == ["MOONTIDE_BIND_PROT is not a setting. docs/settings.md lists them all."]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False)]
)
def test_a_switch_understands_common_words(text, value):
    assert read(SECURE_COOKIES=text).secure_cookies is value


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback_is_recognised(host, loopback):
    assert read(BIND_HOST=host).is_loopback_only is loopback


def test_public_url_loses_its_trailing_slash():
    assert read(PUBLIC_URL="https://jobs.example.org/").public_url == "https://jobs.example.org"


def test_fewer_workers_at_most_than_at_rest_is_refused_and_a_default_gives_way():
    (problem,) = problems_of(LUA_WORKERS="8", LUA_WORKERS_MAX="4")

    assert "MOONTIDE_LUA_WORKERS_MAX is 4" in problem
    assert "at least MOONTIDE_LUA_WORKERS, which is 8" in problem
    assert read(LUA_WORKERS="32").lua_workers_max == 32


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("postgresql://u:p@host/db", "postgresql+psycopg://u:p@host/db"),
        ("postgresql+psycopg://host:5433/db", "postgresql+psycopg://host:5433/db"),
        ("postgresql:///db?host=/run", "postgresql+psycopg:///db?host=/run"),
        ("postgresql://u:p[/:w@[::1]:5432/db", "postgresql+psycopg://u:p[/:w@[::1]:5432/db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("sqlite:///var/a.db", "sqlite:///var/a.db"),
    ],
)
def test_database_urls_of_both_kinds_are_understood(text, url):
    assert read(DATABASE_URL=text).database_url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mysql://u:hunter2@host/db",
        "postgres:u:hunter2@host",
        "postgresql://",
        "postgresql://u:hunter2@host:port/db",
        "postgresql://u:hunter2@host:99999/db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "hunter2",
    ],
)
def test_a_wrong_database_url_is_refused_without_repeating_its_password(text):
    (problem,) = problems_of(DATABASE_URL=text)

    assert problem.startswith("MOONTIDE_DATABASE_URL is not understood: ")
    assert "sqlite:///path/to/file.db or postgresql://" in problem
    assert "hunter2" not in problem


def test_settings_that_are_printed_or_logged_do_not_show_the_database_password():
    settings = read(DATABASE_URL="postgresql://u:hunter2@host/db")

    assert "hunter2" not in repr(settings)


def test_a_value_may_come_from_a_file(tmp_path):
    (tmp_path / "url").write_text("postgresql://u:hunter2@host/db\n")

    assert read(DATABASE_URL_FILE=str(tmp_path / "url")).database_url == "postgresql+psycopg://u:hunter2@host/db"


def test_a_wrong_value_from_a_file_is_refused_like_any_other_and_kept_secret(tmp_path):
    (tmp_path / "url").write_text("mysql://u:hunter2@host/db")
    (tmp_path / "port").write_text("x")

    problems = problems_of(DATABASE_URL_FILE=str(tmp_path / "url"), BIND_PORT_FILE=str(tmp_path / "port"))

    assert [problem.split(" is ")[0] for problem in problems] == ["MOONTIDE_DATABASE_URL", "MOONTIDE_BIND_PORT"]
    assert "hunter2" not in " ".join(problems)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)

    (problem,) = problems_of(DATABASE_URL_FILE=str(path))

    assert problem.startswith(f"MOONTIDE_DATABASE_URL_FILE is {str(path)!r}: the file cannot be read")


def test_the_variable_itself_goes_before_its_file(tmp_path):
    (tmp_path / "port").write_text("1")

    assert read(BIND_PORT="8421", BIND_PORT_FILE=str(tmp_path / "port")).bind_port == 8421
