"""Where browsers find the two ports, as seen from the address bar, and what follows for security headers."""

import re
from collections.abc import Mapping

_HOST = re.compile(r"^(?P<name>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?$")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_name(host_header: str) -> str | None:
    """The name in a Host header, or none when it is no host: it is written into headers, so it must be one."""
    found = _HOST.match(host_header)
    return found["name"] if found else None


def origin(scheme: str, name: str, port: int) -> str:
    """An origin as browsers write it (RFC 6454, section 6.2): without the scheme's own port."""
    return f"{scheme}://{name}" if _DEFAULT_PORTS.get(scheme) == port else f"{scheme}://{name}:{port}"


def page_headers(scheme: str, name: str, data_port: int) -> Mapping[str, str]:
    """What the page may do: load its own files, talk to the data port, play what it got from there."""
    data = origin(scheme, name, data_port)
    socket = origin({"http": "ws", "https": "wss"}[scheme], name, data_port)
    policy = (
        "default-src 'self'",
        f"connect-src 'self' {data} {socket}",
        "media-src blob:",  # MediaSource
        "img-src 'self' blob:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "Cache-Control": "no-cache",  # asked again each time, and mostly answered 304
    }
    if scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
