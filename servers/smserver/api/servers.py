"""Servers of the site. They join by themselves; administrators rename, disable and delete them."""

from fastapi import APIRouter, Response

from broker.model.resources import Server
from servers.net.policy import SignedIn
from servers.smserver.api.context import AdministratorEdit, IfMatch, Items, Using, access_of, expected, same_id, tag
from servers.smserver.errors import NotFoundError
from servers.smserver.site import load_site
from servers.smserver.visible import seen_servers

router = APIRouter(prefix="/servers", tags=["servers"])


@router.get("", operation_id="list_servers")
def list_servers(caller: SignedIn, using: Using) -> Items[Server]:
    """All servers that the caller needs."""
    with using.store.read() as connection:
        site = load_site(connection)
    return Items(items=seen_servers(site, access_of(caller)))


@router.get("/{server_id}", operation_id="get_server")
def get_server(server_id: str, caller: SignedIn, using: Using, response: Response) -> Server:
    """One server."""
    with using.store.read() as connection:
        site = load_site(connection)
    found = next((server for server in seen_servers(site, access_of(caller)) if server.id == server_id), None)
    if found is None:
        raise NotFoundError(f"There is no server {server_id}.")
    tag(response, site.stored["server", server_id].edited)
    return found


@router.post("", operation_id="create_server", status_code=201)
def create_server(body: Server, edit: AdministratorEdit) -> Server:
    """Add a server."""
    with edit.change() as change:
        change.create(body)
    return edit.written(change, body)


@router.put("/{server_id}", operation_id="replace_server")
def replace_server(server_id: str, body: Server, edit: AdministratorEdit, if_match: IfMatch = None) -> Server:
    """Change a server."""
    same_id(server_id, body)
    with edit.change() as change:
        change.replace(body, expected=expected(if_match))
    return edit.written(change, body)


@router.delete("/{server_id}", operation_id="delete_server", status_code=204)
def delete_server(server_id: str, edit: AdministratorEdit, if_match: IfMatch = None) -> None:
    """Delete a server that captures no camera; it may join again with new keys."""
    with edit.change() as change:
        change.remove(Server, server_id, expected=expected(if_match) if if_match else None)
