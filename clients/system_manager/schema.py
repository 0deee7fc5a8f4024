"""What a form is made of, read from a resource's JSON Schema. No Qt here.

A `Field` says what one value is: its kind, its bounds, its unit, what it refers to. The names of fields are enough to
know units (`_s`, `_h`, `_percent`) and references (`camera_id`, `node_id`): that is how this project names things.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

LONG_TEXT = 1000
"""Texts that may be longer are written in several lines."""


class Kind(StrEnum):
    """What a value is, and so which widget asks for it."""

    TEXT = "text"
    LONG_TEXT = "long text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "truth"
    CHOICE = "choice"
    CHOICES = "choices"
    """Any of a few words."""
    REFERENCE = "reference"
    """The id of another resource."""
    REFERENCES = "references"
    LINES = "lines"
    """Several short texts."""
    COLOUR = "colour"
    GROUP = "group"
    """Fields of its own."""
    VARIANT = "variant"
    """A group of one of several classes, told apart by `kind`."""
    LIST = "list"
    """Variants, any number of them."""
    CONSTANT = "constant"
    CALENDAR = "calendar"
    MASK = "mask"
    PASSWORD = "password"  # noqa: S105 - a kind of field


LABELS = {
    "id": "Id",
    "name": "Name",
    "role": "Role",
    "control_url": "Control address",
    "stream_url": "Stream address",
    "enabled": "Enabled",
    "node_id": "Server",
    "main_url": "Main stream address",
    "sub_url": "Small stream address",
    "username": "User name at the camera",
    "audio": "Record sound",
    "recording": "Recording",
    "buffer_s": "Rolling buffer",
    "retention_h": "Keep footage for",
    "alarm_retention_h": "Keep alarm footage for",
    "motion": "Motion detection",
    "area_percent": "Share of a cell",
    "threshold_sigma": "Sensitivity threshold",
    "hold_s": "Rest until motion ends",
    "mask": "Mask",
    "description": "Instructions",
    "administrator_description": "Notes of administrators",
    "colour": "Colour",
    "trigger": "Trigger",
    "calendar": "Calendar",
    "until_acknowledged": "Active until acknowledged",
    "actions": "Actions",
    "camera_id": "Camera",
    "camera_ids": "Cameras",
    "alarm_ids": "Alarms",
    "rights": "Rights",
    "everything": "Sees everything",
    "profile_id": "Profile",
    "email": "E-mail",
    "deadline_s": "Give up after",
    "time_limit_s": "Time limit of one try",
    "when_in_doubt": "When in doubt",
    "pre_s": "Footage before",
    "post_s": "Footage after",
    "url": "Address",
    "to": "To",
    "content_type": "Content type",
}
"""Better names than can be made from those of the fields."""

CHOICE_LABELS = {
    "dvrserver": "DVRServer",
    "record_camera": "Protect footage of a camera",
    "http_request": "Call a web address",
    "email": "Send a letter",
    "motion": "Motion in the picture",
    "on_alarm": "Only around alarms",
    "continuous": "Continuously",
    "administer": "Administer the site",
    "live": "Watch live",
    "playback": "Play back footage",
    "export": "Export footage",
    "acknowledge": "Acknowledge alarms",
    "repeat": "Repeat",
    "skip": "Skip",
}

UNITS = {"_s": "s", "_h": "h", "_percent": "%", "_sigma": "times the noise"}
REFERENCES = {
    "camera_id": "camera",
    "camera_ids": "camera",
    "alarm_ids": "alarm",
    "node_id": "server",
    "profile_id": "profile",
}
SPECIAL = {"Calendar": Kind.CALENDAR, "Mask": Kind.MASK}
"""Definitions that have an editor of their own."""
COLOUR_PATTERN = "^#[0-9a-f]{6}$"
HIDDEN = frozenset({"secret_ref"})
"""Fields that nobody edits: SMServer sets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value of a form."""

    name: str
    kind: Kind
    label: str
    help: str = ""
    required: bool = False
    nullable: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    longest: int | None = None
    choices: tuple[str, ...] = ()
    refers_to: str = ""
    fields: tuple["Field", ...] = ()
    """Of a group."""
    classes: Mapping[str, tuple["Field", ...]] = field(default_factory=dict)
    """Of a variant or a list: what an entry of each kind consists of."""


def fields_of(model: type[BaseModel]) -> tuple[Field, ...]:
    """The fields of a resource, in the order of its class."""
    schema = model.model_json_schema()
    return _fields(schema, schema.get("$defs", {}))


def label_of(name: str) -> str:
    """What people call a field."""
    if name in LABELS:
        return LABELS[name]
    for suffix in (*UNITS, "_id", "_ids"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ").capitalize().replace("Url", "Address").replace(" url", " address")


def choice_label(value: str) -> str:
    """What people call one of a few words."""
    return CHOICE_LABELS.get(value) or value.replace("_", " ").capitalize()


def unit_of(name: str) -> str:
    """The unit that a field's name tells."""
    return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")


def _fields(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Field, ...]:
    required = set(schema.get("required", ()))
    return tuple(
        _field(name, part, definitions, required=name in required)
        for name, part in schema.get("properties", {}).items()
        if name not in HIDDEN
    )


def _field(name: str, part: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool) -> Field:
    whole, nullable = _resolved(part, definitions)
    kind, more = _kind(name, whole, definitions)
    return Field(
        name=name,
        kind=kind,
        label=label_of(name),
        help=str(part.get("description") or ""),
        required=required,
        nullable=nullable,
        default=part.get("default"),
        minimum=whole.get("minimum", whole.get("exclusiveMinimum")),
        maximum=whole.get("maximum", whole.get("exclusiveMaximum")),
        unit=unit_of(name),
        longest=whole.get("maxLength"),
        **more,
    )


def _resolved(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema behind references and `null`, with what stands beside the reference; whether null is allowed."""
    whole, nullable = dict(part), False
    if "anyOf" in whole:
        others = [option for option in whole["anyOf"] if option.get("type") != "null"]
        nullable = len(others) < len(whole["anyOf"])
        if len(others) == 1:
            whole = {**others[0], **{key: value for key, value in whole.items() if key != "anyOf"}}
    while "$ref" in whole:
        name = whole.pop("$ref").rsplit("/", 1)[-1]
        whole = {**definitions[name], **whole, "definition": name}
    return whole, nullable


def _kind(name: str, whole: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:  # noqa: PLR0911, C901 - one line a kind
    special = SPECIAL.get(str(whole.get("definition", "")))
    if special is not None:
        return special, {}
    if "const" in whole:
        return Kind.CONSTANT, {"choices": (str(whole["const"]),)}
    if "enum" in whole:
        return Kind.CHOICE, {"choices": tuple(map(str, whole["enum"]))}
    if len(whole.get("oneOf", ())) > 1:
        return Kind.VARIANT, {"classes": _classes(whole["oneOf"], definitions)}
    match whole.get("type"):
        case "boolean":
            return Kind.TRUTH, {}
        case "integer":
            return Kind.INTEGER, {}
        case "number":
            return Kind.NUMBER, {}
        case "object":
            return Kind.GROUP, {"fields": _fields(whole, definitions)}
        case "array":
            return _list_kind(name, whole, definitions)
    if name in REFERENCES:
        return Kind.REFERENCE, {"refers_to": REFERENCES[name]}
    if whole.get("pattern") == COLOUR_PATTERN:
        return Kind.COLOUR, {}
    return (
        Kind.LONG_TEXT
        if (whole.get("maxLength") or 0) > LONG_TEXT and "pattern" not in whole and not name.endswith("url")
        else Kind.TEXT
    ), {}


def _list_kind(name: str, whole: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    if name in REFERENCES:
        return Kind.REFERENCES, {"refers_to": REFERENCES[name]}
    items, _ = _resolved(whole.get("items", {}), definitions)
    if "enum" in items:
        return Kind.CHOICES, {"choices": tuple(map(str, items["enum"]))}
    options = items.get("oneOf") or ([items] if items.get("type") == "object" else [])
    if options:
        return Kind.LIST, {"classes": _classes(options, definitions)}
    return Kind.LINES, {}


def _classes(options: list[Any], definitions: Mapping[str, Any]) -> dict[str, tuple[Field, ...]]:
    """The fields of each class by its `kind`; those that all have stand last."""
    found: dict[str, tuple[Field, ...]] = {}
    for option in options:
        inner, _ = _resolved(option, definitions)
        fields = _fields(inner, definitions)
        kind = next((each.choices[0] for each in fields if each.kind is Kind.CONSTANT), "")
        found[kind] = fields
    names = [{each.name for each in fields} for fields in found.values()]
    shared = set.intersection(*names) if len(names) > 1 else set()
    return {kind: tuple(sorted(fields, key=lambda each: each.name in shared)) for kind, fields in found.items()}


def problem_path(location: tuple[Any, ...], tags: frozenset[str]) -> str:
    """Where a problem belongs: without the words with which pydantic tells the classes of a list apart."""
    parts = [str(part) for part in location]
    kept = [part for at, part in enumerate(parts) if not (part in tags and at > 0 and parts[at - 1].isdecimal())]
    return ".".join(kept)
