"""Accounts: set up once, logged in by password, sessions that end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from jobservice.accounts import Accounts, Role, User
from jobservice.domain.errors import InvalidInputError, NotAllowedError
from jobservice.store import tables as t
from tests.contract.rows import Rows

PASSWORD = "correct horse battery"
IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=8)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def accounts_over(rows: Rows, *, idle: timedelta = IDLE, hasher: PasswordHasher = CHEAP) -> Accounts:
    return Accounts(rows.database, rows.clock, session_idle=idle, session_absolute=ABSOLUTE, hasher=hasher)


@pytest.fixture
def accounts(rows: Rows) -> Accounts:
    return accounts_over(rows)


@pytest.fixture
def alice(accounts: Accounts) -> User:
    return accounts.create_user(name="alice", role=Role.OPERATOR, password=PASSWORD, by="shell")


def session_of(accounts: Accounts, user: User) -> str:
    return accounts.open_session(user.user_id, address="127.0.0.1", agent="test")


def test_the_setup_token_makes_one_admin_and_is_used_up(rows: Rows, accounts: Accounts):
    token = accounts.setup_token()
    assert token is not None

    admin = accounts.complete_setup(token, name="root", password=PASSWORD)

    assert admin.role is Role.ADMIN
    assert accounts.has_admin()
    assert accounts.setup_token() is None
    assert not accounts.is_setup_token(token)
    with pytest.raises(NotAllowedError):
        accounts.complete_setup(token, name="second", password=PASSWORD)
    assert [(line.action, line.by) for line in rows.audit_rows()] == [("account.setup", "root")]
    assert token not in str(rows.audit_rows())


def test_a_wrong_or_replaced_setup_token_is_refused(accounts: Accounts):
    with pytest.raises(NotAllowedError):
        accounts.complete_setup("guess", name="root", password=PASSWORD)
    old, new = accounts.setup_token(), accounts.setup_token()

    assert not accounts.is_setup_token(str(old))
    assert accounts.is_setup_token(str(new))
    assert not accounts.has_admin()


def test_a_setup_token_survives_a_password_that_is_refused(accounts: Accounts):
    token = str(accounts.setup_token())

    with pytest.raises(InvalidInputError):
        accounts.complete_setup(token, name="root", password="short")

    assert accounts.complete_setup(token, name="root", password=PASSWORD).name == "root"


def test_only_name_and_password_together_log_in(accounts: Accounts, alice: User):
    assert accounts.authenticate("alice", PASSWORD) == alice
    for name, password in (
        ("alice", PASSWORD + "x"),
        ("Alice", PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
        ("a\0", PASSWORD),
        ("x" * 10_000, PASSWORD),
    ):
        assert accounts.authenticate(name, password) is None


def test_a_disabled_account_cannot_log_in_and_its_sessions_end(rows: Rows, accounts: Accounts, alice: User):
    token = session_of(accounts, alice)
    with rows.database.write() as connection:
        connection.execute(update(t.account).values(disabled=True))

    assert accounts.authenticate("alice", PASSWORD) is None
    assert accounts.find_session(token) is None


def test_a_login_brings_an_old_hash_up_to_date(rows: Rows, accounts: Accounts, alice: User):
    stronger = accounts_over(rows, hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))

    assert stronger.authenticate("alice", PASSWORD) == alice

    with rows.database.read() as connection:
        stored = connection.execute(select(t.account.c.password_hash)).scalar_one()
    assert "m=16,t=2" in stored
    assert stronger.authenticate("alice", PASSWORD) == alice


def test_a_taken_name_is_a_field_problem(accounts: Accounts, alice: User):
    with pytest.raises(InvalidInputError) as refused:
        accounts.create_user(name=alice.name, role=Role.VIEWER, password=PASSWORD, by="shell")

    assert refused.value.problems == {"name": ("An account named “alice” exists already.",)}


def test_a_session_ends_when_it_was_idle_for_too_long_and_use_keeps_it(rows: Rows, accounts: Accounts, alice: User):
    token = session_of(accounts, alice)
    for _ in range(3):
        rows.clock.advance(IDLE - timedelta(seconds=1))
        assert accounts.find_session(token) == alice
    rows.clock.advance(IDLE)

    assert accounts.find_session(token) is None


def test_a_session_ends_at_its_absolute_limit_however_busy(rows: Rows, accounts: Accounts, alice: User):
    token = session_of(accounts, alice)
    for _ in range(31):
        rows.clock.advance(timedelta(minutes=15))
        assert accounts.find_session(token) == alice
    rows.clock.advance(timedelta(minutes=15))

    assert accounts.find_session(token) is None


def test_use_keeps_a_session_alive_also_when_the_idle_limit_is_one_minute(rows: Rows, alice: User):
    accounts = accounts_over(rows, idle=timedelta(minutes=1))
    token = session_of(accounts, alice)

    for _ in range(10):
        rows.clock.advance(timedelta(seconds=20))
        assert accounts.find_session(token) == alice


def test_a_session_token_is_not_stored_and_a_guess_finds_nothing(rows: Rows, accounts: Accounts, alice: User):
    token = session_of(accounts, alice)

    with rows.database.read() as connection:
        (stored,) = connection.execute(select(t.login_session)).all()
    assert token not in str(stored)
    assert accounts.find_session(token + "x") is None
    assert accounts.find_session("") is None


def test_logging_out_ends_one_session_and_the_others_can_be_ended_together(accounts: Accounts, alice: User):
    tokens = [session_of(accounts, alice) for _ in range(4)]

    accounts.close_session(tokens[0])
    ended = accounts.close_other_sessions(alice.user_id, tokens[1])

    assert ended == 2
    assert [accounts.find_session(token) for token in tokens] == [None, alice, None, None]


def test_opening_a_session_removes_those_that_have_expired(rows: Rows, accounts: Accounts, alice: User):
    session_of(accounts, alice)
    rows.clock.advance(IDLE + timedelta(seconds=1))
    session_of(accounts, alice)

    with rows.database.read() as connection:
        assert len(connection.execute(select(t.login_session)).all()) == 1


def test_a_password_changes_only_with_the_present_one_and_to_another(accounts: Accounts, alice: User):
    for old, new, field in (
        ("wrong", "another good password", "old"),
        (PASSWORD, "short", "new"),
        (PASSWORD, PASSWORD, "new"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            accounts.change_password(alice.user_id, old=old, new=new)
        assert set(refused.value.problems) == {field}
    accounts.change_password(alice.user_id, old=PASSWORD, new="another good password")

    assert accounts.authenticate("alice", PASSWORD) is None
    assert accounts.authenticate("alice", "another good password") == alice


def test_audit_lines_say_who_did_what_and_hold_no_password(rows: Rows, accounts: Accounts, alice: User):
    accounts.change_password(alice.user_id, old=PASSWORD, new="another good password")
    accounts.record("login.failed", by="x" * 100, address="a" * 100, detail={"why": "password"})

    lines = rows.audit_rows()
    assert [(line.action, line.by[:5], line.subject) for line in lines] == [
        ("account.create", "shell", "alice"),
        ("account.password", "alice", "alice"),
        ("login.failed", "xxxxx", ""),
    ]
    assert lines[0].detail == {"role": "operator"}
    assert (len(lines[2].by), len(lines[2].address), lines[2].at) == (64, 64, rows.now)
    assert "password" not in str([line.detail for line in lines[:2]])
    assert "$argon2" not in str(lines)
