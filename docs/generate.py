"""Write the reference pages that come from data, or with --check say which of them are stale.

Run by `make docs` and `make check`.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, SecretStr

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"


class Nothing:
    """Stands where a server has its parts: describing routes asks nothing of them."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *_: object, **__: object) -> "Nothing":
        """Whatever is asked, nothing is done."""
        return self


NOTHING: Any = Nothing()
NOTE = "<!-- Written by `make docs`; edit {source} instead. -->\n\n"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    columns = list(head)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def topology() -> str:
    """What `python -m broker` prints."""
    from broker import page

    return page.document()


def asyncapi() -> str:
    """What `python -m broker --asyncapi` prints."""
    from broker import asyncapi as description

    return description.document()


def ports() -> str:
    """The table of ports."""
    from broker.ports import PORTS

    rows = ((f"**{port.number}**", port.process, port.name, port.speaks, f"`{port.setting}`") for port in PORTS)
    return (
        NOTE.format(source="broker/ports.py")
        + "# Ports\n\nDefaults; each is a setting. All listen on loopback until they are told otherwise.\n\n"
        + table(("port", "process", "name", "speaks", "setting"), rows)
    )


def settings() -> str:
    """The settings of all processes."""
    from broker.process import ProcessSettings, variable_name
    from clients.simulator.settings import SimulatorSettings
    from servers.dvrserver.settings import DVRServerSettings
    from servers.gateway.settings import GatewaySettings
    from servers.smserver.settings import SMServerSettings
    from workers.settings import EngineSettings, FlowerSettings

    def rows(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterable[tuple[str, str, str]]:
        for name, field in model.model_fields.items():
            place = (*above, name)
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from rows(kind, place)
                continue
            default = field.get_default(call_default_factory=False)
            shown = default.get_secret_value() if isinstance(default, SecretStr) else default
            cell = "" if shown in ("", None, ()) else f"`{shown}`"
            yield f"`{variable_name(place)}`", cell, field.description or ""

    text = NOTE.format(source="the settings classes") + (
        "# Settings\n\nRead once at start from the environment, then from the file that `VIGIL_CONFIG` names"
        " (`VIGIL_BROKER__URL` is `url` in the table `[broker]`). A wrong value ends the start with the"
        " variable's name, its problem and an example.\n"
    )
    shared = set(ProcessSettings.model_fields)
    text += "\n## Every process\n\n" + table(("variable", "default", "meaning"), rows(ProcessSettings))
    for title, cls in (
        ("SMServer", SMServerSettings),
        ("DVRServer", DVRServerSettings),
        ("Gateway", GatewaySettings),
        ("Engine", EngineSettings),
        ("Flower", FlowerSettings),
        ("Simulator", SimulatorSettings),
    ):
        own = [
            row
            for name, field in cls.model_fields.items()
            if name not in shared
            for row in (
                rows(field.annotation, (name,))
                if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
                else [(f"`{variable_name((name,))}`", f"`{field.default}`", field.description or "")]
            )
        ]
        text += f"\n## {title}\n\n" + table(("variable", "default", "meaning"), own)
    return text


def actions() -> str:
    """The kinds of actions and their settings."""
    from broker.model.actions import ACTION_SETTINGS, TEMPLATE_FIELDS

    text = NOTE.format(source="broker/model/actions.py") + "# Actions\n\nWhat an alarm can do when it starts.\n"
    for cls in ACTION_SETTINGS:
        text += f"\n## {cls.model_fields['kind'].default}\n\n{cls.__doc__}\n\n"
        text += table(
            ("setting", "default", "meaning"),
            (
                (
                    f"`{name}`",
                    "required" if field.is_required() else f"`{field.default!s}`".replace("\n", "\\n"),
                    field.description or "",
                )
                for name, field in cls.model_fields.items()
                if name != "kind"
            ),
        )
    fields = ", ".join(f"`{{{name}}}`" for name in TEMPLATE_FIELDS)
    return text + f"\nTemplates fill {fields}; anything else stays as it is written.\n"


def rtsp_states() -> str:
    """The state table of an RTSP session."""
    from servers.wire.rtsp.server import TRANSITIONS

    rows = ((state.name, method, after.name) for (state, method), (_, after) in TRANSITIONS.items())
    return (
        NOTE.format(source="servers/wire/rtsp/server.py")
        + "# States of an RTSP session\n\nWhat is not in the table is answered 455 and changes nothing.\n\n"
        + table(("in state", "on method", "once answered 200, enter"), rows)
    )


def openapi_5008() -> str:
    """SMServer's API. The routes are the same whatever they serve, so nothing stands behind them here."""
    from servers.smserver.api.app import make_app

    return _described(make_app(NOTHING, NOTHING))


def openapi_5009() -> str:
    """The control port of a DVRServer."""
    from servers.dvrserver.control import make_app

    return _described(make_app(NOTHING, NOTHING))


def openapi_9000() -> str:
    """The gateway's data port."""
    from servers.gateway.data import data_api

    return _described(
        data_api(
            smserver_url="http://127.0.0.1",
            client=NOTHING,
            server_of=NOTHING,
            may=NOTHING,
            seats=NOTHING,
            live=NOTHING,
            events=NOTHING,
        )
    )


def _described(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"


def benchmarks() -> str:
    """Every result file under benchmarks/results."""
    text = NOTE.format(source="nothing: run `make bench`") + (
        "# Benchmarks\n\nEach row was measured by `make bench-…` on the machine it names."
        " `ratio` is ours against the peer's.\n"
    )
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        text += f"\n## {path.stem}\n\n" + table(
            ("name", "value", "unit", "peer", "peer value", "ratio", "goal", "ok", "machine"),
            (
                tuple(
                    "" if row.get(key) is None else row[key]
                    for key in ("name", "value", "unit", "peer", "peer_value", "ratio", "goal", "ok", "machine")
                )
                for row in result
            ),
        )
    return text


PAGES: dict[str, Callable[[], str]] = {
    "topology.md": topology,
    "asyncapi.yaml": asyncapi,
    "ports.md": ports,
    "settings.md": settings,
    "actions.md": actions,
    "rtsp-states.md": rtsp_states,
    "openapi-5008.json": openapi_5008,
    "openapi-5009.json": openapi_5009,
    "openapi-9000.json": openapi_9000,
    "benchmarks.md": benchmarks,
}


def main() -> int:
    """Write or check all pages; the exit status is the number of stale ones."""
    check = "--check" in sys.argv[1:]
    stale = 0
    for name, make in PAGES.items():
        path = DOCS / name
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        if check:
            sys.stderr.write(f"docs/{name} is stale; mend it with: make docs\n")
            stale += 1
        else:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
