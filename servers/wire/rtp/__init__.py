"""RTP and RTCP (RFC 3550) without sockets and clocks: access units to interleaved frames and back."""
