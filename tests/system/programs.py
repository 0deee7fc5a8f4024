"""Running other people's programs in tests."""

import asyncio
import os
import shutil
import subprocess

import pytest

from tests.gst_launch import cancelled_itself

PROGRAM_S = 40.0


def require(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{', '.join(missing)} must be installed")
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


async def run(*command, status=(0,), cancelled=False):
    """What a program said on standard output; its complaints when it ended with another status.

    `cancelled` is for gst-launch, see tests/gst_launch.py.
    """
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(PROGRAM_S):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    complaints = complained.decode(errors="replace")
    assert process.returncode in status or (cancelled and cancelled_itself(complaints)), complaints[-2000:]
    return said
