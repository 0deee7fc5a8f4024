"""Protocols and formats as values and state machines: no sockets and no clock."""
