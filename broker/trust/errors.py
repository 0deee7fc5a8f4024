"""What can go wrong with keys, tokens and addresses.

TrustError
  KeyFileError          a key file is damaged or belongs to somebody else; an administrator must look
  SealError             a sealed value cannot be opened with this key in this context
  TokenRefusedError     a token is not accepted; the reason is for logs, the peer only hears 401
  EgressRefusedError    an address must not be called; says which field, why, and what would allow it
  PlainRefusedError     a port would speak without TLS beyond this machine
  EnvelopeRefusedError  a signed document is not accepted; says why
  EnrolmentRefusedError SMServer does not admit this process; says why
"""


class TrustError(Exception):
    """The base of this package's errors."""


class KeyFileError(TrustError):
    """A file with keys cannot be used."""


class SealError(TrustError):
    """A sealed value is damaged, was sealed to another key, or is used in another place than it was made for."""


class TokenRefusedError(TrustError):
    """A token is not accepted."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the token is refused: {reason}")
        self.reason = reason


class EgressRefusedError(TrustError):
    """An address must not be called."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field}: {why}; {remedy}")
        self.field = field
        self.why = why
        self.remedy = remedy


class PlainRefusedError(TrustError):
    """A port would speak without TLS beyond this machine."""

    def __init__(self, host: str, setting: str) -> None:
        super().__init__(
            f"{setting} is {host!r}, which others can reach, but there is no certificate: set VIGIL_TLS__CERTIFICATE "
            "and VIGIL_TLS__KEY, or bind to 127.0.0.1, or set VIGIL_TLS__ALLOW_PLAIN=true and accept that passwords "
            "travel in clear"
        )
        self.host = host
        self.setting = setting


class EnrolmentRefusedError(TrustError):
    """SMServer does not admit this process."""


class EnvelopeRefusedError(TrustError):
    """A signed document is not accepted."""
