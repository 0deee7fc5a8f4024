"""What browsers show: tickets, each of which starts one live picture, once, and access tokens for footage."""

from collections.abc import Callable
from datetime import UTC, datetime

from broker.model.access import Access
from broker.model.resources import Camera, Right
from broker.process import logger
from broker.trust.errors import TokenRefusedError
from broker.trust.identity import LEEWAY
from broker.trust.tokens import LIFETIME, Claims, TokenChecker
from servers.gateway.errors import FORBIDDEN, TRY_AGAIN, UNAUTHORISED, SocketRefusedError
from servers.gateway.passed_on import Passed
from servers.net.http import Problem

log = logger(__name__)


class TicketOffice:
    """Takes tickets and remembers the used ones for as long as they could be shown again.

    A gateway that starts anew has forgotten them, so it takes none that is older than itself.
    """

    def __init__(
        self, checker: TokenChecker, access_of: Callable[[str], Access | None], *, opened_at: datetime | None = None
    ) -> None:
        self._checker = checker
        self._access_of = access_of
        self._opened_at = (opened_at or datetime.now(UTC)).replace(microsecond=0)  # tickets count whole seconds
        self._used: dict[str, datetime] = {}

    def take(self, ticket: str, camera_id: str, *, now: datetime | None = None) -> Claims:
        """What the ticket says, if it is good for this camera and has not been used.

        Raises:
            SocketRefusedError: it is not. The reason is logged; the browser learns only that it needs a new one.
        """
        at = now or datetime.now(UTC)
        try:
            claims = self._checker.check(ticket, "ticket", at)
        except TokenRefusedError as error:
            raise _refused(error.reason) from error
        if claims.camera != camera_id:
            raise _refused("it is for another camera")
        if claims.purpose != "live":
            raise _refused("it is for recorded video")
        if at >= claims.expires_at:  # no grace here: the one who gives tickets is the one who is silent
            raise _refused("it has expired")
        if claims.expires_at - LIFETIME["ticket"] < self._opened_at:
            raise _refused("it is older than this gateway's run")
        if claims.jti in self._used:
            raise _refused("it was used before")
        access = self._access_of(claims.sub)
        if access is None:  # a user so new that the change has not come yet, or a gateway so new
            raise SocketRefusedError(TRY_AGAIN, "The gateway does not know you yet.")
        if not access.camera(camera_id, Right.LIVE):
            raise SocketRefusedError(FORBIDDEN, "Your profile does not show this camera.")
        self._used = {jti: until for jti, until in self._used.items() if until > at}
        self._used[claims.jti] = claims.expires_at + LEEWAY
        return claims


def _refused(reason: str) -> SocketRefusedError:
    log.info("ticket refused", reason=reason)
    return SocketRefusedError(UNAUTHORISED, "The ticket is not accepted.")


class CameraDoor:
    """Whether a token's user may ask a node about a camera, by the gateway's own copy of the configuration.

    The node decides again. What it would refuse is not carried to it, and what the profile does not show does not
    exist on this side of it either.
    """

    def __init__(
        self,
        checker: TokenChecker,
        access_of: Callable[[str], Access | None],
        camera_of: Callable[[str], Camera | None],
    ) -> None:
        self._checker = checker
        self._access_of = access_of
        self._camera_of = camera_of

    def check(self, token: str, row: Passed, node_id: str, camera_id: str) -> None:
        """Let a request pass.

        Raises:
            Problem: it may not.
        """
        try:
            claims = self._checker.check(token, "access")
        except TokenRefusedError as error:
            log.info("caller refused", reason=error.reason)
            raise Problem(
                401,
                detail="Sign in again: the access token is not accepted.",
                headers={"WWW-Authenticate": "Bearer"},
            ) from error
        access = self._access_of(claims.sub)
        if access is None:
            raise Problem(
                503, detail="The gateway does not know you yet.", remedy="Try again.", headers={"Retry-After": "1"}
            )
        camera = self._camera_of(camera_id)
        if camera is None or camera.node_id != node_id or not access.camera(camera_id):
            raise Problem(404, detail=f"There is no camera {camera_id} there.")
        if row.right is not None and not access.camera(camera_id, row.right):
            raise Problem(403, detail=f"Your profile lacks the right {row.right}.")
