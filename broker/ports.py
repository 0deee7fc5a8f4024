"""The ports of the system, on one page. Numbers are defaults; every one is a setting."""

from typing import NamedTuple


class Port(NamedTuple):
    """One listening port."""

    number: int
    process: str
    name: str
    speaks: str
    setting: str


# fmt: off
PORTS = (
    #    number process      name          speaks                                setting
    Port(5008, "smserver",  "api",        "HTTP + WebSocket, OpenAPI",          "VIGIL_SMSERVER__PORT"),
    Port(5009, "dvrserver", "control",    "HTTP, OpenAPI",                      "VIGIL_DVRSERVER__CONTROL_PORT"),
    Port(5010, "watchdog",  "control",    "HTTP",                               "VIGIL_WATCHDOG__PORT"),
    Port(5011, "dvrserver", "streams",    "RTSP 1.0, RTP interleaved over TCP", "VIGIL_DVRSERVER__STREAM_PORT"),
    Port(5108, "smserver",  "operations", "HTTP /health, /metrics",             "VIGIL_SMSERVER__OPERATIONS_PORT"),
    Port(5109, "dvrserver", "operations", "HTTP /health, /metrics",             "VIGIL_DVRSERVER__OPERATIONS_PORT"),
    Port(5110, "watchdog",  "operations", "HTTP /health, /metrics",             "VIGIL_WATCHDOG__OPERATIONS_PORT"),
    Port(5190, "gateway",   "operations", "HTTP /health, /metrics",             "VIGIL_GATEWAY__OPERATIONS_PORT"),
    Port(5200, "engine",    "operations", "HTTP /health, /metrics (or above)",  "VIGIL_ENGINE__OPERATIONS_PORT"),
    Port(5555, "flower",    "dashboard",  "HTTP",                               "VIGIL_FLOWER__PORT"),
    Port(8554, "simulator", "rtsp",       "RTSP",                               "VIGIL_SIMULATOR__RTSP_PORT"),
    Port(8555, "simulator", "control",    "HTTP",                               "VIGIL_SIMULATOR__CONTROL_PORT"),
    Port(9000, "gateway",   "data",       "HTTP + WebSocket, OpenAPI",          "VIGIL_GATEWAY__DATA_PORT"),
    Port(9999, "gateway",   "pages",      "HTTP",                               "VIGIL_GATEWAY__PAGE_PORT"),
)
# fmt: on


def number_of(process: str, name: str) -> int:
    """The default number of a port."""
    return next(port.number for port in PORTS if (port.process, port.name) == (process, name))
