"""RTSP 1.0 (RFC 2326) without sockets and clocks: both sides as state machines fed with bytes."""
