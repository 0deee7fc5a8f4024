"""Ports from a `ServiceLauncher.exe.config`, the file in which administrators are used to set them.

It is the application configuration of .NET: an `appSettings` element with `add key="…" value="…"` rows. Keys that
are read, in any case of letters:

    key             setting
    WebServerPort   VIGIL_GATEWAY__PAGE_PORT
    GatewayPort     VIGIL_GATEWAY__DATA_PORT
    BindAddress     VIGIL_GATEWAY__HOST

Other keys are left alone. These names are this project's own: the original's are not published.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

KEYS = {"webserverport": "page_port", "gatewayport": "data_port", "bindaddress": "host"}
MAX_BYTES = 1 << 20


def read_ports(path: Path) -> dict[str, str]:
    """The settings in the file, by the names of the gateway's group.

    Raises:
        ValueError: the file cannot be read; the sentence says what a right one looks like.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} is too large for a ServiceLauncher.exe.config")
        tree = ET.fromstring(path.read_bytes())  # noqa: S314 - the administrator's own file, of bounded size
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ET.ParseError as error:
        raise ValueError(
            f"{path} is no XML ({error}); write <configuration><appSettings>"
            '<add key="GatewayPort" value="9000"/></appSettings></configuration>'
        ) from error
    rows = ((row.get("key", "").lower(), row.get("value", "").strip()) for row in tree.iterfind("./appSettings/add"))
    return {KEYS[key]: value for key, value in rows if key in KEYS}
