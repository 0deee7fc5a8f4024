"""What SMServer answers about updates of applications and the configuration of clients: `client.do(...)`."""

from collections.abc import Iterable, Mapping

from broker.model.client_configuration import ClientConfiguration
from broker.model.releases import MissingObjects, Piece, Published, UploadHead, WantedObject
from clients.sdk.call import Call, nothing, value_of
from clients.sdk.values import Versioned


def missing_objects(wanted: Iterable[WantedObject]) -> Call[MissingObjects]:
    """Which files of a release are still to be uploaded."""
    body = {"objects": [one.model_dump(mode="json") for one in wanted]}
    return Call(method="POST", path="/updates/missing", body=body, read=value_of(MissingObjects))


def upload_objects(pieces: Iterable[Piece], data: bytes) -> Call[None]:
    """Upload pieces of files; `data` holds their bytes one after the other."""
    head = UploadHead(pieces=tuple(pieces)).model_dump_json().encode()
    headers = {"Content-Type": "application/octet-stream"}
    return Call(method="POST", path="/updates/objects", content=head + b"\n" + data, headers=headers, read=nothing)


def publish_updates(metadata: Mapping[str, str]) -> Call[Published]:
    """Show new metadata to clients, as one step."""
    return Call(method="POST", path="/updates/publication", body={"metadata": dict(metadata)}, read=value_of(Published))


def client_configuration() -> Call[Versioned[ClientConfiguration]]:
    """What the site tells its applications, with its revision."""
    read = value_of(ClientConfiguration)
    return Call(
        method="GET",
        path="/client-configuration",
        read=lambda response: Versioned(read(response), response.headers.get("ETag", "").strip('"')),
    )


def replace_client_configuration(
    value: ClientConfiguration, *, revision: str | None = None
) -> Call[ClientConfiguration]:
    """Change what the site tells its applications; with a revision only if it still has that one."""
    return Call(
        method="PUT",
        path="/client-configuration",
        body=value.model_dump(mode="json"),
        headers={"If-Match": "*" if revision is None else f'"{revision}"'},
        read=value_of(ClientConfiguration),
    )
