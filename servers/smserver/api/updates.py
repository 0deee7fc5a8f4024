"""Updates of applications: the mirror for everybody, uploads and publishing for administrators."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from broker.model.client_configuration import ClientConfiguration
from broker.model.releases import MissingObjects, Publication, Published, UploadHead, WantedObjects
from servers.net.policy import Administrator, SignedIn, public
from servers.smserver import client_configuration
from servers.smserver.api.context import AdministratorEdit, IfMatch, Using, author_of, expected, tag
from servers.smserver.errors import NotFoundError, RefusedError

router = APIRouter(tags=["updates"])
served = APIRouter(tags=["updates"])
"""Below `/updates`. VAU is not signed in when it asks: its user has not typed a password yet. What it gets is the
same for everybody, is nobody's secret, and is believed for its signatures only."""

FOREVER = "public, max-age=31536000, immutable"
ANEW = "no-cache"
Nonce = Annotated[str, Query(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits of the caller's choice.")]


@served.get("/updates/configuration", operation_id="get_issued_configuration", dependencies=[Depends(public)])
def get_issued_configuration(nonce: Nonce, using: Using, response: Response) -> dict[str, Any]:
    """What applications start with, signed by SMServer for this caller (a DSSE 1.0 envelope)."""
    response.headers["Cache-Control"] = "no-store"
    with using.store.read() as connection:
        return client_configuration.issue(connection, using.keys, nonce)


class _Mirrored(FileResponse):
    """A file of the mirror; one that a renewal replaces between its look-up and its opening is simply not there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except FileNotFoundError:
            await Response(status_code=404)(scope, receive, send)


@served.head(
    "/updates/{name:path}",
    operation_id="head_update_file",
    dependencies=[Depends(public)],
    response_class=Response,
)
@served.get(
    "/updates/{name:path}",
    operation_id="get_update_file",
    dependencies=[Depends(public)],
    response_class=Response,
)
def get_update_file(name: str, using: Using) -> Response:
    """A file of the repository of updates, or a range of its bytes (RFC 9110, section 14)."""
    found = using.updates.mirror.find(name)
    if found is None:
        raise NotFoundError("There is no such file of an update.")
    path, stat = found
    kind = "application/json" if name.endswith(".json") else "application/octet-stream"
    cache = ANEW if name == "metadata/timestamp.json" else FOREVER
    return _Mirrored(path, media_type=kind, stat_result=stat, headers={"Cache-Control": cache})


@router.post("/updates/missing", operation_id="list_missing_objects")
def list_missing_objects(body: WantedObjects, _caller: Administrator, using: Using) -> MissingObjects:
    """Which files of a release are still to be uploaded."""
    return MissingObjects(objects=tuple(using.updates.mirror.missing(body.objects)))


@router.post(
    "/updates/objects",
    operation_id="upload_objects",
    status_code=204,
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
)
async def upload_objects(request: Request, _caller: Administrator, using: Using) -> None:
    """Upload pieces of files: a line of JSON that lists them, a line feed, and their bytes one after the other."""
    body = await request.body()
    head, _, data = body.partition(b"\n")
    try:
        pieces = UploadHead.model_validate(json.loads(head)).pieces
    except (ValueError, ValidationError) as error:
        raise RefusedError("The first line does not list the pieces that follow it.", field="pieces") from error
    await run_in_threadpool(using.updates.mirror.take, pieces, data)


@router.post("/updates/publication", operation_id="publish_updates")
def publish_updates(body: Publication, caller: Administrator, using: Using, request: Request) -> Published:
    """Show new metadata to clients, as one step, and tell those that are signed in."""
    listed = using.updates.publish(body, author_of(request, caller.id))
    return Published(releases={application: one.version for application, one in listed.items()})


@router.get("/client-configuration", operation_id="get_client_configuration", tags=["clients"])
def get_client_configuration(_caller: SignedIn, using: Using, response: Response) -> ClientConfiguration:
    """What the site tells its applications."""
    with using.store.read() as connection:
        revision, value = client_configuration.current(connection)
    tag(response, revision)
    return value


@router.put("/client-configuration", operation_id="replace_client_configuration", tags=["clients"])
def replace_client_configuration(
    body: ClientConfiguration, edit: AdministratorEdit, response: Response, if_match: IfMatch = None
) -> ClientConfiguration:
    """Change what the site tells its applications; VAU brings it to them at their next start."""
    wanted = expected(if_match)
    with edit.using.store.write() as connection:
        revision = client_configuration.replace(connection, body, wanted, edit.author)
    tag(response, revision)
    return body
