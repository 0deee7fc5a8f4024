"""The kinds of resources that are administered: what they are called and how their fields are laid out. No Qt here."""

from dataclasses import dataclass

from pydantic import BaseModel

from broker.model.resources import Alarm, Camera, Profile, Server, User
from clients.system_manager.schema import Field, Kind


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of a form; a field that no tab names stands on the first."""

    title: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    """One kind."""

    name: str
    """In messages, references and the audit trail."""
    plural: str
    """Of the group of the SDK, too: `client.cameras`."""
    model: type[BaseModel]
    tabs: tuple[Tab, ...]
    columns: tuple[str, ...]
    """What a list shows of each."""
    about: str
    """A sentence for who sees the list for the first time."""
    password: Field | None = None

    @property
    def title(self) -> str:
        """As a heading."""
        return self.plural.capitalize()


def _password(label: str, help_text: str) -> Field:
    return Field(name="password", kind=Kind.PASSWORD, label=label, help=help_text)


KINDS = (
    ResourceKind(
        name="server",
        plural="servers",
        model=Server,
        tabs=(Tab("Server"),),
        columns=("name", "id", "role", "control_url", "enabled"),
        about="Servers join by themselves when they start with the site's join secret. Here they get names, addresses"
        " that clients dial, and leave the site.",
    ),
    ResourceKind(
        name="camera",
        plural="cameras",
        model=Camera,
        tabs=(
            Tab("Camera"),
            Tab("Recording", ("recording", "audio", "buffer_s", "retention_h", "alarm_retention_h")),
            Tab("Motion and mask", ("motion",)),
        ),
        columns=("name", "id", "node_id", "recording", "main_url"),
        about="Each camera is captured by one DVRServer. Test its address before you save it.",
        password=_password(
            "Password at the camera",
            "Written, never read: leave it empty to keep the present one. It travels sealed to the camera's server.",
        ),
    ),
    ResourceKind(
        name="alarm",
        plural="alarms",
        model=Alarm,
        tabs=(Tab("Alarm"), Tab("Trigger and actions", ("trigger", "actions")), Tab("Calendar", ("calendar",))),
        columns=("name", "id", "priority", "trigger", "enabled"),
        about="An alarm says what starts it, when it may start, and what is done then.",
    ),
    ResourceKind(
        name="profile",
        plural="profiles",
        model=Profile,
        tabs=(Tab("Profile"),),
        columns=("name", "id", "rights", "everything"),
        about="A profile is what its users see and may do. What it does not name does not exist for them.",
    ),
    ResourceKind(
        name="user",
        plural="users",
        model=User,
        tabs=(Tab("User"),),
        columns=("name", "id", "profile_id", "email", "enabled"),
        about="Users sign in with their id and password, and see what their profile shows.",
        password=_password(
            "Password",
            "At least 10 characters. Written, never read: leave it empty to keep the present one. A new one ends the"
            " user's sessions.",
        ),
    ),
)
KIND_OF = {kind.name: kind for kind in KINDS}
