"""What a site tells the applications of its users before they sign in. SMServer signs it with its own key.

It is data and nothing else: it can name no program, no trusted root and no source of updates, and a document
with a field that is not declared here is refused as a whole.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from broker.model.base import Instant, Title, Value, Word

PAYLOAD_TYPE = "application/vnd.vigil.client-configuration+json"
"""The type in the signed envelope (DSSE 1.0), so that nothing else that the key signs passes for a configuration."""

MOST_ADDRESSES = 8

ServerUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$", max_length=255)
]
"""Where an SMServer is reached: scheme, host and port, no path, no user name."""

Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The SHA-256 of something, 64 hexadecimal digits."""


class ServerAddress(Value):
    """One way to reach SMServer."""

    url: ServerUrl = Field(description="Scheme, host and port, e.g. https://vms.example.org:5008.")
    certificate: Fingerprint | None = Field(
        None,
        description="SHA-256 of the certificate (DER) that this address shows; none: the usual authorities decide.",
    )


class Branding(Value):
    """How the applications present themselves."""

    product: Title = Field("Vigil", description="The name in title bars.")
    site: str = Field("", max_length=120, description="The name of the site, shown where users sign in.")
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")] = Field(
        "#2563eb", description="The colour of accents, e.g. #2563eb."
    )
    notice: str = Field("", max_length=2000, description="A text that users read before they sign in.")


class ClientSwitch(StrEnum):
    """What a site can turn on and off in the applications. Applications ignore switches that they do not know."""

    OFFER_RESTART = "offer_restart"
    """Applications offer a restart as soon as a new version is there; otherwise it is taken at the next start."""
    REMEMBER_USER = "remember_user"
    """The sign-in window remembers the last user name."""


class ClientConfiguration(Value):
    """What applications start with."""

    addresses: tuple[ServerAddress, ...] = Field(
        (), max_length=MOST_ADDRESSES, description="Where SMServer is reached, the best first; empty: as before."
    )
    branding: Branding = Branding()
    switches: dict[Word, bool] = Field(
        {}, max_length=64, description="What is turned on or off; what is not named stays at the application's default."
    )

    @field_validator("addresses")
    @classmethod
    def _once_each(cls, addresses: tuple[ServerAddress, ...]) -> tuple[ServerAddress, ...]:
        if len({address.url for address in addresses}) != len(addresses):
            raise ValueError("name each address once")
        return addresses

    def switch(self, switch: ClientSwitch, *, default: bool) -> bool:
        """Whether something is on here."""
        return self.switches.get(switch.value, default)


class IssuedConfiguration(Value):
    """What SMServer signs for one who asks."""

    revision: int = Field(ge=0, description="Grows with each change; an older one than the last seen is refused.")
    issued_at: Instant
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="As the one who asks chose it: proves that the answer is not an old one."
    )
    keys: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        min_length=1,
        max_length=16,
        description="SMServer's public Ed25519 keys, hexadecimal: whoever trusts one of them trusts these from now on.",
    )
    configuration: ClientConfiguration
