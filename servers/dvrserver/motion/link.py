"""What a node and its decoder processes say to each other over a socket pair: plain bytes, nothing is unpickled."""

import enum
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

_HEAD = Struct("<BIQI")
_UNIT = Struct("<qBI")
_STATE = Struct("<?qqH")
MAX_MESSAGE = 64 << 20


class Kind(enum.IntEnum):
    """What a message is; `number` and `sequence` in its head mean what stands here."""

    WATCH = 1
    """To the decoder: look at camera `number`; the payload holds its settings as JSON."""
    BATCH = 2
    """To the decoder: access units of camera `number`, acknowledged together."""
    FORGET = 3
    """To the decoder: camera `number` is not looked at any more."""
    PICTURE = 4
    """To the decoder: make a JPEG of the key frame in the payload, `number` pixels wide (0: as it is)."""
    READY = 5
    """From the decoder: it is restricted and listens."""
    ACK = 6
    """From the decoder: batch `sequence` of camera `number` is done; the payload is the verdict."""
    JPEG = 7
    """From the decoder: the answer to request `sequence`."""
    REFUSED = 8
    """From the decoder: why there is no answer to request `sequence`."""


class Message(NamedTuple):
    """One message."""

    kind: Kind
    number: int
    sequence: int
    payload: bytes


class State(NamedTuple):
    """Whether a camera is in motion, since when, and where."""

    active: bool
    at_us: int
    moved_us: int
    """When motion was last seen."""
    cells: tuple[int, ...]


def message(kind: Kind, number: int = 0, sequence: int = 0, payload: Sequence[bytes] = ()) -> bytes:
    """The bytes of a message."""
    return b"".join((_HEAD.pack(kind, number, sequence, sum(map(len, payload))), *payload))


class Reader:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole by now.

        Raises:
            ValueError: The other side does not speak this.
        """
        self._buffer += data
        at = 0
        while at + _HEAD.size <= len(self._buffer):
            kind, number, sequence, size = _HEAD.unpack_from(self._buffer, at)
            if size > MAX_MESSAGE:
                raise ValueError("a message is too long")
            end = at + _HEAD.size + size
            if end > len(self._buffer):
                break
            yield Message(Kind(kind), number, sequence, bytes(self._buffer[at + _HEAD.size : end]))
            at = end
        del self._buffer[:at]


def pack_batch(units: Iterable[tuple[int, bool, bytes]], *, look: bool) -> list[bytes]:
    """Time (µs), whether it is a key frame, and data of each unit; `look` at the last picture, or only decode it."""
    parts = [b"\x01" if look else b"\x00"]
    for time_us, key, data in units:
        parts += (_UNIT.pack(time_us, key, len(data)), data)
    return parts


def unpack_batch(payload: bytes) -> tuple[list[tuple[int, bool, bytes]], bool]:
    """What `pack_batch` packed."""
    units, at = [], 1
    while at < len(payload):
        time_us, key, size = _UNIT.unpack_from(payload, at)
        at += _UNIT.size
        units.append((time_us, bool(key), payload[at : at + size]))
        at += size
    return units, payload[0] == 1


def pack_state(state: State) -> list[bytes]:
    """The payload of an acknowledgement."""
    return [
        _STATE.pack(state.active, state.at_us, state.moved_us, len(state.cells)),
        Struct(f"<{len(state.cells)}H").pack(*state.cells),
    ]


def unpack_state(payload: bytes) -> State:
    """What `pack_state` packed."""
    active, at_us, moved_us, count = _STATE.unpack_from(payload)
    return State(active, at_us, moved_us, Struct(f"<{count}H").unpack_from(payload, _STATE.size))
