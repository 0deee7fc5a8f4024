"""What can go wrong on the way of a message.

BrokerError
  MessageError              the message itself
    UnreadableMessageError    its bytes are not what its headers say; they travel in the error
    UnknownMessageError       no such kind, or a version this program does not know
  PublishError              a message was not confirmed; the sender keeps it and tries again
    PublishRefusedError       the broker said no: nacked, or returned as unroutable
    PublishUnconfirmedError   the broker said nothing in time, or the connection was lost
  JournalError              the journal could neither write to disk nor hold the event in memory
"""


class BrokerError(Exception):
    """The base of this package's errors."""


class MessageError(BrokerError):
    """A message cannot be understood."""

    def __init__(self, reason: str, body: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.body = body


class UnreadableMessageError(MessageError):
    """The body or the headers are damaged."""


class UnknownMessageError(MessageError):
    """No class of this kind and version is known here."""


class PublishError(BrokerError):
    """A message was not confirmed."""


class PublishRefusedError(PublishError):
    """The broker refused it or found no queue for it."""


class PublishUnconfirmedError(PublishError):
    """No word came in time; the message may or may not have arrived."""


class JournalError(BrokerError):
    """An event could not be kept."""
