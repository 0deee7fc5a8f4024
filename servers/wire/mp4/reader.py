"""Reads back what `init` and `fragment` write: formats, samples, and where a file's fragments lie."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from servers.wire.media import AACFormat, Format, H264Format
from servers.wire.mp4.boxes import Found, Mp4Error, children, head, time_of
from servers.wire.mp4.fragment import Run, Sample
from servers.wire.mp4.init import Label

_U32 = Struct(">I")
_U64 = Struct(">Q")
_PRFT = Struct(">IIQQ")
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_NON_SYNC = 0x1_0000
_VISUAL_ENTRY, _AUDIO_ENTRY = 78, 28
"""Bytes of a sample entry in front of its own boxes."""
MAX_MOOF = 1 << 20
"""Bytes; a moof of one second is below 10 kB, so a longer one is a damaged size."""
MAX_INIT = 1 << 20
_LENGTH = 4
"""Bytes of the length in front of each NAL unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """What an initialisation segment says."""

    formats: tuple[Format, ...]
    label: Label | None
    size: int
    """In bytes."""


class FoundFragment(NamedTuple):
    """A fragment in a file."""

    time_us: int
    """When its first sample was captured, µs since 1970."""
    offset: int
    """Where its first byte is, the `prft` box's."""
    size: int
    """In bytes, `prft` and `mdat` included."""
    duration_us: int
    """Of its first run."""
    key: bool
    """Whether decoding can begin with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a segment file holds."""

    init: Init
    fragments: tuple[FoundFragment, ...]
    end: int
    """Bytes that are whole; what follows is the torn tail."""


def parse_init(data: bytes) -> Init:
    """Read an initialisation segment at the start of `data`.

    Raises:
        Mp4Error: It is torn, or a track is of no codec known here.
    """
    at, label = 0, None
    while True:
        found = head(data, at, len(data))
        if found is None:
            raise Mp4Error("the file does not begin with a whole initialisation segment")
        if found.kind == b"uuid":
            label = Label.decode(data[found.body : found.end]) or label
        elif found.kind == b"moov":
            formats = tuple(
                _format(data, trak) for trak in children(data, found.body, found.end) if trak.kind == b"trak"
            )
            return Init(formats=formats, label=label, size=found.end)
        elif found.kind not in (b"ftyp", b"free", b"styp"):
            raise Mp4Error(f"a box {found.kind!r} stands before the movie box")
        at = found.end


def _find(data: bytes, within: Found, *path: bytes) -> Found:
    for kind in path:
        within = next((child for child in children(data, within.body, within.end) if child.kind == kind), within)
        if within.kind != kind:
            raise Mp4Error(f"a box {kind!r} is missing")
    return within


def _format(data: bytes, trak: Found) -> Format:
    mdhd = _find(data, trak, b"mdia", b"mdhd")
    (rate,) = _U32.unpack_from(data, mdhd.body + 12)
    stsd = _find(data, trak, b"mdia", b"minf", b"stbl", b"stsd")
    entry = head(data, stsd.body + 8, stsd.end)
    if entry is None:
        raise Mp4Error("a track has no sample entry")
    if entry.kind == b"avc1":
        inner = Found(b"avc1", entry.start, entry.body + _VISUAL_ENTRY, entry.end)
        avcc = _find(data, inner, b"avcC")
        at = avcc.body + 6
        sps_size = int.from_bytes(data[at : at + 2], "big")
        sps = data[at + 2 : at + 2 + sps_size]
        at += 2 + sps_size + 1
        pps_size = int.from_bytes(data[at : at + 2], "big")
        width, height = Struct(">2H").unpack_from(data, entry.body + 24)
        pps = data[at + 2 : at + 2 + pps_size]
        return H264Format(sps=sps, pps=pps, width=width, height=height, clock_rate=rate)
    if entry.kind == b"mp4a":
        (channels,) = Struct(">H").unpack_from(data, entry.body + 16)
        inner = Found(b"mp4a", entry.start, entry.body + _AUDIO_ENTRY, entry.end)
        esds = _find(data, inner, b"esds")
        config = _audio_config(data[esds.body + 4 : esds.end])
        return AACFormat(config=config, sample_rate=rate, channels=channels)
    raise Mp4Error(f"no codec is known for a sample entry {entry.kind!r}")


def _audio_config(descriptors: bytes) -> bytes:
    """The content of descriptor 5, as `init` nests it: 3 [3 bytes] holds 4 [13 bytes] holds 5."""
    at = 0
    for tag, skip in ((3, 3), (4, 13), (5, 0)):
        if at + 2 > len(descriptors) or descriptors[at] != tag:
            raise Mp4Error("the audio track has no configuration")
        size = descriptors[at + 1]
        at += 2 + skip
    return descriptors[at : at + size]


class _Traf(NamedTuple):
    track: int
    time: int
    samples: list[tuple[int, int, bool, int]]
    """Duration, size, key, composition."""
    offset: int
    """Of the first sample from the start of the moof."""


def _trafs(data: bytes, moof: Found) -> list[_Traf]:
    return [_traf(data, child) for child in children(data, moof.body, moof.end) if child.kind == b"traf"]


def _traf(data: bytes, traf: Found) -> _Traf:
    track = time = offset = 0
    samples: list[tuple[int, int, bool, int]] = []
    for child in children(data, traf.body, traf.end):
        if child.kind == b"tfhd":
            track = _U32.unpack_from(data, child.body + 4)[0] - 1
        elif child.kind == b"tfdt":
            (time,) = _U64.unpack_from(data, child.body + 4)
        elif child.kind == b"trun":
            flags, count, offset = Struct(">I I i").unpack_from(data, child.body)
            columns = 4 if flags & 0x800 else 3
            if flags & 0x701 != 0x701 or child.end - child.body != 12 + 4 * columns * count:  # noqa: PLR2004 - as written
                raise Mp4Error("a run is not laid out as ours are")
            row = Struct(">IIIi" if columns == 4 else ">III")  # noqa: PLR2004 - with composition
            for values in row.iter_unpack(data[child.body + 12 : child.end]):
                samples.append((values[0], values[1], not values[2] & _NON_SYNC, values[3] if columns == 4 else 0))  # noqa: PLR2004, PERF401 - see above; a comprehension would hide the columns
    return _Traf(track, time, samples, offset)


def parse_fragment(data: bytes) -> tuple[int | None, list[Run]]:
    """Wall clock (µs since 1970, of the first run's first sample; none without `prft`) and runs of one fragment.

    Raises:
        Mp4Error: It is torn or not laid out as ours are.
    """
    wall: int | None = None
    at = 0
    while True:
        found = head(data, at, len(data))
        if found is None:
            raise Mp4Error("the fragment is torn")
        if found.kind == b"prft":
            wall = time_of(_PRFT.unpack_from(data, found.body)[2])
        elif found.kind == b"moof":
            return wall, [_run(data, found.start, traf) for traf in _trafs(data, found)]
        at = found.end


class LaidRun(NamedTuple):
    """Where the samples of a run lie."""

    track: int
    time: int
    """Decode time of the first sample, ticks."""
    offset: int
    """Of the first sample, from the fragment's first byte on; the others follow without a gap."""
    samples: list[tuple[int, int, bool, int]]
    """Duration, size, key, composition."""


def fragment_layout(front: bytes) -> list[LaidRun] | None:
    """Where a fragment's samples lie, from the front of it; none when more of the fragment is needed to say it.

    Raises:
        Mp4Error: It is not laid out as ours are.
    """
    at = 0
    while found := head(front, at, len(front)):
        if found.kind == b"moof":
            return [
                LaidRun(traf.track, traf.time, found.start + traf.offset, traf.samples) for traf in _trafs(front, found)
            ]
        at = found.end
    return None


def leading_sample(front: bytes) -> tuple[int, int, int, int, int] | None:
    """Where the first sample lies, from the front of a fragment: track, time and duration in ticks, start and size.

    None when more of the fragment is needed to say it.

    Raises:
        Mp4Error: It is not laid out as ours are.
    """
    runs = fragment_layout(front)
    if runs is None:
        return None
    if not runs or not runs[0].samples:
        raise Mp4Error("the fragment holds no picture")
    duration, size, _, _ = runs[0].samples[0]
    return runs[0].track, runs[0].time, duration, runs[0].offset, size


def _run(data: bytes, moof_start: int, traf: _Traf) -> Run:
    at = moof_start + traf.offset
    samples = []
    for duration, size, key, composition in traf.samples:
        samples.append(Sample(data[at : at + size], duration, key, composition))
        at += size
    if at > len(data):
        raise Mp4Error("the fragment is torn")
    return Run(traf.track, traf.time, samples)


def scan(read: Callable[[int, int], bytes], size: int, *, verify_from: int | None = None) -> Scan:
    """Find the fragments of a file of `size` bytes through `read(offset, length)`.

    The scan ends where the file is torn. Samples are read only from byte `verify_from` on: there the NAL lengths of
    video must add up, which finds blocks that a power cut left empty.

    Raises:
        Mp4Error: Not even the initialisation segment can be read.
    """
    init = parse_init(read(0, min(size, MAX_INIT)))
    fragments: list[FoundFragment] = []
    at = init.size
    while at < size:
        try:
            found = _fragment_at(read, at, size, init.formats)
            if found is None or (verify_from is not None and at >= verify_from and not _whole(read, found, init)):
                break
        except (Mp4Error, struct.error, IndexError):
            break
        fragments.append(found)
        at = found.offset + found.size
    return Scan(init=init, fragments=tuple(fragments), end=at)


def _fragment_at(
    read: Callable[[int, int], bytes], at: int, size: int, formats: Sequence[Format]
) -> FoundFragment | None:
    front = read(at, 48)
    prft = head(front, 0, size - at)
    if prft is None or prft.kind != b"prft" or prft.end != _PRFT.size + 8:
        return None
    moof = head(front, prft.end, size - at)
    if moof is None or moof.kind != b"moof" or moof.end - moof.start > MAX_MOOF:
        return None
    data = read(at, moof.end + 16)
    mdat = head(data, moof.end, size - at)
    if mdat is None or mdat.kind != b"mdat":
        return None
    _, _, ntp, _ = _PRFT.unpack_from(data, prft.body)
    trafs = _trafs(data, moof)
    ticks = sum(sample[0] for sample in trafs[0].samples)
    duration_us = ticks * 1_000_000 // formats[trafs[0].track].clock_rate
    key = bool(trafs[0].samples[0][2])
    return FoundFragment(time_of(ntp), at, mdat.end, duration_us, key)


def _whole(read: Callable[[int, int], bytes], found: FoundFragment, init: Init) -> bool:
    _, runs = parse_fragment(read(found.offset, found.size))
    return all(
        _lengths_add_up(sample.data)
        for run in runs
        if init.formats[run.track].media == "video"
        for sample in run.samples
    )


def _lengths_add_up(data: bytes) -> bool:
    at = 0
    while at + _LENGTH < len(data):
        size = int.from_bytes(data[at : at + _LENGTH], "big")
        if size == 0:
            return False
        at += _LENGTH + size
    return at == len(data)
