"""Motion in a camera's picture: `detector` is the arithmetic, `decoder` a restricted process, `pool` runs them.

A decoder process imports this package too, so `MotionPool` and all that it needs is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from servers.dvrserver.motion.pool import DecoderError, MotionPool

__all__ = ["DecoderError", "MotionPool"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from servers.dvrserver.motion import pool  # noqa: PLC0415 - see above

        return getattr(pool, name)
    raise AttributeError(name)
