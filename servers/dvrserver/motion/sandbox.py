"""What a decoder process gives up before it touches a camera's bytes: a flaw in a decoder must lead nowhere."""

import ctypes
import os
import resource

MEMORY = 2 << 30
"""Address space; a decoder of one 8K picture stays far below."""
OPEN_FILES = 8
NICENESS = 5
NOBODY = 65_534
"""User and group without rights, on every Linux."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 38, 4
_CLONE_NEWNET, _CLONE_NEWUSER = 0x4000_0000, 0x1000_0000
_SIGKILL = 9


def restrict() -> dict[str, bool]:
    """Give up network, user, privileges and resources, as far as this machine lets us; what was achieved.

    Call it with one thread only, after all imports.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    done = {}
    os.nice(NICENESS)
    root = os.geteuid() == 0
    # Without root a network namespace of our own needs a user namespace of our own, which some machines forbid.
    done["network"] = libc.unshare(_CLONE_NEWNET if root else _CLONE_NEWUSER | _CLONE_NEWNET) == 0
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    done["user"] = root
    done["privileges"] = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    # After the change of user, which clears it.
    done["dies with the node"] = libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) == 0
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    return done
