"""What can go wrong in the engine.

EngineError
  ActionError               an action cannot be performed; trying again would not help
    TransientActionError      it may work later: the runner tries again until the deadline
"""


class EngineError(Exception):
    """The base of this package's errors."""


class ActionError(EngineError):
    """An action failed for good; the reason is what people read in the alarm list."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransientActionError(ActionError):
    """An action failed for now.

    `in_doubt` says that it may have been performed all the same, e.g. when an answer never came: the action's
    `when_in_doubt` decides then whether it is tried again.
    """

    def __init__(self, reason: str, *, in_doubt: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt
