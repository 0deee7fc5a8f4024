"""Other people's bytes, replayed; tests/captures/README.md says whose."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.wire.media import AACFormat, H264Format
from servers.wire.rtp.receiver import StreamReceiver
from servers.wire.rtsp.client import ClientConnection, Playing, Ready
from servers.wire.rtsp.parser import Frames
from servers.wire.rtsp.server import Described, Played, ServerConnection, SetUp, State, TornDown

CAPTURES = Path(__file__).parents[3] / "captures"


def serve(pieces, session):
    connection, events = ServerConnection(session), []
    for piece in pieces:
        connection.receive_data(piece)
        while event := connection.next_event():
            events.append(event)
            connection.respond(200)
    return connection, events, connection.data_to_send()


def cut(data, cuts):
    edges = [0, *sorted(each % (len(data) + 1) for each in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(("name", "refused"), [("ffmpeg_5_1_client", 1), ("gstreamer_1_22_client", 2)])
def test_players_are_understood(name, refused):
    data = (CAPTURES / f"{name}.rtsp").read_bytes()
    session = re.search(rb"Session: (\w+)", data)[1].decode()
    connection, events, answers = serve([data], session)
    assert [type(each) for each in events] == [Described, SetUp, SetUp, Played, TornDown]
    assert answers.count(b"RTSP/1.0 461 ") == refused
    assert answers.count(b"RTSP/1.0 200 ") == 6
    assert (connection.state, connection.error) == (State.INIT, None)


@given(st.lists(st.integers(0, 100_000), max_size=10))
def test_players_are_understood_however_their_bytes_were_cut(cuts):
    data = (CAPTURES / "gstreamer_1_22_client.rtsp").read_bytes()
    session = re.search(rb"Session: (\w+)", data)[1].decode()
    assert serve(cut(data, cuts), session)[1:] == serve([data], session)[1:]


def play(pieces):
    connection = ClientConnection("rtsp://127.0.0.1/camera", cnonce="c")
    connection.start()
    events, units, receiver = [], [], None
    for piece in pieces:
        connection.receive_data(piece)
        while event := connection.next_event():
            if isinstance(event, Frames):
                units += receiver.feed(event.run, 0) if receiver else []
            else:
                events.append(type(event))
            if isinstance(event, Ready):
                receiver = StreamReceiver(
                    [(track.format, track.payload_type, track.channel) for track in event.tracks], ssrc=1
                )
    return events, receiver, [(unit.track, unit.timestamp, unit.key, unit.data) for unit in units]


def test_a_gstreamer_camera_is_understood():
    events, receiver, units = play([(CAPTURES / "gst_rtsp_server_1_22.rtsp").read_bytes()])
    assert events == [Ready, Playing]
    video, audio = receiver.formats
    assert isinstance(video, H264Format)
    assert (video.width, video.height) == (320, 240)
    assert isinstance(audio, AACFormat)
    assert receiver.gaps == 0
    pictures = [unit for unit in units if unit[0] == 0]
    assert [index for index, unit in enumerate(pictures) if unit[2]] == list(range(0, len(pictures), 10))
    assert {later[1] - earlier[1] for earlier, later in itertools.pairwise(pictures)} == {3600}


@settings(max_examples=25)
@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_a_camera_is_understood_however_its_bytes_were_cut(cuts):
    data = (CAPTURES / "gst_rtsp_server_1_22.rtsp").read_bytes()
    events, _, units = play(cut(data, cuts))
    assert (events, units) == (play([data])[0], play([data])[2])
