"""What can go wrong inside the gateway.

GatewayError
  SocketRefusedError   a browser's WebSocket is not served; carries the close code and a sentence for people
"""

UNAUTHORISED = 4401
"""The first frame's ticket or token is not accepted, or its session is over. Get a new one."""
FORBIDDEN = 4403
"""The profile does not show this camera (any more)."""
NOT_FOUND = 4404
"""There is no such camera."""
TRY_AGAIN = 1013
"""RFC 6455's registry: try again later. The camera, its node or SMServer cannot serve now."""
POLICY = 1008
"""The first frame did not come in time or is none; or the page is not ours."""


class GatewayError(Exception):
    """The base of this package's errors."""


class SocketRefusedError(GatewayError):
    """A browser's WebSocket is not served."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
