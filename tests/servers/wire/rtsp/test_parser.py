import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire.rtsp.errors import MalformedError, RemoteProtocolError, TooLargeError, VersionError
from servers.wire.rtsp.messages import Headers, Request, Response
from servers.wire.rtsp.parser import MAX_BODY, MAX_CLIENT_FRAME, MAX_HEAD, MAX_HEADERS, Frames, Parser


def read(parser, *pieces):
    """What the parser makes of the pieces; runs of frames are taken apart, since where runs end is chance."""
    found = []
    for piece in pieces:
        buffer = bytearray(piece)
        parser.receive(memoryview(buffer))
        while message := parser.next():
            if isinstance(message, Frames):
                found += apart(bytes(message.run))
            else:
                found.append(message)
        buffer[:] = b"\xff" * len(buffer)  # The edge overwrites its buffer; nothing may lean on it.
    return found


def refusal(parser, data):
    """The status of the refusal, or none when the bytes are taken."""
    try:
        read(parser, data)
    except RemoteProtocolError as error:
        return error.status
    return None


def apart(run):
    frames, at = [], 0
    while at < len(run):
        end = at + 4 + int.from_bytes(run[at + 2 : at + 4], "big")
        frames.append(run[at:end])
        at = end
    return frames


SESSION = b"".join(
    (
        Request("OPTIONS", "rtsp://h/a", Headers({"CSeq": "1"})).serialise(),
        b"$\x01\x00\x03abc$\x00\x00\x00",
        Response(200, Headers({"CSeq": "1", "Public": "PLAY"}), b"v=0\r\n").serialise(),
        b"\r\n\r\n",
        Request("SET_PARAMETER", "*", Headers({"CSeq": "2"}), b"$not a frame\r\n\r\n").serialise(),
        b"$\x02\x01\x00" + b"$" * 256,
        b"RTSP/1.0 200 OK\nCSeq: 2\n\n",
    )
)


def test_a_session_is_read_in_order():
    kinds = [type(each).__name__ for each in read(Parser(), SESSION)]
    assert kinds == ["Request", "bytes", "bytes", "Response", "Request", "bytes", "Response"]


@given(st.lists(st.integers(0, len(SESSION)), max_size=12))
def test_cutting_the_bytes_anywhere_gives_the_same_messages(cuts):
    edges = [0, *sorted(cuts), len(SESSION)]
    pieces = [SESSION[a:b] for a, b in itertools.pairwise(edges)]
    assert read(Parser(), *pieces) == read(Parser(), SESSION)


def test_one_byte_at_a_time_gives_the_same_messages():
    assert read(Parser(), *(bytes((byte,)) for byte in SESSION)) == read(Parser(), SESSION)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_with_a_status(data):
    parser = Parser(max_frame=MAX_CLIENT_FRAME)
    assert refusal(parser, data) in (None, 400, 413, 505)


@given(st.integers(0, len(SESSION) - 1), st.integers(0, 255))
def test_a_damaged_byte_is_survived_or_refused(at, value):
    damaged = bytearray(SESSION)
    damaged[at] = value
    assert refusal(Parser(max_frame=MAX_CLIENT_FRAME), bytes(damaged)) in (None, 400, 413, 505)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", MalformedError, id="a TLS hello"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", MalformedError, id="a browser"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", MalformedError, id="a web server"),
        pytest.param(b"OPTIONS * RTSP/2.0\r\n\r\n", VersionError, id="RTSP 2"),
        pytest.param(b"RTSP/2.0 200 OK\r\n\r\n", VersionError, id="RTSP 2 answer"),
        pytest.param(b"PLAY\r\n\r\n", MalformedError, id="one word"),
        pytest.param(b"PLAY a b c RTSP/1.0\r\n\r\n", MalformedError, id="five words"),
        pytest.param(b"RTSP/1.0 2000 OK\r\n\r\n", MalformedError, id="four digits"),
        pytest.param(b"PLAY * RTSP/1.0\r\nno colon\r\n\r\n", MalformedError, id="header without colon"),
        pytest.param(b"PLAY * RTSP/1.0\r\nA\0: b\r\n\r\n", MalformedError, id="zero byte"),
        pytest.param(b"PLAY * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", MalformedError, id="negative length"),
        pytest.param(b"PLAY * RTSP/1.0\r\nContent-Length: x\r\n\r\n", MalformedError, id="no length"),
        pytest.param(
            b"PLAY * RTSP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), TooLargeError, id="a body too long"
        ),
        pytest.param(b"PLAY * RTSP/1.0\r\nA: " + b"b" * MAX_HEAD, TooLargeError, id="an endless header"),
        pytest.param(
            b"PLAY * RTSP/1.0\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", TooLargeError, id="many headers"
        ),
        pytest.param(b"$\x00\xff\xff", TooLargeError, id="a huge frame"),
    ],
)
def test_what_is_not_rtsp_is_refused(data, error):
    parser = Parser(max_frame=MAX_CLIENT_FRAME)
    with pytest.raises(error) as raised:
        read(parser, data)
    assert str(raised.value)


def test_endless_headers_in_small_pieces_are_refused_at_the_limit():
    parser, taken = Parser(), 0
    piece = b"PLAY * RTSP/1.0\r\n"
    while (status := refusal(parser, piece)) is None:
        piece = b"A: 0123456789012345678901234567890123456789\r\n"
        taken += len(piece)
        assert taken <= MAX_HEAD + 100
    assert status == 413


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        pytest.param(b"RTSP/1.0 200 OK\r\nCSeq : 3 \r\n\r\n", {"CSeq": "3"}, id="a space before the colon"),
        pytest.param(b"RTSP/1.0  200  OK\r\nCSeq:3\r\n\r\n", {"CSeq": "3"}, id="two spaces in the first line"),
        pytest.param(b"RTSP/1.0 200\r\nCSeq:3\r\n\r\n", {"CSeq": "3"}, id="no reason"),
        pytest.param(b"\r\nRTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n", {"CSeq": "3"}, id="an empty line before"),
        pytest.param(b"RTSP/1.0 200 OK\r\nA: b\r\n c\r\n\r\n", {"A": "b c"}, id="a folded line"),
        pytest.param(b"RTSP/1.0 200 OK\nCSeq: 3\n\n", {"CSeq": "3"}, id="bare line feeds"),
    ],
)
def test_odd_but_clear_answers_are_read(data, headers):
    (response,) = read(Parser(), data)
    assert (response.status, dict(response.headers)) == (200, headers)
