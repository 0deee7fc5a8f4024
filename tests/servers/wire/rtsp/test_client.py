"""Conversations of our client with our server, and with odd servers in writing; no sockets."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.wire import sdp
from servers.wire.media import AACFormat, H264Format
from servers.wire.rtsp import digest
from servers.wire.rtsp.auth_headers import Authorization
from servers.wire.rtsp.client import Address, ClientConnection, Paused, Playing, Ready, Refused, Step, resolve
from servers.wire.rtsp.errors import (
    LocalProtocolError,
    RtspClientError,
    RtspProtocolError,
    RtspRefusedError,
    RtspUnauthorisedError,
    RtspUnreachableError,
    RtspUnsupportedError,
)
from servers.wire.rtsp.messages import Headers, Request, Response
from servers.wire.rtsp.parser import Frames, Parser
from servers.wire.rtsp.server import Described, Played, ServerConnection, SetUp, State
from servers.wire.rtsp.server import Paused as ServerPaused

SPS = bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8")
PPS = bytes.fromhex("68ce3c80")
VIDEO = H264Format(sps=SPS, pps=PPS, width=320, height=240)
AUDIO = AACFormat(config=bytes.fromhex("1190"), sample_rate=48000, channels=2)
URL = "rtsp://192.0.2.7/camera/a"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class ConnectionPair:
    """Our client and our server, joined without a network."""

    def __init__(self, formats=(VIDEO, AUDIO), **client):
        self.formats = formats
        self.client = ClientConnection(URL, cnonce="c", **client)
        self.server = ServerConnection("feed")
        self.authority = None
        self.now = 1000.0
        self.events = []
        self.asked = []

    def exchange(self):
        if self.client.step is Step.START:
            self.client.start()
        while (out := self.client.data_to_send()) or self.server.state is State.PLAYING:
            self.server.receive_data(out)
            while event := self.server.next_event():
                self.asked.append(event)
                self.answer(event)
            if not (back := self.server.data_to_send()):
                return self.events
            self.client.receive_data(back)
            while event := self.client.next_event():
                self.events.append(bytes(event.run) if isinstance(event, Frames) else event)
        return self.events

    def answer(self, event):
        if self.authority:
            given = event.request.headers.get("Authorization")
            verdict = given and self.authority.verify(
                Authorization.parse(given),
                event.request.method,
                event.request.uri,
                self.now,
                lambda _user, name: digest.ha1("ada", "vigil", "right", name),
            )
            if not (verdict and verdict.ok):
                offers = self.authority.challenges(self.now, stale=bool(verdict and verdict.stale))
                self.server.respond(401, [("WWW-Authenticate", offer) for offer in offers])
                return
        if isinstance(event, Described):
            self.server.respond(200, {"Content-Type": "application/sdp"}, sdp.serialise(self.formats))
        else:
            self.server.respond(200)


def test_client_and_server_agree_on_a_session():
    pair = ConnectionPair()
    ready, playing = pair.exchange()
    assert [(track.format, track.channel) for track in ready.tracks] == [(VIDEO, 0), (AUDIO, 2)]
    assert isinstance(playing, Playing)
    assert pair.server.state is State.PLAYING
    assert pair.client.session.id == "feed"
    pair.server.send_frame(b"$\x00\x00\x02ab")
    assert pair.exchange()[-1] == b"$\x00\x00\x02ab"
    pair.client.keep_alive()
    pair.client.tear_down()
    pair.exchange()
    assert pair.server.state is State.INIT


def test_sound_is_left_out_on_request():
    pair = ConnectionPair(audio=False)
    assert len(pair.exchange()[0].tracks) == 1


def test_a_password_is_given_with_the_strongest_digest():
    pair = ConnectionPair(username="ada", password="right")
    pair.authority = digest.DigestAuthority("vigil", b"secret")
    assert isinstance(pair.exchange()[-1], Playing)
    used = [Authorization.parse(value) for event in pair.asked if (value := event.request.headers.get("Authorization"))]
    assert {each.algorithm for each in used} == {"SHA-256"}
    assert [each.nc for each in used] == ["00000001", "00000002", "00000003", "00000004"]


def test_a_password_in_the_address_is_used_and_never_sent_in_it():
    client = ClientConnection("rtsp://ada:r%40ght@h/a", cnonce="c")
    client.start()
    assert client.address == Address(url="rtsp://h/a", host="h", port=554, tls=False, username="ada", password="r@ght")
    assert b"DESCRIBE rtsp://h/a RTSP/1.0" in client.data_to_send()


def test_a_nonce_that_grew_old_is_renewed_without_a_word():
    pair = ConnectionPair(username="ada", password="right")
    pair.authority = digest.DigestAuthority("vigil", b"secret", nonce_life_s=10)
    answer = pair.answer

    def slow(event):
        pair.now += 15 if event.request.method == "PLAY" and pair.now == 1000.0 else 0
        answer(event)

    pair.answer = slow
    assert isinstance(pair.exchange()[-1], Playing)


@pytest.mark.parametrize(
    ("credentials", "word"), [({}, "asks for"), ({"username": "ada", "password": "no"}, "not accept")]
)
def test_missing_and_wrong_passwords_are_told_apart(credentials, word):
    pair = ConnectionPair(**credentials)
    pair.authority = digest.DigestAuthority("vigil", b"secret")
    with pytest.raises(RtspUnauthorisedError, match=word):
        pair.exchange()


# --- Odd servers ------------------------------------------------------------------------------------------------------


def ok(cseq, body=b"", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(200, Headers({"CSeq": str(cseq), **fields}), body).serialise()


def description(*formats, cseq=1, **headers):
    return ok(cseq, sdp.serialise(formats), **{"Content_Type": "application/sdp", **headers})


def converse(*answers, url=URL, **options):
    """Let the client speak with a server that says this; returns client, requests and events."""
    client = ClientConnection(url, cnonce="c", **options)
    client.start()
    parser, requests, events = Parser(), [], []
    for answer in (None, *answers):
        if answer is not None:
            client.receive_data(answer)
        while event := client.next_event():
            events.append(bytes(event.run) if isinstance(event, Frames) else event)
        parser.receive(client.data_to_send())
        while message := parser.next():
            requests.append(message)
    return client, requests, events


TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((description(VIDEO), ok(2, Transport=TCP, Session="s"), ok(3)), id="no timeout in Session"),
        pytest.param((description(VIDEO), ok(2, Transport=TCP), ok(3)), id="no Session at all"),
        pytest.param((description(VIDEO), ok(2, Session="s;timeout=30"), ok(3)), id="no Transport in the answer"),
        pytest.param(
            (description(VIDEO).replace(b"CSeq: 1\r\n", b""), ok(2, Transport=TCP).replace(b"CSeq: 2\r\n", b""), ok(3)),
            id="no CSeq",
        ),
        pytest.param(
            (
                description(VIDEO).replace(b"CSeq: 1", b"CSeq :  1 "),
                ok(2, Transport="RTP/AVP/TCP; unicast; interleaved = 0-1", Session=" s ; timeout = 30"),
                b"RTSP/1.0  200  OK\r\nCSeq : 3\r\n\r\n",
            ),
            id="extra spaces",
        ),
        pytest.param(
            (description(VIDEO), ok(2, Transport=TCP), b"$\x00\x00\x04abcd" + ok(3)), id="RTP before the answer to PLAY"
        ),
        pytest.param((description(VIDEO), ok(1), ok(2, Transport=TCP), ok(3)), id="an answer twice"),
        pytest.param(
            (
                Request("OPTIONS", "*", Headers({"CSeq": "9"})).serialise() + description(VIDEO),
                ok(2, Transport=TCP),
                ok(3),
            ),
            id="asks something itself",
        ),
    ],
)
def test_odd_servers_are_played(answers):
    client, _, events = converse(*answers)
    assert client.step is Step.PLAYING
    assert [type(each) for each in events if not isinstance(each, bytes)] == [Ready, Playing]
    assert events[0].tracks[0].channel == 0


def test_channels_are_those_that_the_server_dictates():
    _, _, events = converse(
        description(VIDEO, AUDIO),
        ok(2, Transport="RTP/AVP/TCP;unicast;interleaved=4-5"),
        ok(3, Transport="RTP/AVP/TCP;unicast;interleaved=0-1"),
        ok(4),
    )
    assert [track.channel for track in events[0].tracks] == [4, 0]


def test_one_channel_for_two_tracks_is_not_believed():
    _, _, events = converse(description(VIDEO, AUDIO), ok(2, Transport=TCP), ok(3, Transport=TCP), ok(4))
    assert [track.channel for track in events[0].tracks] == [0, 2]


def test_sound_that_is_refused_is_done_without():
    refusal = Response(500, Headers({"CSeq": "3"})).serialise()
    _, _, events = converse(description(VIDEO, AUDIO), ok(2, Transport=TCP), refusal, ok(4))
    assert [track.format for track in events[0].tracks] == [VIDEO]


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("rtsp://h/a/", "trackID=0", "rtsp://h/a/trackID=0"),
        ("rtsp://h/a", "trackID=0", "rtsp://h/a/trackID=0"),
        (
            "rtsp://h/cam/realmonitor?channel=1&subtype=0/",
            "trackID=0",
            "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=0",
        ),
        ("rtsp://h/a", "rtsp://10.0.0.1/b/track1", "rtsp://10.0.0.1/b/track1"),
        ("rtsp://h/a", "*", "rtsp://h/a"),
        ("rtsp://h/a", "", "rtsp://h/a"),
        ("rtsp://h/a/", "/track1", "rtsp://h/a/track1"),
    ],
    ids=[
        "by the book",
        "no slash",
        "dahua: behind the query",
        "hikvision: absolute",
        "aggregate",
        "none",
        "two slashes",
    ],
)
def test_controls_are_resolved(base, control, expected):
    assert resolve(base, control) == expected


def test_the_content_base_is_the_base_of_controls():
    _, requests, _ = converse(
        description(VIDEO, Content_Base="rtsp://h/other/"), ok(2, Transport=TCP, Session="s"), ok(3)
    )
    assert [(each.method, each.uri) for each in requests] == [
        ("DESCRIBE", URL),
        ("SETUP", "rtsp://h/other/trackID=0"),
        ("PLAY", "rtsp://h/other/"),
    ]


def test_an_address_with_spaces_stays_one_word():
    _, (request,), _ = converse(url="rtsp://h/my camera")
    assert request.uri == "rtsp://h/my%20camera"


def refused(status, **headers):
    return Response(status, Headers({"CSeq": "1", **headers})).serialise()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refused(404), RtspRefusedError, "check the path"),
        (refused(503), RtspRefusedError, "busy"),
        (refused(302, Location="rtsp://10.0.0.9/x"), RtspRefusedError, "rtsp://10.0.0.9/x"),
        (refused(461), RtspUnsupportedError, "TCP"),
        (refused(401), RtspUnauthorisedError, "user name"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", RtspProtocolError, "554"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", RtspProtocolError, "address and port"),
        (b"\x00\x01\x02", RtspProtocolError, "address and port"),
        (ok(1, b"hello", Content_Type="text/plain"), RtspProtocolError, "text/plain"),
        (ok(1, b"hello", Content_Type="application/sdp"), RtspProtocolError, "SDP"),
        (
            ok(1, b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"),
            RtspUnsupportedError,
            "video H265",
        ),
        (Request("REDIRECT", "*", Headers({"CSeq": "9"})).serialise(), RtspUnreachableError, "REDIRECT"),
    ],
)
def test_refusals_are_sentences_that_say_what_to_do(answer, error, words):
    with pytest.raises(error, match=words):
        converse(answer)


def test_a_server_that_insists_on_udp_is_not_played():
    with pytest.raises(RtspUnsupportedError, match="TCP"):
        converse(description(VIDEO), ok(2, Transport="RTP/AVP;unicast;client_port=1-2"))


@pytest.mark.parametrize("url", ["http://h/a", "rtsp://", "h/a", "rtsp://h:99999/a", ""])
def test_addresses_that_are_none_are_explained(url):
    with pytest.raises(RtspUnsupportedError, match=r"rtsp://192\.0\.2\.7"):
        Address.parse(url)


def test_keep_alive_changes_to_options_where_get_parameter_is_not_known():
    client, _, _ = converse(description(VIDEO), ok(2, Transport=TCP, Session="s;timeout=20"), ok(3))
    assert client.keep_alive_s == 10
    client.keep_alive()
    assert client.data_to_send().startswith(b"GET_PARAMETER rtsp://192.0.2.7/camera/a RTSP/1.0\r\nCSeq: 4\r\n")
    client.receive_data(Response(501, Headers({"CSeq": "4"})).serialise())
    assert client.next_event() is None
    client.keep_alive()
    assert client.data_to_send().startswith(b"OPTIONS ")


def converse_to_the_end(*answers):
    """Whatever a source says, nothing but a sentence may come of it."""
    with contextlib.suppress(RtspClientError):
        converse(*answers)


@given(st.binary(max_size=300))
def test_any_bytes_are_played_or_end_with_a_sentence(data):
    converse_to_the_end(description(VIDEO), data)


@given(st.integers(0, 1000), st.integers(0, 255))
def test_a_damaged_description_is_played_or_ends_with_a_sentence(at, value):
    damaged = bytearray(description(VIDEO, AUDIO))
    damaged[at % len(damaged)] = value
    converse_to_the_end(bytes(damaged))


class ReplayPair(ConnectionPair):
    """A session on recorded video; `refuses` is what the next PLAY or PAUSE is answered with."""

    def __init__(self, **client):
        super().__init__(replay=True, **client)
        self.refuses = None

    def answer(self, event):
        if isinstance(event, Played | ServerPaused) and self.refuses:
            self.server.respond(self.refuses, {"Content-Type": "text/plain; charset=utf-8"}, b"there is none;\nsorry")
        elif isinstance(event, Played):
            said = [
                ("Range", "clock=20260131T120000Z-"),
                ("Scale", "-2"),
                ("RTP-Info", "url=trackID=0;seq=1;rtptime=5"),
            ]
            self.server.respond(200, said)
        else:
            super().answer(event)


def test_a_session_on_recorded_video_is_set_up_and_plays_when_it_is_told_to():
    pair = ReplayPair()
    (ready,) = pair.exchange()
    assert [track.channel for track in ready.tracks] == [0, 2]
    assert pair.client.step is Step.READY
    assert all(
        event.request.headers.get("Require") == "onvif-replay" for event in pair.asked if isinstance(event, SetUp)
    )
    pair.client.play({"Range": "clock=20260131T120000Z-", "Scale": "-2", "Rate-Control": "no"})
    playing = pair.exchange()[-1]
    assert (playing.range.start, playing.scale, playing.info[0].rtptime) == (NOON, -2.0, 5)
    asked = pair.asked[-1]
    assert (asked.scale, asked.replaying.paced, asked.extension) == (-2.0, False, True)
    pair.client.pause()
    assert pair.exchange()[-1] == Paused()
    pair.client.keep_alive()
    assert b"GET_PARAMETER" in pair.client.data_to_send()


def test_a_refused_play_is_an_event_with_the_servers_own_words_and_the_session_goes_on():
    pair = ReplayPair()
    pair.exchange()
    pair.refuses = 457
    pair.client.play({"Scale": "1"})
    refused = pair.exchange()[-1]
    assert isinstance(refused, Refused)
    assert (refused.error.status, str(refused.error)) == (457, "there is none; sorry")
    pair.refuses = None
    pair.client.play({"Scale": "1"})
    assert isinstance(pair.exchange()[-1], Playing)


def test_one_thing_is_asked_at_a_time_and_only_of_recorded_video():
    pair = ReplayPair()
    with pytest.raises(LocalProtocolError):
        pair.client.pause()
    pair.exchange()
    pair.client.play({})
    with pytest.raises(LocalProtocolError):
        pair.client.pause()
    live = ConnectionPair()
    live.exchange()
    with pytest.raises(LocalProtocolError):
        live.client.pause()
