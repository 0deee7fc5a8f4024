import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire.rtsp.errors import LocalProtocolError
from servers.wire.rtsp.headers import Replaying
from servers.wire.rtsp.messages import Headers, Request, Response
from servers.wire.rtsp.parser import Parser
from servers.wire.rtsp.server import (
    METHODS,
    TRANSITIONS,
    Described,
    Paused,
    Played,
    ServerConnection,
    SetUp,
    State,
    TornDown,
)

URI = "rtsp://h/camera/a/main"
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


def ask(method, uri=URI, cseq=1, **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, uri, Headers({"CSeq": str(cseq), **fields})).serialise()


def answers(connection):
    parser = Parser()
    parser.receive(connection.data_to_send())
    found = []
    while message := parser.next():
        found.append(message)
    return found


def in_state(state):
    """A connection that was brought to this state by a client."""
    connection = ServerConnection("feed")
    steps = {
        State.INIT: [],
        State.READY: [ask("SETUP", URI + "/trackID=0", Transport=TCP)],
        State.PLAYING: [ask("SETUP", URI + "/trackID=0", Transport=TCP), ask("PLAY")],
    }[state]
    for step in steps:
        connection.receive_data(step)
        assert connection.next_event()
        connection.respond(200)
    connection.data_to_send()
    assert connection.state is state
    return connection


STATES = [State.INIT, State.READY, State.PLAYING]
ASKED = [name for name in METHODS if name not in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER")]


@pytest.mark.parametrize(("state", "method"), list(itertools.product(STATES, ASKED)))
def test_a_method_is_an_event_where_the_table_says_so_and_else_455_that_changes_nothing(state, method):
    connection = in_state(state)
    connection.receive_data(ask(method, URI + "/trackID=0" if method == "SETUP" else URI, 7, Transport=TCP))
    event = connection.next_event()
    if (state, method) in TRANSITIONS:
        kind, following = TRANSITIONS[state, method]
        assert type(event) is kind
        assert connection.state is state
        connection.respond(200)
        assert connection.state is following
        assert [each.status for each in answers(connection)] == [200]
    else:
        assert event is None
        (answer,) = answers(connection)
        assert (answer.status, answer.headers.get("CSeq"), connection.state) == (455, "7", state)
        assert "OPTIONS" in answer.headers.get("Allow")


@pytest.mark.parametrize(("state", "method"), sorted(TRANSITIONS, key=str))
@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusal_changes_nothing(state, method, status):
    connection = in_state(state)
    tracks = connection.tracks
    connection.receive_data(ask(method, URI + "/trackID=1" if method == "SETUP" else URI, Transport=TCP))
    assert connection.next_event()
    connection.respond(status)
    assert (connection.state, connection.tracks) == (state, tracks)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (ask("OPTIONS"), 200),
        (ask("OPTIONS", "*"), 200),
        (ask("GET_PARAMETER"), 200),
        (Request("SET_PARAMETER", URI, Headers({"CSeq": "1"}), b"a: b").serialise(), 451),
        (ask("RECORD"), 501),
        (ask("BREW"), 501),
        (ask("DESCRIBE", "http://h/a"), 400),
        (ask("PLAY", Session="beef"), 454),
    ],
)
def test_what_needs_no_decision_is_answered_inside(state, request_, status):
    connection = in_state(state)
    connection.receive_data(request_)
    assert connection.next_event() is None
    assert [each.status for each in answers(connection)] == [status]
    assert connection.state is state


def test_options_names_the_methods():
    connection = ServerConnection("feed")
    connection.receive_data(ask("OPTIONS"))
    connection.next_event()
    (answer,) = answers(connection)
    assert answer.headers.get("Public").split(", ") == list(METHODS)


@pytest.mark.parametrize(
    "offer",
    [
        "RTP/AVP;unicast;client_port=5000-5001",
        "RTP/AVP;multicast",
        "RTP/SAVP;unicast;client_port=1-2",
        "",
        TCP + ";mode=RECORD",
    ],
)
def test_udp_and_recording_are_answered_461(offer):
    connection = ServerConnection("feed")
    connection.receive_data(ask("SETUP", Transport=offer))
    assert connection.next_event() is None
    assert [each.status for each in answers(connection)] == [461]
    assert connection.state is State.INIT


def test_the_server_dictates_the_channels():
    connection = ServerConnection("feed")
    for track in (1, 0):
        connection.receive_data(
            ask(
                "SETUP",
                f"{URI}/trackID={track}",
                Transport="RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=8-9",
            )
        )
        assert isinstance(connection.next_event(), SetUp)
        connection.respond(200)
    first, second = answers(connection)
    assert "interleaved=2-3" in first.headers.get("Transport")
    assert "interleaved=0-1" in second.headers.get("Transport")
    assert first.headers.get("Session") == "feed;timeout=60"
    assert connection.tracks == {0, 1}


def test_play_hands_on_range_scale_and_speed():
    connection = in_state(State.READY)
    connection.receive_data(ask("PLAY", Range="npt=10-", Scale="-2", Speed="1.5"))
    event = connection.next_event()
    assert isinstance(event, Played)
    assert (event.range.start, event.scale, event.speed) == (10.0, -2.0, 1.5)


@pytest.mark.parametrize("header", [{"Range": "smpte=0:00-"}, {"Scale": "fast"}])
def test_a_header_without_a_meaning_costs_the_request_and_not_the_session(header):
    connection = in_state(State.READY)
    connection.receive_data(ask("PLAY", **header) + ask("PLAY", cseq=2))
    assert isinstance(connection.next_event(), Played)
    connection.respond(200)
    assert [each.status for each in answers(connection)] == [400, 200]


def test_pipelined_requests_wait_for_their_turn():
    connection = ServerConnection("feed")
    connection.receive_data(ask("DESCRIBE", cseq=1) + ask("SETUP", cseq=2, Transport=TCP) + ask("PLAY", cseq=3))
    seen = []
    while event := connection.next_event():
        assert connection.next_event() is None
        seen.append(type(event))
        connection.respond(200)
    assert seen == [Described, SetUp, Played]
    assert [each.headers.get("CSeq") for each in answers(connection)] == ["1", "2", "3"]


def test_reports_of_the_client_are_swallowed():
    connection = in_state(State.PLAYING)
    connection.receive_data(b"$\x01\x00\x08\x80\xc9\x00\x01abcd" + ask("TEARDOWN", Session="feed"))
    assert isinstance(connection.next_event(), TornDown)
    assert connection.frames_received == 1


def test_after_teardown_the_session_is_gone_and_a_new_one_may_begin():
    connection = in_state(State.PLAYING)
    connection.receive_data(ask("TEARDOWN", Session="feed"))
    connection.next_event()
    connection.respond(200)
    connection.receive_data(ask("PLAY", Session="feed") + ask("SETUP", Transport=TCP))
    assert isinstance(connection.next_event(), SetUp)
    assert [each.status for each in answers(connection)] == [200, 454]


def test_pausing_twice_does_no_harm():
    connection = in_state(State.PLAYING)
    for _ in range(2):
        connection.receive_data(ask("PAUSE"))
        assert isinstance(connection.next_event(), Paused)
        connection.respond(200)
        assert connection.state is State.READY


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01", 400),
        (b"PLAY * RTSP/1.0\r\nA: " + b"x" * 20_000, 413),
        (b"$\x00\xff\xff", 413),
        (b"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505),
        (b"PLAY rtsp://h/a RTSP/1.0\r\n\r\n", 400),
    ],
    ids=["garbage", "endless head", "huge frame", "version", "no CSeq"],
)
@pytest.mark.parametrize("state", STATES)
def test_broken_input_is_answered_and_closes(state, data, status):
    connection = in_state(state)
    connection.receive_data(data)
    assert connection.next_event() is None
    assert [each.status for each in answers(connection)] == [status]
    assert connection.state is State.CLOSED
    assert connection.error is not None
    connection.receive_data(ask("OPTIONS"))
    assert connection.next_event() is None
    assert connection.data_to_send() == b""


def test_our_own_mistakes_are_errors():
    connection = ServerConnection("feed")
    with pytest.raises(LocalProtocolError):
        connection.respond(200)
    with pytest.raises(LocalProtocolError):
        connection.send_frame(b"$")
    playing = in_state(State.PLAYING)
    playing.send_frame(b"$\0\0\0")
    assert playing.data_to_send() == b"$\0\0\0"


SESSION = b"".join(
    (
        ask("OPTIONS", cseq=1),
        ask("DESCRIBE", cseq=2),
        ask("SETUP", URI + "/trackID=0", 3, Transport="RTP/AVP;unicast;client_port=1-2"),
        ask("SETUP", URI + "/trackID=0", 4, Transport=TCP),
        ask("PLAY", cseq=5, Session="feed"),
        b"$\x01\x00\x04abcd",
        ask("GET_PARAMETER", cseq=6, Session="feed"),
        ask("TEARDOWN", cseq=7, Session="feed"),
    )
)


@given(st.lists(st.integers(0, len(SESSION)), max_size=10))
def test_cutting_a_session_anywhere_gives_the_same_events_and_answers(cuts):
    def run(pieces):
        connection, events = ServerConnection("feed"), []
        for piece in pieces:
            connection.receive_data(piece)
            while event := connection.next_event():
                events.append(event)
                connection.respond(200)
        return events, connection.data_to_send(), connection.state

    edges = [0, *sorted(cuts), len(SESSION)]
    assert run([SESSION[a:b] for a, b in itertools.pairwise(edges)]) == run([SESSION])


@given(st.lists(st.sampled_from(METHODS), max_size=12), st.binary(max_size=40))
def test_no_order_of_requests_and_no_bytes_behind_them_break_the_machine(methods, tail):
    connection = ServerConnection("feed")
    for method in methods:
        connection.receive_data(ask(method, Transport=TCP))
        while connection.next_event():
            connection.respond(200)
    connection.receive_data(tail)
    while connection.next_event():
        connection.respond(200)
    assert connection.state in State


def test_responses_of_the_client_are_swallowed():
    connection = ServerConnection("feed")
    connection.receive_data(Response(200, Headers({"CSeq": "1"})).serialise() + ask("DESCRIBE"))
    assert isinstance(connection.next_event(), Described)


def test_what_is_required_and_not_known_is_refused_by_name():
    connection = in_state(State.READY)
    connection.receive_data(ask("PLAY", Require="onvif-replay, www.onvif.org/backchannel"))
    assert connection.next_event() is None
    (answer,) = answers(connection)
    assert (answer.status, answer.headers.get("Unsupported")) == (551, "www.onvif.org/backchannel")
    assert connection.state is State.READY


@pytest.mark.parametrize("method", ["SETUP", "PLAY"])
def test_the_extension_of_replay_holds_for_the_session_once_it_was_asked_for(method):
    connection = ServerConnection("feed")
    for name, suffix in (("SETUP", "/trackID=0"), ("PLAY", ""), ("PLAY", "")):
        headers = {"Require": "onvif-replay"} if name == method else {}
        connection.receive_data(ask(name, URI + suffix, Transport=TCP, **headers))
        event = connection.next_event()
        connection.respond(200)
    assert event.extension
    connection.receive_data(ask("TEARDOWN"))
    connection.next_event()
    connection.respond(200)
    for name, suffix in (("SETUP", "/trackID=0"), ("PLAY", "")):
        connection.receive_data(ask(name, URI + suffix, Transport=TCP))
        event = connection.next_event()
        connection.respond(200)
    assert not event.extension


def test_how_recorded_video_is_to_be_sent_is_read_from_the_headers():
    connection = in_state(State.READY)
    connection.receive_data(ask("PLAY", Rate_Control="no", Frames="intra/2000", Scale="-4.0"))
    event = connection.next_event()
    assert event.replaying == Replaying(paced=False, key_frames=True, interval_us=2_000_000)
    assert event.scale == -4
    connection.respond(200)
    answers(connection)
    for headers in ({"Rate_Control": "maybe"}, {"Frames": "few"}, {"Frames": "intra/x"}, {"Range": "clock=now-"}):
        connection.receive_data(ask("PLAY", **headers))
        assert connection.next_event() is None
        assert [each.status for each in answers(connection)] == [400]


def test_a_range_that_is_played_out_leaves_the_session_ready():
    connection = in_state(State.PLAYING)
    connection.played_out()
    assert connection.state is State.READY
    connection.receive_data(ask("PLAY"))
    assert isinstance(connection.next_event(), Played)
    connection.played_out()  # of the one before, while this one is being decided
    connection.respond(200)
    assert connection.state is State.PLAYING
