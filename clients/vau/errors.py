"""What can go wrong before an application runs. Each is a sentence for its user, with what to do about it.

VauError
  UnreachableError      no SMServer of the list answers, or the connection was cut
  RefusedError          what came is not to be trusted: not signed, older than before, expired, damaged, too long
  NothingOfferedError   SMServer answers and has no release of this application
  DiskError             the disk is full or not writable
  UnfitError            the release is for another Python
  NothingToStartError   there is no version on this computer that could be started
"""


class VauError(Exception):
    """The base of this package's errors."""


class UnreachableError(VauError):
    """Nobody answers."""


class RefusedError(VauError):
    """What came is not to be trusted; none of it was used."""


class NothingOfferedError(VauError):
    """There is no release of this application at SMServer."""


class DiskError(VauError):
    """The disk does not take it."""


class UnfitError(VauError):
    """The release cannot run here."""


class NothingToStartError(VauError):
    """No version on this computer can be started."""
