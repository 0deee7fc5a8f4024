"""Profiles: what users see and may do. For administrators."""

from fastapi import APIRouter, Response

from broker.model.resources import Profile
from servers.net.policy import Administrator
from servers.smserver.api.context import AdministratorEdit, IfMatch, Items, Using, expected, same_id, tag
from servers.smserver.errors import NotFoundError
from servers.smserver.site import load_one, load_site

router = APIRouter(prefix="/profiles", tags=["profiles"])


@router.get("", operation_id="list_profiles")
def list_profiles(_caller: Administrator, using: Using) -> Items[Profile]:
    """All profiles."""
    with using.store.read() as connection:
        return Items(items=load_site(connection).every(Profile))


@router.get("/{profile_id}", operation_id="get_profile")
def get_profile(profile_id: str, _caller: Administrator, using: Using, response: Response) -> Profile:
    """One profile."""
    with using.store.read() as connection:
        found = load_one(connection, Profile, profile_id)
    if found is None:
        raise NotFoundError(f"There is no profile {profile_id}.")
    tag(response, found[1])
    return found[0]


@router.post("", operation_id="create_profile", status_code=201)
def create_profile(body: Profile, edit: AdministratorEdit) -> Profile:
    """Add a profile."""
    with edit.change() as change:
        change.create(body)
    return edit.written(change, body)


@router.put("/{profile_id}", operation_id="replace_profile")
def replace_profile(profile_id: str, body: Profile, edit: AdministratorEdit, if_match: IfMatch = None) -> Profile:
    """Change a profile."""
    same_id(profile_id, body)
    with edit.change() as change:
        change.replace(body, expected=expected(if_match))
    return edit.written(change, body)


@router.delete("/{profile_id}", operation_id="delete_profile", status_code=204)
def delete_profile(profile_id: str, edit: AdministratorEdit, if_match: IfMatch = None) -> None:
    """Delete a profile that no user has."""
    with edit.change() as change:
        change.remove(Profile, profile_id, expected=expected(if_match) if if_match else None)
