"""A picture of a moment: a key frame as JPEG, made in a decoder process."""

from servers.dvrserver.motion.pool import DecoderError, MotionPool
from servers.wire.media import AccessUnit, H264Format


class SnapshotError(Exception):
    """There is no picture. The sentence says why."""


async def snapshot(pool: MotionPool, format_: H264Format, unit: AccessUnit, *, width: int = 0) -> bytes:
    """A key frame as JPEG, `width` pixels wide; 0, or more than it has: as it is.

    Raises:
        SnapshotError: It cannot be decoded.
    """
    if not unit.key:
        raise SnapshotError("only a key frame can be shown alone")
    try:
        return await pool.picture(format_, unit, width=width)
    except DecoderError as error:
        raise SnapshotError(str(error)) from error
