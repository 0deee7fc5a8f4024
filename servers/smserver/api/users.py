"""Users and their login passwords. For administrators."""

from fastapi import APIRouter, Response
from pydantic import Field, SecretStr

from broker.model.resources import User
from broker.trust.passwords import hash_password
from servers.net.policy import Administrator
from servers.smserver.api.context import AdministratorEdit, IfMatch, Items, Using, expected, same_id, tag
from servers.smserver.errors import NotFoundError
from servers.smserver.sessions import check_password
from servers.smserver.site import load_one, load_site

router = APIRouter(prefix="/users", tags=["users"])


class UserBody(User):
    """A user as an administrator sends it."""

    password: SecretStr | None = Field(
        None, description="The login password; none keeps the present one. Never returned."
    )

    def user(self) -> User:
        """The resource alone."""
        return User.model_construct(**{name: getattr(self, name) for name in User.model_fields})

    def password_hash(self) -> str | None:
        """What is stored of the password; made before the transaction, because it takes its time."""
        if self.password is None:
            return None
        check_password(self.password.get_secret_value(), "password")
        return hash_password(self.password.get_secret_value())


@router.get("", operation_id="list_users")
def list_users(_caller: Administrator, using: Using) -> Items[User]:
    """All users."""
    with using.store.read() as connection:
        return Items(items=load_site(connection).every(User))


@router.get("/{user_id}", operation_id="get_user")
def get_user(user_id: str, _caller: Administrator, using: Using, response: Response) -> User:
    """One user."""
    with using.store.read() as connection:
        found = load_one(connection, User, user_id)
    if found is None:
        raise NotFoundError(f"There is no user {user_id}.")
    tag(response, found[1])
    return found[0]


@router.post("", operation_id="create_user", status_code=201)
def create_user(body: UserBody, edit: AdministratorEdit) -> User:
    """Add a user; without a password they cannot sign in yet."""
    user, hashed = body.user(), body.password_hash()
    with edit.change() as change:
        change.create(user)
        if hashed is not None:
            change.set_password_hash(user.id, hashed)
    return edit.written(change, user)


@router.put("/{user_id}", operation_id="replace_user")
def replace_user(user_id: str, body: UserBody, edit: AdministratorEdit, if_match: IfMatch = None) -> User:
    """Change a user. A new password, or disabling the user, ends their sessions."""
    same_id(user_id, body)
    user, hashed = body.user(), body.password_hash()
    with edit.change() as change:
        change.replace(user, expected=expected(if_match))
        if hashed is not None:
            change.set_password_hash(user_id, hashed)
        if hashed is not None or not user.enabled:
            own = edit.caller.session_id if user.enabled else ""
            edit.using.sessions.end_all(change.connection, user_id, edit.author, but=own)
    return edit.written(change, user)


@router.delete("/{user_id}", operation_id="delete_user", status_code=204)
def delete_user(user_id: str, edit: AdministratorEdit, if_match: IfMatch = None) -> None:
    """Delete a user; their sessions end."""
    with edit.change() as change:
        change.remove(User, user_id, expected=expected(if_match) if if_match else None)
        edit.using.sessions.end_all(change.connection, user_id, edit.author)
