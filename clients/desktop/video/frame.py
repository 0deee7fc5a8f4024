"""One decoded picture, ready to be painted."""

from dataclasses import dataclass, field

from PySide6.QtGui import QImage

from servers.wire.media import AccessUnit

Size = tuple[int, int]
"""Width and height in device pixels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Frame:
    """A picture at the size that was asked for, with the moment that it shows.

    `image` borrows its pixels from `pixels`: keep the frame as long as the image, or copy the image.
    """

    image: QImage = field(repr=False)
    time_us: int
    """Capture by the recorder's clock, µs since 1970 UTC."""
    source_size: Size
    """Of the picture in the stream."""
    pixels: object = field(repr=False)
    gop: list[AccessUnit] = field(repr=False)
    """The access units from the key frame on; it grows while the stream goes on."""
    depth: int
    """How many of them it took to decode this picture."""
