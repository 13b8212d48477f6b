from __future__ import annotations

import pytest

from jobservice.luahost.protocol import DONE, LOG, FrameReader, ProtocolError, frame


def test_frames_come_out_as_they_went_in() -> None:
    stream = frame(LOG, b"one\n") + frame(DONE, b"{}") + frame(LOG, b"")
    assert FrameReader(100).feed(stream) == [(LOG, b"one\n"), (DONE, b"{}"), (LOG, b"")]


def test_frames_cut_anywhere_are_put_together() -> None:
    stream = frame(LOG, b"one\n") + frame(DONE, b"{}")
    reader = FrameReader(100)
    found = [whole for position in range(len(stream)) for whole in reader.feed(stream[position : position + 1])]
    assert found == [(LOG, b"one\n"), (DONE, b"{}")]


def test_payload_of_exactly_the_limit_is_taken() -> None:
    assert FrameReader(4).feed(frame(LOG, b"1234")) == [(LOG, b"1234")]


def test_payload_beyond_the_limit_is_refused_before_it_comes() -> None:
    with pytest.raises(ProtocolError, match="5 bytes"):
        FrameReader(4).feed(frame(LOG, b"12345")[:5])
