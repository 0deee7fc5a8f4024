"""Fragmented MP4 (ISO/IEC 14496-12): written for the archive and for browsers' MediaSource, read back by the archive.

A file or stream is `init_segment(formats)` followed by fragments. The archive writes fragments of about a second with
`fragment`, which returns buffers for one `os.writev`; a gateway writes one access unit at a time with `frame_fragment`.
`scan` finds the fragments of a file, `parse_fragment` gives their samples.
"""

from servers.wire.mp4.boxes import Mp4Error
from servers.wire.mp4.codecs import codec_string, mime_type
from servers.wire.mp4.fragment import Run, Sample, fragment, frame_fragment
from servers.wire.mp4.init import Label, init_segment
from servers.wire.mp4.movie import MovieTrack, movie_head
from servers.wire.mp4.reader import (
    FoundFragment,
    Init,
    LaidRun,
    Scan,
    fragment_layout,
    leading_sample,
    parse_fragment,
    parse_init,
    scan,
)

__all__ = [
    "FoundFragment",
    "Init",
    "Label",
    "LaidRun",
    "MovieTrack",
    "Mp4Error",
    "Run",
    "Sample",
    "Scan",
    "codec_string",
    "fragment",
    "fragment_layout",
    "frame_fragment",
    "init_segment",
    "leading_sample",
    "mime_type",
    "movie_head",
    "parse_fragment",
    "parse_init",
    "scan",
]
