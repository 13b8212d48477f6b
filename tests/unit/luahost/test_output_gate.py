from __future__ import annotations

from jobservice.executors.output import OutputGate


def test_output_within_the_head_passes_at_once() -> None:
    gate = OutputGate(head_bytes=8, tail_bytes=4)
    assert gate.take([b"abc\n", b"def\n"]) == b"abc\ndef\n"
    assert gate.rest() == b""


def test_output_between_head_and_tail_is_late_but_whole() -> None:
    gate = OutputGate(head_bytes=4, tail_bytes=8)
    assert gate.take([b"abc\n", b"def\n"]) == b"abc\n"
    assert gate.take([b"ghi\n"]) == b""
    assert gate.rest() == b"def\nghi\n"


def test_middle_is_cut_and_counted() -> None:
    gate = OutputGate(head_bytes=4, tail_bytes=4)
    for line in (b"one\n", b"two\n", b"thr\n", b"fou\n"):
        gate.take([line])
    assert gate.rest() == b"... 8 bytes of output were cut here ...\nfou\n"


def test_nothing_passes_once_the_head_is_full() -> None:
    gate = OutputGate(head_bytes=6, tail_bytes=100)
    assert gate.take([b"abc\n", b"defg\n", b"h\n"]) == b"abc\n"
    assert gate.rest() == b"defg\nh\n"
