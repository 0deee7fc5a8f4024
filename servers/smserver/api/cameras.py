"""Cameras. Administrators see them as configured; others see theirs, with the addresses at which they watch."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field, SecretStr

from broker.model.resources import Camera, Server
from servers.net.policy import SignedIn
from servers.smserver.api.context import AdministratorEdit, IfMatch, Items, Using, access_of, expected, same_id, tag
from servers.smserver.configuration import Change
from servers.smserver.errors import NotFoundError
from servers.smserver.site import load_one, load_site, watched_as
from servers.smserver.visible import seen_cameras

router = APIRouter(prefix="/cameras", tags=["cameras"])


class CameraBody(Camera):
    """A camera as an administrator sends it."""

    password: SecretStr | None = Field(
        None, description="The camera's password; none keeps the present one, an empty one removes it. Never returned."
    )

    def camera(self, secret_ref: str | None) -> Camera:
        """The resource alone. Which secret is its own is for SMServer to say."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in Camera.model_fields}
        return Camera.model_construct(**{**fields, "secret_ref": secret_ref})


@router.get("", operation_id="list_cameras")
def list_cameras(caller: SignedIn, using: Using) -> Items[Camera]:
    """All cameras that the caller sees."""
    access = access_of(caller)
    with using.store.read() as connection:
        site = load_site(connection)
    return Items(items=site.every(Camera) if access.administer else seen_cameras(site, access))


@router.get("/{camera_id}", operation_id="get_camera")
def get_camera(camera_id: str, caller: SignedIn, using: Using, response: Response) -> Camera:
    """One camera."""
    access = access_of(caller)
    with using.store.read() as connection:
        found = load_one(connection, Camera, camera_id)
        server = load_one(connection, Server, found[0].node_id) if found else None
    if found is None or not (access.administer or access.camera(camera_id)):
        raise NotFoundError(f"There is no camera {camera_id}.")
    tag(response, found[1])
    return found[0] if access.administer else watched_as(found[0], {server[0].id: server[0]} if server else {})


@router.post("", operation_id="create_camera", status_code=201)
def create_camera(body: CameraBody, edit: AdministratorEdit) -> Camera:
    """Add a camera."""
    with edit.change() as change:
        change.create(body.camera(None))
        _password(change, body)
    return edit.written(change, body.camera(None))


@router.put("/{camera_id}", operation_id="replace_camera")
def replace_camera(camera_id: str, body: CameraBody, edit: AdministratorEdit, if_match: IfMatch = None) -> Camera:
    """Change a camera."""
    same_id(camera_id, body)
    with edit.change() as change:
        before = change.site.find(Camera, camera_id)
        change.replace(body.camera(before.secret_ref if before else None), expected=expected(if_match))
        _password(change, body)
    return edit.written(change, body.camera(None))


@router.delete("/{camera_id}", operation_id="delete_camera", status_code=204)
def delete_camera(camera_id: str, edit: AdministratorEdit, if_match: IfMatch = None) -> None:
    """Delete a camera that no alarm uses."""
    with edit.change() as change:
        change.remove(Camera, camera_id, expected=expected(if_match) if if_match else None)


def _password(change: Change, body: CameraBody) -> None:
    if body.password is not None:
        change.set_camera_password(body.id, body.password.get_secret_value())
