"""Layouts of the signed-in user."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from starlette.requests import HTTPConnection

from broker.model.layouts import Layout, LayoutName
from servers.net.policy import SignedIn
from servers.smserver import layouts
from servers.smserver.api.context import IfMatch, Items, Using, author_of, expected, tag
from servers.smserver.errors import RefusedError

router = APIRouter(prefix="/me/layouts", tags=["me"])

Name = Annotated[LayoutName, Path(description="The layout's name.")]


@router.get("", operation_id="list_layouts")
def list_layouts(caller: SignedIn, using: Using) -> Items[Layout]:
    """All layouts of the caller, by name."""
    with using.store.read() as connection:
        return Items(items=layouts.every(connection, caller.id))


@router.get("/{name}", operation_id="get_layout")
def get_layout(name: Name, caller: SignedIn, using: Using, response: Response) -> Layout:
    """One layout of the caller."""
    with using.store.read() as connection:
        found = layouts.find(connection, caller.id, name)
    tag(response, found.revision)
    return found.value


@router.put("/{name}", operation_id="put_layout", responses={201: {"model": Layout, "description": "It is new."}})
def put_layout(
    name: Name,
    body: Layout,
    *,
    caller: SignedIn,
    using: Using,
    connection: HTTPConnection,
    response: Response,
    if_match: IfMatch = None,
) -> Layout:
    """Add a layout, or replace the one that If-Match names."""
    if body.name != name:
        raise RefusedError(
            f"The address says {name}, the body says {body.name}.",
            field="name",
            remedy="To rename a layout, save it under the new name and delete the old one.",
        )
    given = if_match is not None
    with using.store.write() as transaction:
        revision, new = layouts.put(
            transaction,
            author_of(connection, caller.id),
            body,
            given=given,
            expected=expected(if_match) if given else None,
        )
    response.status_code = 201 if new else 200
    tag(response, revision)
    return body


@router.delete("/{name}", operation_id="delete_layout", status_code=204)
def delete_layout(
    name: Name, caller: SignedIn, using: Using, connection: HTTPConnection, if_match: IfMatch = None
) -> None:
    """Delete a layout of the caller."""
    with using.store.write() as transaction:
        layouts.remove(
            transaction,
            author_of(connection, caller.id),
            name,
            expected=expected(if_match) if if_match else None,
        )
