"""`list`, `show`, `add`, `set` and `remove` of a kind of resource, made from its model."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from broker.model.resources import ServerRole
from clients.cli import calendars
from clients.cli.options import Option, argument, changed, command_of, options_of, parameters_of
from clients.cli.session import console, new_password, refuse, signed_in
from clients.cli.tables import show, yes
from clients.sdk import Client
from clients.system_manager.dependents import dependents_of
from clients.system_manager.kinds import KIND_OF, ResourceKind
from clients.system_manager.schema import Kind, fields_of

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Id = Annotated[str, typer.Argument(help="Its id: a-z, 0-9, - and _.")]
Revision = Annotated[
    str | None,
    typer.Option(
        "--if-match",
        help="Only if it still has this revision, as `show` prints it; without it, the one read a moment before.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
FromFile = Annotated[
    typer.FileText | None,
    typer.Option("--file", help="Begin with this JSON object, e.g. of `show --json`; - reads standard input."),
]


@dataclass(frozen=True)
class Settings:
    """What is special about the commands of one kind."""

    columns: tuple[str, ...]
    """What `list` shows, ids first: that is what the other commands take."""
    positional: tuple[str, ...] = ()
    """Fields that `add` takes as arguments."""
    password_variable: str = ""
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Second names of options."""


def resource_app(kind: ResourceKind, settings: Settings) -> typer.Typer:
    """The commands of one kind."""
    app = typer.Typer(no_args_is_help=True, help=f"{kind.title}. {kind.about}")
    options = options_of(kind.model)
    parameters = parameters_of(options, settings.also)
    commands = _Commands(kind, settings, options)
    arguments = [
        argument(
            name,
            Annotated[str, typer.Argument(help=next(each.field.help for each in options if each.parameter == name))],
        )
        for name in settings.positional
    ]
    more = [argument("file", FromFile, None)]
    if any(each.kind is Kind.CALENDAR for each in commands.fields):
        more += [
            argument("time_zone", calendars.TimeZone, None),
            argument("hours", calendars.Hours, None),
            argument("day", calendars.Day, None),
        ]
    settable = [each for each in parameters if each.name not in settings.positional]
    secret = []
    if settings.password_variable:
        ask = Annotated[
            bool,
            typer.Option("--password", help=f"Ask for a new password, or take it from {settings.password_variable}."),
        ]
        secret = [argument("password", ask, default=False)]
    one = f"a {kind.name}" if kind.name[0] not in "aeiou" else f"an {kind.name}"
    for name, what, given, about in (
        ("list", commands.do_list, [argument("json", AsJson, default=False)], f"Show the {kind.plural}."),
        (
            "show",
            commands.do_show,
            [argument("id", Id), argument("json", AsJson, default=False)],
            f"Show {one} with all its values and its revision.",
        ),
        ("add", commands.do_add, [argument("id", Id), *arguments, *settable, *more], f"Add {one}."),
        (
            "set",
            commands.do_set,
            [argument("id", Id), *parameters, *more, *secret, argument("if_match", Revision, None)],
            f"Change {one}: only what is named changes.",
        ),
        (
            "remove",
            commands.do_remove,
            [argument("id", Id), argument("yes", Yes, default=False), argument("if_match", Revision, None)],
            f"Remove {one}, if nothing depends on it.",
        ),
    ):
        app.command(name)(command_of(what, given, about))
    return app


class _Commands:
    def __init__(self, kind: ResourceKind, settings: Settings, options: list[Option]) -> None:
        self.kind = kind
        self.settings = settings
        self.options = options
        self.fields = fields_of(kind.model)

    def do_list(self, given: Mapping[str, Any]) -> None:
        """All of them."""
        with signed_in() as client:
            found = self._group(client).list()
            conditions = self._conditions(client)
        if given["json"]:
            _print([item.model_dump(mode="json") for item in found])
            return
        rows = []
        for item in found:
            cells = [_cell(getattr(item, column)) for column in self.settings.columns]
            if self.kind.name in ("camera", "server"):
                cells += conditions.get(item.id, ["", ""])
            rows.append(cells)
        headings = [column.replace("_", " ") for column in self.settings.columns]
        if self.kind.name == "camera":
            headings += ["condition", "recorded"]
        elif self.kind.name == "server":
            headings += ["runs revision", "last report"]
        show(headings, rows, nothing=f"No {self.kind.plural}.")

    def do_show(self, given: Mapping[str, Any]) -> None:
        """One of them."""
        with signed_in() as client:
            found = self._group(client).fetch(given["id"])
        values = found.resource.model_dump(mode="json")
        if given["json"]:
            _print(values)
            return
        show(("field", "value"), [*_lines(values), ("(revision)", found.revision)], nothing="")

    def do_add(self, given: Mapping[str, Any]) -> None:
        """A new one."""
        values = self._file(given)
        values["id"] = given["id"]
        with signed_in() as client:
            values = changed(values, self.options, given)
            values.setdefault("name", given["id"])
            if self.kind.name == "camera" and not values.get("node_id"):
                values["node_id"] = _only_dvrserver(client)
            resource = self.kind.model.model_validate(values)
            self._group(client).add(resource, password=self._new_password(given["id"], values))
        self._said(given["id"], "added")

    def do_set(self, given: Mapping[str, Any]) -> None:
        """Change one."""
        with signed_in() as client:
            group = self._group(client)
            found = group.fetch(given["id"])
            before = found.resource.model_dump(mode="json")
            values = changed({**before, **self._file(given)}, self.options, given)
            if values == before and not given.get("password"):
                raise refuse("Nothing is to be changed: name at least one value.", "`--help` lists them.")
            password = None
            if given.get("password"):
                password = new_password(given["id"], self.settings.password_variable)
            revision = given["if_match"] or found.revision
            group.replace(self.kind.model.model_validate(values), password=password, revision=revision)
        self._said(given["id"], "changed")

    def do_remove(self, given: Mapping[str, Any]) -> None:
        """Remove one."""
        with signed_in() as client:
            group = self._group(client)
            if not given["yes"] and sys.stdin.isatty():
                self._ask(client, given["id"])
            group.remove(given["id"], revision=given["if_match"] or group.fetch(given["id"]).revision)
        self._said(given["id"], "removed")

    def _ask(self, client: Client, id_: str) -> None:
        dependents = dependents_of(self.kind.name, id_, lambda kind: getattr(client, KIND_OF[kind].plural).list())
        for sentence in (*dependents.blocking, *dependents.affected):
            console.print(sentence, highlight=False, markup=False)
        if dependents.blocking:
            raise refuse(f"The {self.kind.name} {id_} cannot be removed yet.", "Change or remove these first.")
        typer.confirm(f"Remove the {self.kind.name} {id_}?", abort=True, err=True)

    def _new_password(self, id_: str, values: Mapping[str, Any]) -> str | None:
        if self.kind.name == "user":
            return new_password(id_, self.settings.password_variable)
        if self.kind.name == "camera" and values.get("username"):
            return new_password(f"{values['username']} at the camera", self.settings.password_variable)
        return None

    def _file(self, given: Mapping[str, Any]) -> dict[str, Any]:
        file = given.get("file")
        if file is None:
            return {}
        try:
            found = json.load(file)
        except ValueError as error:
            raise refuse(f"{file.name} is no JSON: {error}", "An example is what `show --json` prints.") from error
        if not isinstance(found, dict):
            raise refuse(f"{file.name} holds no object.", "An example is what `show --json` prints.")
        return found

    def _group(self, client: Client) -> Any:
        return getattr(client, self.kind.plural)

    def _conditions(self, client: Client) -> dict[str, list[str]]:
        """What nodes say of cameras, or processes of themselves."""
        if self.kind.name not in ("camera", "server"):
            return {}
        states = client.node_states()
        if self.kind.name == "server":
            return {state.node_id: [str(state.revision), f"{state.at.astimezone():%H:%M:%S}"] for state in states}
        return {
            camera.camera_id: [str(camera.condition).replace("_", " "), yes(camera.recording)]
            for state in states
            for camera in state.cameras
        }

    def _said(self, id_: str, done: str) -> None:
        console.print(f"{self.kind.name.capitalize()} {id_} is {done}.", highlight=False)


def _only_dvrserver(client: Client) -> str:
    nodes = [server.id for server in client.servers.list() if server.role == ServerRole.DVRSERVER]
    if len(nodes) == 1:
        return nodes[0]
    sentence = "There is no DVRServer yet." if not nodes else "There are several DVRServers."
    remedy = "Start one: it joins by itself." if not nodes else f"Name one with --node-id: {', '.join(nodes)}."
    raise refuse(sentence, remedy, field="node_id")


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _cell(value: Any) -> str:
    match value:
        case bool():
            return yes(value)
        case BaseModel():
            return " ".join(str(part) for part in value.model_dump(mode="json").values())
        case frozenset() | tuple():
            return ", ".join(sorted(map(str, value)))
    return "" if value is None else str(value)


def _lines(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Each value with its path; a calendar as it is written on the command line."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and "week" in value:
            found.append((f"{path}.time_zone", str(value["time_zone"])))
            found += [
                (f"{path}.{day}", calendars.written(plan))
                for day, plan in zip(calendars.SHORT, value["week"], strict=True)
            ]
            found += [(f"{path}.{day}", calendars.written(plan)) for day, plan in sorted(value["exceptions"].items())]
        elif isinstance(value, dict):
            found += _lines(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value):
                found += _lines(item, f"{path}.{number}.")
        elif isinstance(value, list):
            found.append((path, ", ".join(map(str, value))))
        else:
            found.append((path, _cell(value)))
    return found
