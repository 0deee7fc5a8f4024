"""Ordinary MP4 files (ISO/IEC 14496-12): the tables of all samples first, then their bytes, in one go.

A file of this kind is what every player and editor takes, and its length is known before the first byte is sent. What
lies before the wanted beginning, because decoding needs it, is hidden by an edit list (section 8.6.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from struct import Struct

from servers.wire.media import Format
from servers.wire.mp4.boxes import box, full_box
from servers.wire.mp4.init import UNITY_MATRIX, media_box, sample_entry, track_header

MOVIE_TIMESCALE = 1000
MAC_EPOCH_S = 2_082_844_800
"""Seconds from 1904, where the format counts from, to 1970."""
_BIG = 1 << 32


@dataclass(slots=True)
class MovieTrack:
    """One track: samples with their times, and where their bytes will be."""

    formats: list[Format] = field(default_factory=list)
    """Of its samples; more than one where the picture changed its size."""
    sizes: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """When each sample begins, in ticks of the track's clock from the movie's first picture on; they never fall."""
    keys: list[bool] = field(default_factory=list)
    last_duration: int = 0
    """Ticks; of the last sample."""
    chunks: list[tuple[int, int, int]] = field(default_factory=list)
    """Where a run of samples begins, counted from the first sample; how many they are; the number of their format."""

    @property
    def rate(self) -> int:
        """Ticks a second."""
        return self.formats[0].clock_rate

    @property
    def end(self) -> int:
        """Ticks at which the last sample ends."""
        return self.starts[-1] + self.last_duration if self.starts else 0


def movie_head(tracks: Sequence[MovieTrack], payload: int, *, hidden_us: int = 0, created_us: int = 0) -> bytes:
    """All that stands before the samples' bytes, of which there are `payload`.

    `hidden_us`: how much at the beginning is not shown. `created_us`: when the first picture shown was taken, µs since
    1970; the file says it to the second.
    """
    first = box(b"ftyp", b"isom", (512).to_bytes(4, "big"), b"isomiso2avc1mp41")
    mdat = (1).to_bytes(4, "big") + b"mdat" + (payload + 16).to_bytes(8, "big")
    # Where the samples lie depends on how long the tables are, and the length not on what stands in them.
    tables = _moov(tracks, hidden_us, created_us, 0)
    offset = len(first) + len(tables) + len(mdat)
    return first + _moov(tracks, hidden_us, created_us, offset) + mdat


def _moov(tracks: Sequence[MovieTrack], hidden_us: int, created_us: int, offset: int) -> bytes:
    at = created_us // 1_000_000 + MAC_EPOCH_S if created_us else 0
    lengths = [_shown(track, hidden_us) for track in tracks]
    header = Struct(">QQIQIH10x36s24xI").pack(
        at, at, MOVIE_TIMESCALE, max(lengths, default=0), 0x10000, 0x100, UNITY_MATRIX, len(tracks) + 1
    )
    parts = [full_box(b"mvhd", 1, 0, header)]
    for number, track in enumerate(tracks, 1):
        parts.append(
            box(
                b"trak",
                track_header(number, track.formats[0], lengths[number - 1]),
                _edits(track, hidden_us, lengths[number - 1]),
                media_box(track.formats[0], track.end, _tables(track, offset)),
            )
        )
    return box(b"moov", *parts)


def _shown(track: MovieTrack, hidden_us: int) -> int:
    """How long the track is shown, in the movie's clock."""
    return max(0, track.end * 1_000_000 // track.rate - hidden_us) * MOVIE_TIMESCALE // 1_000_000


def _edits(track: MovieTrack, hidden_us: int, length: int) -> bytes:
    """The edit list: a wait where the track begins later than the movie, then what is shown of it."""
    begin = track.starts[0] if track.starts else 0
    skip = hidden_us * track.rate // 1_000_000
    entries = []
    if begin > skip:
        wait = (begin - skip) * MOVIE_TIMESCALE // track.rate
        entries.append(Struct(">QqI").pack(wait, -1, 0x10000))
        length -= wait
    # Times of samples in the tables count from the track's first.
    entries.append(Struct(">QqI").pack(max(length, 0), max(skip - begin, 0), 0x10000))
    return box(b"edts", full_box(b"elst", 1, 0, len(entries).to_bytes(4, "big"), *entries))


def _tables(track: MovieTrack, offset: int) -> bytes:
    pair, triple = Struct(">II"), Struct(">III")
    follow = [*track.starts[1:], track.end]
    durations = [after - start for start, after in zip(track.starts, follow, strict=True)]
    times = [(sum(1 for _ in run), duration) for duration, run in groupby(durations)]
    places, before = [], (0, 0)
    for number, (_, samples, format_) in enumerate(track.chunks, 1):
        if (samples, format_) != before:
            before = (samples, format_)
            places.append(triple.pack(number, samples, format_ + 1))
    keys = [number for number, key in enumerate(track.keys, 1) if key]
    entries = [sample_entry(each) for each in track.formats]
    return box(
        b"stbl",
        full_box(b"stsd", 0, 0, len(entries).to_bytes(4, "big"), *entries),
        full_box(b"stts", 0, 0, len(times).to_bytes(4, "big"), b"".join(pair.pack(*each) for each in times)),
        b""
        if len(keys) == len(track.keys)
        else full_box(b"stss", 0, 0, len(keys).to_bytes(4, "big"), Struct(f">{len(keys)}I").pack(*keys)),
        full_box(b"stsc", 0, 0, len(places).to_bytes(4, "big"), *places),
        full_box(b"stsz", 0, 0, pair.pack(0, len(track.sizes)), Struct(f">{len(track.sizes)}I").pack(*track.sizes)),
        full_box(
            b"co64",
            0,
            0,
            len(track.chunks).to_bytes(4, "big"),
            Struct(f">{len(track.chunks)}Q").pack(*(at + offset for at, _, _ in track.chunks)),
        ),
    )
