"""Alarms. Administrators see them as configured; others see theirs, without what is done about them."""

from fastapi import APIRouter, Response

from broker.model.resources import Alarm
from servers.net.policy import SignedIn
from servers.smserver.api.context import AdministratorEdit, IfMatch, Items, Using, access_of, expected, same_id, tag
from servers.smserver.errors import NotFoundError
from servers.smserver.site import answered_as, load_one, load_site
from servers.smserver.visible import seen_alarms

router = APIRouter(prefix="/alarms", tags=["alarms"])


@router.get("", operation_id="list_alarms")
def list_alarms(caller: SignedIn, using: Using) -> Items[Alarm]:
    """All alarms that the caller sees."""
    access = access_of(caller)
    with using.store.read() as connection:
        site = load_site(connection)
    return Items(items=site.every(Alarm) if access.administer else seen_alarms(site, access))


@router.get("/{alarm_id}", operation_id="get_alarm")
def get_alarm(alarm_id: str, caller: SignedIn, using: Using, response: Response) -> Alarm:
    """One alarm."""
    access = access_of(caller)
    with using.store.read() as connection:
        found = load_one(connection, Alarm, alarm_id)
    if found is None or not (access.administer or access.alarm(alarm_id)):
        raise NotFoundError(f"There is no alarm {alarm_id}.")
    tag(response, found[1])
    return found[0] if access.administer else answered_as(found[0])


@router.post("", operation_id="create_alarm", status_code=201)
def create_alarm(body: Alarm, edit: AdministratorEdit) -> Alarm:
    """Add an alarm."""
    with edit.change() as change:
        change.create(body)
    return edit.written(change, body)


@router.put("/{alarm_id}", operation_id="replace_alarm")
def replace_alarm(alarm_id: str, body: Alarm, edit: AdministratorEdit, if_match: IfMatch = None) -> Alarm:
    """Change an alarm."""
    same_id(alarm_id, body)
    with edit.change() as change:
        change.replace(body, expected=expected(if_match))
    return edit.written(change, body)


@router.delete("/{alarm_id}", operation_id="delete_alarm", status_code=204)
def delete_alarm(alarm_id: str, edit: AdministratorEdit, if_match: IfMatch = None) -> None:
    """Delete an alarm."""
    with edit.change() as change:
        change.remove(Alarm, alarm_id, expected=expected(if_match) if if_match else None)
