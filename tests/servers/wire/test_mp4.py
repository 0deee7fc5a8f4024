import io
import json
import shutil
import subprocess

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.wire import mp4
from servers.wire.media import AACFormat, H264Format
from servers.wire.mp4.boxes import ntp_of, time_of

SPS = bytes.fromhex("6742c00dda0507e84000000300400000 0ca3c50aa8".replace(" ", ""))
VIDEO = H264Format(sps=SPS, pps=bytes.fromhex("68ce0fc8"), width=320, height=240)
AUDIO = AACFormat(config=b"\x11\x90", sample_rate=48_000, channels=2)
LABEL = mp4.Label(camera_id="gate", stream="main")

samples = st.lists(
    st.builds(
        mp4.Sample,
        st.binary(max_size=40),
        st.integers(0, 2**32 - 1),
        st.booleans(),
        st.integers(-(2**31), 2**31 - 1) | st.just(0),
    ),
    min_size=1,
    max_size=5,
)


def whole(data, **given):
    return mp4.scan(lambda offset, length: data[offset : offset + length], len(data), **given)


def nal(size, fill=65):
    return size.to_bytes(4, "big") + bytes([fill]) * size


def file_of(fragments=3):
    data = mp4.init_segment((VIDEO, AUDIO), label=LABEL)
    edges = []
    for number in range(fragments):
        video = [mp4.Sample(nal(50 + n), 3600, n == 0 and number % 2 == 0) for n in range(25)]
        audio = [mp4.Sample(b"sound", 1024, key=True) for _ in range(46)]
        runs = [mp4.Run(0, number * 90_000, video), mp4.Run(1, number * 48_000, audio)]
        edges.append(len(data))
        data += b"".join(mp4.fragment(number + 1, runs, wall_clock_us=1_763_862_000_123_456 + number * 1_000_000))
    return data, edges


def test_codec_strings_are_what_browsers_ask_for():
    assert mp4.codec_string(VIDEO) == "avc1.42c00d"
    assert mp4.codec_string(AUDIO) == "mp4a.40.2"
    assert mp4.mime_type((VIDEO, AUDIO)) == 'video/mp4; codecs="avc1.42c00d, mp4a.40.2"'
    assert mp4.mime_type((AUDIO,)) == 'audio/mp4; codecs="mp4a.40.2"'


def test_an_initialisation_segment_reads_back():
    init = mp4.parse_init(mp4.init_segment((VIDEO, AUDIO), label=LABEL) + b"rest")
    assert init.formats == (VIDEO, AUDIO)
    assert init.label == LABEL


def test_the_picture_size_is_found_when_the_format_lacks_it():
    unsized = H264Format(sps=SPS, pps=VIDEO.pps)
    assert mp4.parse_init(mp4.init_segment((unsized,))).formats == (VIDEO,)


@given(
    st.integers(1, 2**32 - 1),
    st.lists(st.builds(mp4.Run, st.integers(0, 7), st.integers(0, 2**64 - 1), samples), min_size=1, max_size=3),
    st.none() | st.integers(0, 4_000_000_000_000_000),
)
def test_any_fragment_reads_back(sequence, runs, wall):
    assert mp4.parse_fragment(b"".join(mp4.fragment(sequence, runs, wall_clock_us=wall))) == (wall, runs)


@given(st.integers(0, 2**63), st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=99), st.booleans())
def test_a_fragment_of_one_frame_reads_back(time, duration, data, key):
    fragment = mp4.frame_fragment(9, 1, time, duration, data, key=key)
    assert mp4.parse_fragment(fragment) == (None, [mp4.Run(1, time, [mp4.Sample(data, duration, key)])])
    assert fragment == b"".join(mp4.fragment(9, [mp4.Run(1, time, [mp4.Sample(data, duration, key)])]))


@given(st.integers(0, 4_200_000_000_000_000))
def test_the_wall_clock_survives_as_ntp_beyond_2036(time_us):
    assert time_of(ntp_of(time_us)) == time_us


def test_a_scan_finds_every_fragment():
    data, edges = file_of(4)
    found = whole(data, verify_from=0)
    assert found.end == len(data)
    assert [f.offset for f in found.fragments] == edges
    assert [f.key for f in found.fragments] == [True, False, True, False]
    assert [f.time_us for f in found.fragments] == [1_763_862_000_123_456 + n * 1_000_000 for n in range(4)]
    assert {f.duration_us for f in found.fragments} == {1_000_000}


@settings(max_examples=60)
@given(st.data())
def test_wherever_a_file_is_torn_the_whole_fragments_before_are_found(data):
    content, edges = file_of(3)
    edges = [*edges, len(content)]
    cut = data.draw(st.integers(edges[0], len(content)))
    found = whole(content[:cut], verify_from=0)
    assert found.end == max(edge for edge in edges if edge <= cut)
    assert len(found.fragments) == edges.index(found.end)


@settings(max_examples=60)
@given(st.data())
def test_garbage_behind_the_last_fragment_is_no_footage(data):
    content, _ = file_of(2)
    garbage = data.draw(st.binary(min_size=1, max_size=200))
    assert whole(content + garbage, verify_from=0).end == len(content)


def test_blocks_that_a_power_cut_left_empty_are_found_only_by_looking():
    content, edges = file_of(3)
    holed = content[: edges[2] + 1500] + bytes(len(content) - edges[2] - 1500)
    assert whole(holed, verify_from=edges[1]).end == edges[2]
    assert whole(holed).end == len(content)


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_file_never_raises_anything_else(data):
    content, _edges = file_of(2)
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:at] + data.draw(st.binary(min_size=1, max_size=8)) + content[at + 8 :]
    try:
        found = whole(damaged, verify_from=0)
    except mp4.Mp4Error:
        return
    assert found.end <= len(damaged)


def _recording(film):
    video, pictures = film.bars(75)
    audio, sound = film.sound(3.0)
    data = mp4.init_segment((video, audio), label=LABEL)
    for second in range(3):
        part = pictures[second * 25 : second * 25 + 25]
        heard = sound[second * 47 : second * 47 + 47]
        runs = [
            mp4.Run(0, second * 90_000, [mp4.Sample(unit.data, 3600, unit.key) for unit in part]),
            mp4.Run(1, second * 47 * 1024, [mp4.Sample(unit.data, 1024, unit.key) for unit in heard]),
        ]
        data += b"".join(mp4.fragment(second + 1, runs, wall_clock_us=part[0].received_us))
    return data


@pytest.mark.peers
def test_pyav_decodes_what_is_written(film):
    with av.open(io.BytesIO(_recording(film))) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        pictures = list(container.decode(video=0))
    assert len(pictures) == 75
    assert (pictures[0].width, pictures[0].height) == (320, 240)
    assert [frame.pts for frame in pictures] == [number * 3600 for number in range(75)]


@pytest.mark.peers
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_has_nothing_to_complain_about(film, tmp_path):
    path = tmp_path / "segment.mp4"
    path.write_bytes(_recording(film))
    command = "ffprobe -v warning -count_frames -show_entries stream=codec_name,nb_read_frames,duration -of json"
    done = subprocess.run([*command.split(), str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    video, audio = json.loads(done.stdout)["streams"]
    assert (video["codec_name"], video["nb_read_frames"], video["duration"]) == ("h264", "75", "3.000000")
    assert (audio["codec_name"], audio["nb_read_frames"]) == ("aac", "141")


def test_frame_by_frame_plays_like_a_file(film):
    video, pictures = film.bars(50)
    data = mp4.init_segment((video,)) + b"".join(
        mp4.frame_fragment(number + 1, 0, number * 3600, 3600, unit.data, key=unit.key)
        for number, unit in enumerate(pictures)
    )
    with av.open(io.BytesIO(data)) as container:
        assert len(list(container.decode(video=0))) == 50
