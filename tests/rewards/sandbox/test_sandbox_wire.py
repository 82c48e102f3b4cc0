"""Frames as the judge and a program read them."""

import os

import pytest

from rewards.sandbox import wire


@pytest.mark.parametrize("body", [b"", b"[1", b"1 2", b" 1", b"\xff", b'{"a": 1}', b"[" * 100_000])
def test_a_frame_that_is_not_exactly_one_value_without_objects_is_refused(body):
    with pytest.raises(wire.WireError, match=r"malformed frame|JSON object"):
        wire.loads(body)


def test_frames_arrive_whole_however_they_were_cut_and_a_cut_one_is_the_end():
    reader, writer = os.pipe()
    os.write(writer, b"\0\0\0\5[1,")
    if os.fork() == 0:
        os.write(writer, b"2]" + wire.pack(["v", None]) + b"\0\0\0\7[1")
        os._exit(0)
    os.close(writer)
    assert wire.receive(reader, 100) == [1, 2]
    assert wire.receive(reader, 100) == ["v", None]
    with pytest.raises(EOFError, match="the other side closed the channel"):
        wire.receive(reader, 100)
    os.close(reader)
    os.wait()
