"""`ServiceLauncher.exe.config`, the file in which administrators are used to set a gateway's ports.

It is the application configuration of .NET: an `appSettings` element with `add key="…" value="…"` rows. `KEYS` is
what is read, in any case of letters; other keys are left alone. `VideoStreamType` is known from the original
product, whose port keys are not documented: the other names are this project's own.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from broker.ports import number_of

FILE_NAME = "ServiceLauncher.exe.config"
MAX_BYTES = 1 << 20
STREAM_TYPES = ("Rec", "Live", "Remote")
_HIGHEST_PORT = 65_535
_MOST_STREAMS = 10_000


class LauncherConfigError(ValueError):
    """The file cannot be used: names file, line and column, and says what to do."""


class Key(NamedTuple):
    """One row of the file."""

    name: str
    setting: tuple[str, ...]
    """Where it goes in `GatewaySettings`."""
    help: str


KEYS = (
    Key("HttpPort", ("gateway", "page_port"), "The web client's pages, e.g. 9999."),
    Key("DataPort", ("gateway", "data_port"), "API, media and events, e.g. 9000."),
    Key("BindAddress", ("gateway", "host"), "The address that both ports bind, e.g. 127.0.0.1."),
    Key("SMServerAddress", ("smserver_url",), "A host, host:port or address, e.g. 127.0.0.1:5008."),
    Key("MaxStreams", ("gateway", "max_viewers"), "Pictures shown at the same time, over all browsers, e.g. 200."),
    Key(
        "VideoStreamType",
        ("gateway", "video_stream_type"),
        "Rec: always the full, recorded stream; Live: the full or the small one, by the size of the picture; "
        "Remote: always the small one, for slow lines.",
    ),
)
_BY_NAME = {key.name.lower(): key for key in KEYS}
_HOST = re.compile(r"^[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$")


def server_url(address: str) -> str:
    """The URL of an SMServer from what people write: `server1`, `server1:5008` or `https://server1:5008`.

    Raises:
        ValueError: it is none.
    """
    if "://" not in address:
        if not _HOST.match(address):
            raise ValueError("give a host such as server1, server1:5008 or https://server1:5008")
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("give a host such as server1, server1:5008 or https://server1:5008")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or number_of('smserver', 'api')}"


def read(path: Path) -> dict[str, object]:
    """The settings in the file, nested as in `GatewaySettings`.

    Raises:
        LauncherConfigError: the file cannot be used.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LauncherConfigError(f"{path} is too large for a {FILE_NAME}; give the right file")
        content = path.read_bytes()
    except OSError as error:
        raise LauncherConfigError(
            f"{path} cannot be read ({error.strerror}); write one with `vigil gateway install --dir …`"
        ) from error
    return _Reader(path).read(content)


class _Reader:
    """Walks the file with expat, which knows where everything stands."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = expat.ParserCreate()
        self._open: list[str] = []
        self._seen: dict[str, int] = {}
        self._found: dict[str, object] = {}

    def read(self, content: bytes) -> dict[str, object]:
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = lambda _name: self._open.pop()
        self._parser.StartDoctypeDeclHandler = self._doctype
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            said = expat.errors.messages[error.code] if error.code in expat.errors.messages else str(error)
            raise self._problem(
                f"is no XML: {said}",
                'write <configuration><appSettings><add key="DataPort" value="9000"/></appSettings></configuration>',
                (error.lineno, error.offset + 1),
            ) from error
        return self._found

    def _doctype(self, *_declared: object) -> None:
        raise self._problem("declares a document type", "delete the <!DOCTYPE …>: it is not needed")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != "configuration":
            raise self._problem(f"begins with <{name}>", "its outermost element must be <configuration>")
        if [*self._open, name] == ["configuration", "appSettings", "add"]:
            self._add(attributes)
        self._open.append(name)

    def _add(self, attributes: Mapping[str, str]) -> None:
        if "key" not in attributes or "value" not in attributes:
            raise self._problem("has an <add> without key or value", 'write <add key="…" value="…"/>')
        key = _BY_NAME.get(attributes["key"].strip().lower())
        if key is None:
            return
        if key.name in self._seen:
            raise self._problem(f"gives {key.name} again, after line {self._seen[key.name]}", "delete one of the two")
        self._seen[key.name] = self._parser.CurrentLineNumber
        given = attributes["value"].strip()
        try:
            value = _value(key, given)
        except ValueError as error:
            raise self._problem(f"gives {key.name} the value {given!r}", str(error)) from error
        group = self._found
        for part in key.setting[:-1]:
            group = group.setdefault(part, {})  # type: ignore[assignment] # groups are dictionaries made right here
        group[key.setting[-1]] = value

    def _problem(self, what: str, remedy: str, at: tuple[int, int] | None = None) -> LauncherConfigError:
        line, column = at or (self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1)
        return LauncherConfigError(f"{self._path}, line {line}, column {column}, {what}; {remedy}")


def _value(key: Key, given: str) -> object:
    match key.name:
        case "HttpPort" | "DataPort":
            return _number(given, 0, _HIGHEST_PORT)
        case "MaxStreams":
            return _number(given, 1, _MOST_STREAMS)
        case "SMServerAddress":
            return server_url(given)
        case "VideoStreamType":
            found = next((kind for kind in STREAM_TYPES if kind.lower() == given.lower()), None)
            if found is None:
                raise ValueError("give Rec, Live or Remote")
            return found
        case _:
            if not given:
                raise ValueError(f"give a value. {key.help}")
            return given


def _number(given: str, least: int, most: int) -> int:
    if not given.isascii() or not given.isdigit() or not least <= int(given) <= most:
        raise ValueError(f"give a whole number from {least} to {most}")
    return int(given)


def write(path: Path, values: Mapping[str, object]) -> None:
    """Write a file with these keys, all at once: a reader finds the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for key in KEYS:
        if key.name in values:
            rows += [
                f"    <!-- {key.help} -->",
                f'    <add key="{key.name}" value={quoteattr(str(values[key.name]))} />',
            ]
    text = "\n".join(
        ['<?xml version="1.0" encoding="utf-8"?>', "<configuration>", "  <appSettings>", *rows, "  </appSettings>"]
    )
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(f"{text}\n</configuration>\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
