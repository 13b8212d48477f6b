"""Transactions: all or nothing, one writer on SQLite, and plain words when the database is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from jobservice.domain.errors import StoreUnavailableError
from jobservice.store.engine import Connection, Database, IntegrityError
from tests.contract.rows import Rows
from tests.support.postgresql import PostgresServer


def count_scripts(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM script").scalar_one())


def add_script(connection: Connection, path: str = "a.lua") -> None:
    connection.exec_driver_sql(f"INSERT INTO script (path, revision) VALUES ('{path}', 1)")


def add_script_and_fail(database: Database) -> None:
    with database.write() as connection:
        add_script(connection, "undone.lua")
        raise KeyboardInterrupt


def add_twice(database: Database) -> None:
    with database.write() as connection:
        add_script(connection)
        add_script(connection)


def test_a_write_is_kept_at_its_end_and_undone_by_any_error(rows: Rows):
    with rows.database.write() as connection:
        add_script(connection, "kept.lua")
    with pytest.raises(KeyboardInterrupt):
        add_script_and_fail(rows.database)

    with rows.database.read() as connection:
        assert count_scripts(connection) == 1


def test_a_broken_rule_of_the_schema_is_the_callers_to_handle(rows: Rows):
    with pytest.raises(IntegrityError):
        add_twice(rows.database)


def test_writers_that_read_first_take_turns_and_lose_no_update(rows: Rows):
    with rows.database.write() as connection:
        add_script(connection)
    together = threading.Barrier(4, timeout=10)
    failures: list[Exception] = []

    def raise_revision() -> None:
        together.wait()
        try:
            for _ in range(5):
                with rows.database.write() as connection:
                    query = "SELECT revision FROM script" + ("" if rows.database.is_sqlite else " FOR UPDATE")
                    revision = connection.exec_driver_sql(query).scalar_one()
                    connection.exec_driver_sql(f"UPDATE script SET revision = {revision + 1}")
        except StoreUnavailableError as error:
            failures.append(error)

    in_threads(raise_revision, 4)

    assert failures == []
    with rows.database.read() as connection:
        assert connection.exec_driver_sql("SELECT revision FROM script").scalar_one() == 21


def in_threads(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_reads_go_on_beside_a_write_and_see_what_was_before_it(rows: Rows):
    with rows.database.write() as writing:
        add_script(writing)
        with rows.database.read() as reading:
            assert count_scripts(reading) == 0


def test_a_read_only_database_is_unavailable_for_writes_and_serves_reads(rows: Rows):
    read_only = "PRAGMA query_only = ON" if rows.database.is_sqlite else "SET default_transaction_read_only = on"
    with rows.database.engine.connect() as connection:
        connection.exec_driver_sql(read_only)
        connection.commit()

    with pytest.raises(StoreUnavailableError, match=r"(?i)read-?only"), rows.database.write() as connection:
        add_script(connection)

    with rows.database.read() as connection:
        assert count_scripts(connection) == 0


def sqlite_database(folder: str) -> Database:
    return Database(f"sqlite:///{folder}/moontide.db")


def test_another_process_waits_for_the_write_lock_of_an_sqlite_file(tmp_path):
    here, elsewhere = sqlite_database(tmp_path), sqlite_database(tmp_path)
    with here.write() as connection:
        connection.exec_driver_sql("CREATE TABLE script (path TEXT, revision INTEGER)")
    seen: list[int] = []
    began = threading.Event()

    def write_elsewhere() -> None:
        began.set()
        with elsewhere.write() as connection:
            seen.append(count_scripts(connection))

    thread = threading.Thread(target=write_elsewhere)
    with here.write() as connection:
        thread.start()
        began.wait(10)
        add_script(connection)
    thread.join(10)
    here.close()
    elsewhere.close()

    assert seen == [1], "it began after the first was committed"


def test_a_full_disk_is_told_and_nothing_was_written(tmp_path):
    database = sqlite_database(tmp_path)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE script (path TEXT, revision INTEGER)")

    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 4")

    with pytest.raises(StoreUnavailableError, match="is full"), database.write() as connection:
        add_script(connection, "x" * 100_000)

    with database.read() as connection:
        assert count_scripts(connection) == 0
    database.close()


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    (tmp_path / "moontide.db").mkdir()
    database = sqlite_database(tmp_path)

    with pytest.raises(StoreUnavailableError, match="unable to open"), database.read():
        pass


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "moontide.db").write_text("Not a database, but long enough to look like one. " * 50)
    database = sqlite_database(tmp_path)

    with pytest.raises(StoreUnavailableError, match="not a database"), database.read() as connection:
        count_scripts(connection)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailableError, match=r"the folder .*file/deep cannot be made"):
        sqlite_database(f"{tmp_path}/file/deep")


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        database = Database(f"postgresql+psycopg://u:hunter2@127.0.0.1:{unused.getsockname()[1]}/db")

        with pytest.raises(StoreUnavailableError) as refused, database.read():
            pass

    assert "refused" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.postgresql
def test_a_connection_that_the_server_ended_is_replaced_at_the_next_call(postgres: PostgresServer):
    database = Database(postgres.url("template1"), pool_size=1)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'template1'")

    with pytest.raises(StoreUnavailableError), database.write() as connection:
        connection.exec_driver_sql("SELECT 1")

    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    database.close()
