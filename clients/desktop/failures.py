"""What went wrong, in a sentence for the person at the screen, and what to do about it."""

import socket
from typing import NamedTuple

import httpx

from clients.desktop.trust import AddressError, OtherCertificateError, PlainSpeakingError, UnknownCertificateError
from clients.sdk import (
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    ProblemError,
    ThrottledError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clients.sdk.errors import ServerTroubleError


class Failure(NamedTuple):
    """A sentence, and the remedy."""

    sentence: str
    remedy: str = ""
    field: str = ""
    """Where the mistake is: address, user or password; empty when it is none of these."""


class RightMissingError(Exception):
    """Somebody has signed in who may not use this application; the sentence says so."""


def sign_in_failure(error: Exception, place: str) -> Failure:  # noqa: PLR0911 - one sentence a cause
    """Why signing in at `place` failed."""
    match error:
        case AddressError():
            return Failure(str(error), field="address")
        case PlainSpeakingError():
            return Failure(
                f"{place} does not speak TLS, so your password would travel in clear.",
                f"If that is meant, write the address as http://{place}; otherwise ask the administrator.",
                "address",
            )
        case OtherCertificateError():
            return Failure(
                f"{place} shows another certificate than before.",
                "It may have been renewed, or somebody stands between you and the server. Ask the administrator for"
                " the new fingerprint and compare it below before you go on.",
                "address",
            )
        case UnknownCertificateError():
            return Failure(
                f"The certificate of {place} is not known here yet.",
                "Compare its fingerprint with the one that the administrator gave you. This is asked only once.",
                "address",
            )
        case ThrottledError():
            wait = f"{error.retry_after_s} seconds" if error.retry_after_s else "a while"
            return Failure(
                "Too many wrong passwords were tried for this user or from this machine.",
                f"Wait {wait}, then try again.",
                "password",
            )
        case NotSignedInError():
            return Failure(
                "The user name or the password is wrong.",
                "Check both, and that Caps Lock is off. An administrator can give you a new password.",
                "password",
            )
        case RightMissingError() | NotAllowedError():
            return Failure(str(error), "Sign in as somebody who may, or ask an administrator for the right.", "user")
        case UnexpectedAnswerError() | NotFoundError():
            return Failure(
                f"{place} answers, but not as an SMServer of this version.",
                "Check address and port. If the site was updated, start the application through its updater, which"
                " fetches the version that belongs to it.",
                "address",
            )
        case ServerTroubleError():
            return Failure(
                f"SMServer at {place} is in trouble: {error.detail or error.title}".rstrip(".") + ".",
                error.remedy or "Try again in a few seconds; if it lasts, its log says more.",
            )
        case _:
            return _away(error, place)


def _away(error: Exception, place: str) -> Failure:
    cause: BaseException = error.__cause__ if isinstance(error, UnreachableError) and error.__cause__ else error
    match cause:
        case socket.gaierror():
            return Failure(f"The name of {place} is not known.", "Check its spelling, or the network.", "address")
        case ConnectionRefusedError():
            return Failure(
                f"Nothing listens at {place}.",
                "Check the port, and that SMServer runs. Another address of the site may be in the list.",
                "address",
            )
        case TimeoutError() | httpx.TimeoutException():
            return Failure(
                f"{place} does not answer.",
                "Check the address, the network and whether the server runs; then try again.",
                "address",
            )
        case OSError() | httpx.TransportError():
            why = getattr(cause, "strerror", "") or str(cause)
            return Failure(
                f"{place} cannot be reached: {why}." if why else f"{place} cannot be reached.",
                "Check the address and the network; then try again.",
                "address",
            )
    return Failure(f"Signing in failed: {error}", "Try again; if it lasts, tell the administrator these words.")


def failure_of(error: Exception) -> Failure:
    """Why something that was asked of a server failed."""
    match error:
        case NotSignedInError():
            return Failure("Your session is over.", "Sign in again.")
        case ProblemError():
            return Failure(error.detail or error.title, error.remedy, error.field)
        case UnreachableError():
            return Failure("The server does not answer.", "It is tried again by itself; nothing you typed is lost.")
        case UnexpectedAnswerError():
            return Failure(
                "The server answers in a way that this version does not understand.",
                "Start the application through its updater, which fetches the version that belongs to the site.",
            )
    return Failure(str(error) or type(error).__name__)
