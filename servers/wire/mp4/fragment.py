"""Fragments: a `moof` that describes samples and the `mdat` that holds them (ISO/IEC 14496-12, section 8.8)."""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from servers.wire.mp4.boxes import ntp_of
from servers.wire.mp4.init import KEY_FLAGS

DELTA_FLAGS = 0x0101_0000
"""A sample that depends on others and is no sync sample (section 8.8.3.1)."""

_BASE_IS_MOOF = 0x02_0000
_TRUN_FLAGS = 0x01 | 0x100 | 0x200 | 0x400
"""Data offset; a duration, a size and flags per sample."""
_TRUN_COMPOSITION = 0x800

_MOOF = Struct(">I4sI4sII")
_TRAF = Struct(">I4sI4sIII4sIQI4sIIi")
_PRFT = Struct(">I4sIIQQ")
_MDAT = Struct(">I4s")
_MDAT_LARGE = Struct(">I4sQ")
_FRAME = Struct(">I4sI4sII" + "I4sI4sIII4sIQI4sIIi" + "III" + "I4s")
_MAX_BOX = 0xFFFF_FFFF
_FULL_V1 = 1 << 24

PRFT_SIZE = _PRFT.size


class Sample(NamedTuple):
    """One access unit in a run."""

    data: bytes
    duration: int
    """Ticks of the track's clock until the next sample."""
    key: bool
    composition: int = 0
    """Ticks by which it is shown after it is decoded; 0 without B frames."""


class Run(NamedTuple):
    """Consecutive samples of one track."""

    track: int
    """Index into the formats."""
    time: int
    """Decode time of the first sample in ticks of the track's clock, counted from where the file or stream begins."""
    samples: Sequence[Sample]


def fragment(sequence: int, runs: Sequence[Run], *, wall_clock_us: int | None = None) -> list[bytes]:
    """Buffers for one `os.writev`: headers first, then each sample's own bytes, not copied.

    `sequence` counts fragments from 1. `wall_clock_us` is when the first run's first sample was captured, µs since
    1970; it is kept in a `prft` box in front (section 8.16.5), so that an index can be rebuilt from the file.
    """
    runs = [run for run in runs if run.samples]
    composed = [any(sample.composition for sample in run.samples) for run in runs]
    trun_sizes = [
        20 + (16 if has_composition else 12) * len(run.samples)
        for run, has_composition in zip(runs, composed, strict=True)
    ]
    moof_size = 24 + sum(44 + size for size in trun_sizes)
    payload = sum(len(sample.data) for run in runs for sample in run.samples)
    large = payload + _MDAT.size > _MAX_BOX
    offset = moof_size + (_MDAT_LARGE.size if large else _MDAT.size)
    parts = []
    if wall_clock_us is not None:
        # Flags 0: the time at which the picture went into the encoder.
        parts.append(_PRFT.pack(_PRFT.size, b"prft", _FULL_V1, runs[0].track + 1, ntp_of(wall_clock_us), runs[0].time))
    parts.append(_MOOF.pack(moof_size, b"moof", 16, b"mfhd", 0, sequence & 0xFFFF_FFFF))
    for run, has_composition, trun_size in zip(runs, composed, trun_sizes, strict=True):
        samples = run.samples
        parts.append(_run_head(run, trun_size, _TRUN_COMPOSITION if has_composition else 0, offset))
        values: list[int] = []
        for data, duration, key, composition in samples:
            values += (duration, len(data), KEY_FLAGS if key else DELTA_FLAGS)
            if has_composition:
                # Version 1 holds it signed.
                values.append(composition & 0xFFFF_FFFF)
            offset += len(data)
        parts.append(Struct(f">{len(values)}I").pack(*values))
    parts.append(
        _MDAT_LARGE.pack(1, b"mdat", payload + _MDAT_LARGE.size) if large else _MDAT.pack(payload + 8, b"mdat")
    )
    return [b"".join(parts), *[sample.data for run in runs for sample in run.samples]]


def _run_head(run: Run, trun_size: int, flags: int, offset: int) -> bytes:
    return _TRAF.pack(
        44 + trun_size, b"traf",
        16, b"tfhd", _BASE_IS_MOOF, run.track + 1,
        20, b"tfdt", _FULL_V1, run.time,
        trun_size, b"trun", _FULL_V1 | _TRUN_FLAGS | flags, len(run.samples), offset,
    )  # fmt: skip


def frame_fragment(sequence: int, track: int, time: int, duration: int, data: bytes, *, key: bool) -> bytes:
    """A fragment of one access unit, as a browser's MediaSource takes it with the least delay.

    `time` and `duration` are in ticks of the track's clock; the duration of the newest frame is a guess, e.g. the
    distance between the two before.
    """
    return (
        _FRAME.pack(
            100, b"moof", 16, b"mfhd", 0, sequence & 0xFFFF_FFFF,
            76, b"traf",
            16, b"tfhd", _BASE_IS_MOOF, track + 1,
            20, b"tfdt", _FULL_V1, time,
            32, b"trun", _FULL_V1 | _TRUN_FLAGS, 1, 108,
            duration, len(data), KEY_FLAGS if key else DELTA_FLAGS,
            len(data) + 8, b"mdat",
        )
        + data
    )  # fmt: skip
