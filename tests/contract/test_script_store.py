"""Scripts: every save is a revision, and nobody overwrites what they have not seen."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select

from jobservice.domain.errors import ConflictError, NotFoundError
from jobservice.store import tables as t
from tests.contract.rows import Rows


def save(rows: Rows, source: str, *, expected: int | None, path: str = "a.lua", author: str = "alice") -> int:
    with rows.database.write() as connection:
        return rows.scripts.save(connection, path, source, expected_revision=expected, author=author, at=rows.now)


def test_every_save_is_a_revision_and_the_newest_is_the_script(rows: Rows):
    numbers = []
    for expected, source in ((None, "one"), (1, "two"), (2, "größer 🐢\r\n")):
        numbers.append(save(rows, source, expected=expected))
        rows.clock.advance(timedelta(seconds=1))

    newest = rows.scripts.get("a.lua")
    revisions = rows.scripts.list_revisions("a.lua")
    assert numbers == [1, 2, 3]
    assert (newest.source, newest.revision, newest.author) == ("größer 🐢\r\n", 3, "alice")
    assert newest.saved_at == rows.now - timedelta(seconds=1)
    assert [revision.number for revision in revisions] == [3, 2, 1]
    assert [revision.number for revision in rows.scripts.list_revisions("a.lua", limit=2)] == [3, 2]


def test_a_revision_knows_its_size_in_bytes_and_its_sha256(rows: Rows):
    save(rows, "größer 🐢", expected=None)

    with rows.database.read() as connection:
        sha256 = connection.execute(select(t.script_revision.c.sha256)).scalar_one()
    assert rows.scripts.list_revisions("a.lua")[0].size_bytes == len("größer 🐢".encode())
    assert sha256 == hashlib.sha256("größer 🐢".encode()).hexdigest()


def test_a_save_over_an_unseen_revision_is_refused_and_names_who_was_first(rows: Rows):
    save(rows, "one", expected=None)
    save(rows, "bob's", expected=1, author="bob")

    with pytest.raises(ConflictError, match=r"saved meanwhile by bob \(revision 2\)"):
        save(rows, "alice's", expected=1)

    assert rows.scripts.get("a.lua").source == "bob's"
    assert len(rows.scripts.list_revisions("a.lua")) == 2


def test_a_new_script_does_not_replace_one_that_exists(rows: Rows):
    save(rows, "one", expected=None)

    with pytest.raises(ConflictError, match=r"exists already \(revision 1\)"):
        save(rows, "two", expected=None)


def test_a_save_of_a_deleted_script_is_refused(rows: Rows):
    with pytest.raises(ConflictError, match="was deleted meanwhile"):
        save(rows, "two", expected=1)


def test_a_rename_moves_all_revisions_and_never_onto_another_script(rows: Rows):
    save(rows, "one", expected=None)
    save(rows, "two", expected=1)
    save(rows, "other", expected=None, path="b.lua")

    with rows.database.write() as connection:
        moved = rows.scripts.rename(connection, "a.lua", "c.lua")
        nothing = rows.scripts.rename(connection, "a.lua", "d.lua")
    with pytest.raises(ConflictError, match=r"under b\.lua already"), rows.database.write() as connection:
        rows.scripts.rename(connection, "c.lua", "b.lua")

    assert (moved, nothing) == (True, False)
    assert rows.scripts.find("a.lua") is None
    assert len(rows.scripts.list_revisions("c.lua")) == 2
    assert rows.scripts.get("b.lua").source == "other"


def test_a_deleted_script_is_gone_with_its_revisions(rows: Rows):
    save(rows, "one", expected=None)

    with rows.database.write() as connection:
        answers = [rows.scripts.delete(connection, "a.lua"), rows.scripts.delete(connection, "a.lua")]

    assert answers == [True, False]
    with rows.database.read() as connection:
        assert connection.execute(select(t.script_revision)).all() == []
    with pytest.raises(NotFoundError, match=r"no script 'a\.lua'"):
        rows.scripts.get("a.lua")


def test_newest_revisions_are_given_for_the_paths_that_exist(rows: Rows):
    save(rows, "one", expected=None)
    save(rows, "two", expected=1)

    newest = rows.scripts.newest_revisions({"a.lua", "missing.lua"})

    assert newest == {"a.lua": (2, rows.scripts.get("a.lua").sha256)}
    assert rows.scripts.newest_revisions(set()) == {}


def test_paths_differ_by_case(rows: Rows):
    save(rows, "one", expected=None)

    assert save(rows, "two", expected=None, path="A.lua") == 1
