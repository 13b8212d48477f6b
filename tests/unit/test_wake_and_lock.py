"""The bell between processes, and the lock that keeps a second service out."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from jobservice.domain.errors import ServiceRunningError
from jobservice.lock import ServiceLock, holder_of
from jobservice.wake import Bell, ring


def test_a_ring_wakes_the_listener_and_several_rings_are_one(tmp_path):
    bell = Bell(tmp_path / "bell")
    for _ in range(3):
        ring(tmp_path / "bell")

    assert bell.wait(1) is True
    assert bell.wait(0.001) is False
    bell.close()


def test_ringing_where_nobody_listens_does_nothing(tmp_path):
    ring(tmp_path / "nobody")
    ring(tmp_path / "no-folder" / "nobody")


def test_ringing_a_listener_that_does_not_listen_never_blocks(tmp_path):
    bell = Bell(tmp_path / "bell")

    for _ in range(2_000):
        ring(tmp_path / "bell")

    assert bell.wait(1) is True
    bell.close()


def test_only_the_owner_may_ring_and_the_socket_is_gone_afterwards(tmp_path):
    bell = Bell(tmp_path / "bell")
    mode = stat.S_IMODE((tmp_path / "bell").stat().st_mode)
    bell.close()

    assert mode == 0o600
    assert not (tmp_path / "bell").exists()


def test_a_stale_socket_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as of_a_dead_service:
        of_a_dead_service.bind(str(tmp_path / "bell"))

    bell = Bell(tmp_path / "bell")
    ring(tmp_path / "bell")

    assert bell.wait(1) is True
    bell.close()


def test_a_path_too_long_for_a_socket_is_silent_instead_of_an_error(tmp_path):
    path = tmp_path / ("x" * 120)

    bell = Bell(path)
    ring(path)

    assert bell.is_silent
    assert bell.wait(0.001) is False
    bell.close()


def test_a_second_service_is_refused_and_told_who_holds_the_lock(tmp_path):
    lock = ServiceLock(tmp_path / "deep" / "lock")

    with pytest.raises(ServiceRunningError, match=f"process {os.getpid()}.*moontide service stop"):
        ServiceLock(tmp_path / "deep" / "lock")

    assert holder_of(tmp_path / "deep" / "lock") == os.getpid()
    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path):
    path: Path = tmp_path / "lock"
    ServiceLock(path).release()

    assert holder_of(path) is None
    ServiceLock(path).release()


def test_a_lock_that_was_never_taken_has_no_holder(tmp_path):
    assert holder_of(tmp_path / "lock") is None


def test_a_lock_file_left_by_a_dead_service_does_not_keep_the_next_one_out(tmp_path):
    path = tmp_path / "lock"
    path.write_text("123456789 and more than fits\n")

    lock = ServiceLock(path)

    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()
