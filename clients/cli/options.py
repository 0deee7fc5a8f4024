"""Command-line options made from a resource's schema: the same fields, names and help as the forms have."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel

from clients.cli.calendars import changed_calendar
from clients.system_manager.schema import Field, Kind, fields_of, unit_of

NOT_OPTIONS = frozenset({Kind.CONSTANT, Kind.MASK, Kind.CALENDAR})
"""A constant asks nothing; the mask has commands of its own, the calendar options of its own."""


class Option(NamedTuple):
    """One option, and where its value belongs."""

    parameter: str
    """Its name in Python: `motion_area_percent`."""
    path: tuple[str, ...]
    field: Field


def options_of(model: type[BaseModel]) -> list[Option]:
    """The options of a resource; fields of groups carry the group's name."""
    return [option for option in _flat(fields_of(model), ()) if option.path != ("id",)]


def _flat(fields: Sequence[Field], above: tuple[str, ...]) -> list[Option]:
    found: list[Option] = []
    for field in fields:
        path = (*above, field.name)
        if field.kind is Kind.GROUP:
            found += _flat(field.fields, path)
        elif field.kind not in NOT_OPTIONS:
            found.append(Option("_".join(path), path, field))
    return found


def parameters_of(options: Sequence[Option], also: Mapping[str, Sequence[str]]) -> list[inspect.Parameter]:
    """Parameters for typer: none means that it was not given. `also` gives parameters second names."""
    return [
        inspect.Parameter(
            option.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(option, also.get(option.parameter, ())),
        )
        for option in options
    ]


def _annotation(option: Option, also: Sequence[str]) -> Any:
    field = option.field
    name = f"--{option.parameter.replace('_', '-')}"
    given: dict[str, Any] = {"help": _help(field), "show_default": False}
    kind: Any = str
    match field.kind:
        case Kind.TRUTH:
            return Annotated[bool | None, typer.Option(f"{name}/--no-{name[2:]}", *also, **given)]
        case Kind.INTEGER | Kind.NUMBER:
            kind = int if field.kind is Kind.INTEGER else float
            given |= {"min": field.minimum, "max": field.maximum}
        case Kind.CHOICE:
            kind = _words(field)
        case Kind.CHOICES | Kind.REFERENCES | Kind.LINES | Kind.LIST:
            if field.kind is Kind.CHOICES:
                kind = _words(field)
            return Annotated[list[kind] | None, typer.Option(_singular(name, field), *also, **given)]
    return Annotated[kind | None, typer.Option(name, *also, **given)]


def _words(field: Field) -> Any:
    """An enumeration of a field's words: typer tells them and takes no other."""
    words: Any = StrEnum  # its functional form, which checkers know with literal names only
    return words(field.name, {choice: choice for choice in field.choices})


def _singular(name: str, field: Field) -> str:
    """`--camera-id` may be given several times, so it is not `--camera-ids`."""
    return name if field.kind is Kind.LINES else name.removesuffix("s")


def _help(field: Field) -> str:
    text = field.help
    unit = unit_of(field.name)
    if unit and unit not in ("s", "h"):
        text += f" In {unit}." if unit != "%" else " In per cent."
    if field.kind is Kind.LIST:
        kinds = ", ".join(field.classes)
        text += f" KIND,name=value,… or JSON; kinds: {kinds}. Give it once for each."
    elif field.kind in (Kind.CHOICES, Kind.REFERENCES, Kind.LINES):
        text += " Give it once for each."
    if field.nullable:
        text += " Empty for none."
    return text


def changed(values: Mapping[str, Any], options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values with what was given on the command line."""
    made: dict[str, Any] = json.loads(json.dumps(dict(values)))
    for option in options:
        value = given.get(option.parameter)
        if value is None:
            continue
        place = made
        for part in option.path[:-1]:
            place = place.setdefault(part, {})
        place[option.path[-1]] = _converted(option.field, value)
    if "calendar" in made or any(given.get(name) for name in ("time_zone", "hours", "day")):
        made["calendar"] = changed_calendar(made.get("calendar") or {}, given)
    return made


def _converted(field: Field, value: Any) -> Any:
    if field.kind is Kind.LIST:
        return [entry_of(text, field) for text in value if text]
    if field.kind in (Kind.CHOICES, Kind.REFERENCES, Kind.LINES):
        return [item for item in value if item]
    return None if field.nullable and value == "" else value


def entry_of(text: str, field: Field) -> dict[str, Any]:
    """An entry of a list, e.g. an action: JSON, or `record_camera,camera_id=gate,pre_s=5`."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise typer.BadParameter(f"this is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise typer.BadParameter("an object is wanted: {…}")
        return found
    kind, *pairs = text.split(",")
    if kind not in field.classes:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(field.classes)}")
    fields = {each.name: each for each in field.classes[kind]}
    made: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in fields:
            raise typer.BadParameter(f"{pair!r}: write name=value; names: {', '.join(set(fields) - {'kind'})}")
        if fields[name].kind is Kind.LINES:
            made.setdefault(name, []).append(value)
        else:
            made[name] = value
    return made


def command_of(
    what: Callable[[Mapping[str, Any]], None], parameters: Sequence[inspect.Parameter], help_text: str
) -> Callable[..., None]:
    """A function that typer takes: its parameters are those given, and `what` gets their values."""

    def command(**given: Any) -> None:
        what(given)

    command.__doc__ = help_text
    command.__signature__ = inspect.Signature(list(parameters))  # type: ignore[attr-defined] # what inspect reads
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def argument(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A parameter that is written by hand."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
