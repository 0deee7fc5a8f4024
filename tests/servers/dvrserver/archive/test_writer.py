from hypothesis import given
from hypothesis import strategies as st

from servers.dvrserver.archive.writer import SegmentWriter
from servers.wire import mp4
from servers.wire.media import AACFormat, AccessUnit, H264Format

VIDEO = H264Format(sps=bytes.fromhex("6742c00dda0507e840000003004000000ca3c50aa8"), pps=b"\x68\xce\x0f\xc8")
OTHER = H264Format(sps=VIDEO.sps, pps=b"\x68\xce\x0f\xc9")
AUDIO = AACFormat(config=b"\x11\x90", sample_rate=48_000, channels=2)
START = 1_763_862_000_000_000


class Shelf:
    """Takes what a volume takes, and keeps it in memory."""

    def __init__(self):
        self.pieces = {}
        self.finished = []

    def submit(self, piece):
        assert piece.size == sum(map(len, piece.buffers))
        self.pieces.setdefault(piece.segment, []).append(piece)
        return True

    def finish(self, segment):
        self.finished.append(segment)


def read_back(shelf):
    """Pictures (data, tick, whether key, segment's start, its PPS) and sounds in the files, as a scan finds them."""
    pictures, sounds = [], []
    for segment, pieces in shelf.pieces.items():
        content = b"".join(b"".join(piece.buffers) for piece in pieces)
        found = mp4.scan(lambda at, size, content=content: content[at : at + size], len(content), verify_from=0)
        assert found.end == len(content)
        assert found.init.label == mp4.Label(camera_id="gate", stream="main")
        assert [(f.time_us, f.duration_us, f.key) for f in found.fragments] == [
            (piece.time_us, piece.duration_us, piece.key) for piece in pieces
        ]
        assert found.fragments[0].key
        assert found.fragments[0].time_us == segment.start_us
        for fragment in found.fragments:
            _, (video, *rest) = mp4.parse_fragment(content[fragment.offset : fragment.offset + fragment.size])
            tick = video.time
            for sample in video.samples:
                pictures.append((sample.data, tick, sample.key, segment.start_us, found.init.formats[0].pps))
                tick += sample.duration
            sounds += [sample.data for run in rest for sample in run.samples]
    return pictures, sounds


steps = st.tuples(
    st.sampled_from(["key", "picture", "sound", "format"]),
    st.sampled_from([1, 20_000, 21_333, 40_000, 400_000, 1_200_000, 3_000_000]),
)


@given(st.lists(steps, max_size=80), st.booleans())
def test_every_picture_from_the_first_key_frame_on_is_in_one_file_once_and_in_order(sent, flushed):
    shelf, format_, times = Shelf(), VIDEO, [START, START]
    writer = SegmentWriter(shelf, "gate", "main", (VIDEO, AUDIO), segment_us=5_000_000, fragment_us=1_000_000)
    expected, heard = [], []
    for number, (kind, step) in enumerate(sent):
        track = 1 if kind == "sound" else 0
        times[track] += step
        key = kind != "picture"
        if kind == "format":
            format_ = OTHER if format_ == VIDEO else VIDEO
        name = number.to_bytes(4, "big")
        data = b"\0\0\0\5\x65" + name
        unit = AccessUnit(track=track, timestamp=number, key=key, data=data, received_us=0)
        unit.format = format_ if kind == "format" else None
        writer.write([unit], [times[track]])
        if track:
            heard.append(data)
        elif expected or key:
            expected.append((data, times[0], key, format_))
        if flushed and number % 7 == 0:
            writer.flush()
    writer.close()
    written, sound = read_back(shelf)
    assert [(data, key) for data, _, key, _, _ in written] == [(data, key) for data, _, key, _ in expected]
    assert [pps for *_, pps in written] == [format_.pps for *_, format_ in expected]
    for (_, tick, _, start_us, _), (_, time_us, _, _) in zip(written, expected, strict=True):
        assert tick == (time_us - start_us) * 90_000 // 1_000_000
    assert len(sound) == len(set(sound))
    assert set(sound) <= set(heard)
    assert sound == sorted(sound)
    assert set(shelf.finished) == set(shelf.pieces)


def test_nothing_is_written_before_it_is_known_what_comes():
    shelf = Shelf()
    unknown = H264Format(sps=b"", pps=b"")
    writer = SegmentWriter(shelf, "gate", "main", (unknown,), segment_us=5_000_000, fragment_us=1_000_000)
    unit = AccessUnit(track=0, timestamp=0, key=True, data=b"\0\0\0\1\x65", received_us=0)
    writer.write([unit, unit], [START, START + 40_000])
    unit.format = VIDEO
    writer.write([unit], [START + 80_000])
    writer.close()
    assert [piece.time_us for pieces in shelf.pieces.values() for piece in pieces] == [START + 80_000]


def test_sound_that_arrives_with_rounded_times_has_no_clicks():
    shelf = Shelf()
    writer = SegmentWriter(shelf, "gate", "main", (VIDEO, AUDIO), segment_us=60_000_000, fragment_us=1_000_000)
    for number in range(100):
        data = b"\0\0\0\1\x65"
        picture = AccessUnit(track=0, timestamp=number, key=number % 25 == 0, data=data, received_us=0)
        writer.write([picture], [START + number * 40_000])
        for frame in range(number * 40 * 48 // 1024, (number + 1) * 40 * 48 // 1024):
            time_us = START + frame * 1024 * 1_000_000 // 48_000 + frame % 3
            writer.write([AccessUnit(track=1, timestamp=0, key=True, data=b"x", received_us=0)], [time_us])
    writer.close()
    end = 0
    for pieces in shelf.pieces.values():
        for piece in pieces:
            _, runs = mp4.parse_fragment(b"".join(piece.buffers)[piece.head :])
            for run in runs[1:]:
                assert run.time == end
                assert {sample.duration for sample in run.samples} == {1024}
                end += 1024 * len(run.samples)
    assert end > 180 * 1024
