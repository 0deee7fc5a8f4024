"""Boxes: the bricks of MP4 (ISO/IEC 14496-12, section 4.2), and how they are told apart again."""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

_HEAD = Struct(">I4s")
_U64 = Struct(">Q")
HEAD_SIZE = 8

NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900, where NTP counts from, to 1970 (RFC 5905, section 6)."""
_NTP_ERA_S = 1 << 32


class Mp4Error(Exception):
    """The bytes are not the MP4 that is expected here."""


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of a four-letter kind."""
    body = b"".join(parts)
    return _HEAD.pack(HEAD_SIZE + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that begins with a version and 24 flags."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)


class Found(NamedTuple):
    """Where a box lies."""

    kind: bytes
    start: int
    body: int
    """Where its content begins."""
    end: int


def head(data: bytes, at: int, limit: int) -> Found | None:
    """The box that begins at `at`; none when its header is torn, or when it would not end by `limit`."""
    if at + HEAD_SIZE > len(data):
        return None
    size, kind = _HEAD.unpack_from(data, at)
    body = at + HEAD_SIZE
    if size == 1:
        if body + 8 > len(data):
            return None
        (size,) = _U64.unpack_from(data, body)
        body += 8
    if size < body - at or at + size > limit:
        return None
    return Found(kind, at, body, at + size)


def children(data: bytes, start: int, end: int) -> Iterator[Found]:
    """The boxes inside another one."""
    at = start
    while at < end:
        found = head(data, at, end)
        if found is None:
            raise Mp4Error(f"a box at byte {at} does not fit into the one around it")
        yield found
        at = found.end


def ntp_of(time_us: int) -> int:
    """µs since 1970 as a 64-bit NTP time; after 2036 the next era's, as receivers expect."""
    return ((time_us + NTP_EPOCH_S * 1_000_000 << 32) // 1_000_000 + 1) & 0xFFFF_FFFF_FFFF_FFFF


def time_of(ntp: int) -> int:
    """A 64-bit NTP time in µs since 1970; seconds before 1970 are taken to be of the era that begins in 2036."""
    seconds = ntp >> 32
    if seconds < NTP_EPOCH_S:
        seconds += _NTP_ERA_S
    return (seconds - NTP_EPOCH_S) * 1_000_000 + ((ntp & 0xFFFF_FFFF) * 1_000_000 >> 32)
