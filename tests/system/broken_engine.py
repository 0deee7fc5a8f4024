"""The Celery application with parts taken out, for tests that show what the parts are there for.

BROKEN names them: `relay` announces nothing, `acknowledge` hangs between commit and acknowledgement, `commit` hangs
before the commit, `inbox` takes every delivery for a new one, `outbox` keeps no announcement, `lateness` acknowledges
before the commit and not after it.
"""

import asyncio
import os
import sys
import time

import workers.engine
import workers.reader
import workers.store.intake
import workers.store.lifecycle
from workers.app import app
from workers.store import quarantine

__all__ = ["app"]

BROKEN = os.environ["BROKEN"].split(",")


class SilentRelay:
    def __init__(self, *_args, **_options):
        pass

    def wake(self):
        pass

    async def run(self):
        await asyncio.Event().wait()


_take_in = workers.store.intake.Intake.take_in


def _take_in_and_hang(self, envelopes, alarms):
    _take_in(self, envelopes, alarms)
    time.sleep(600)


def _hang_and_never_take_in(self, envelopes, alarms):
    sys.stderr.write("hangs before its commit\n")
    time.sleep(600)


_read_together = workers.reader.Reader._read_together


async def _acknowledge_first(self, deliveries):
    for delivery in deliveries:
        delivery.done()
    await asyncio.sleep(1)  # the acknowledgement has left for RabbitMQ
    await _read_together(self, deliveries)


if "commit" in BROKEN:
    workers.store.intake.Intake.take_in = _hang_and_never_take_in
if "lateness" in BROKEN:
    workers.reader.Reader._read_together = _acknowledge_first
if "relay" in BROKEN:
    workers.engine.Relay = SilentRelay
if "acknowledge" in BROKEN:
    workers.store.intake.Intake.take_in = _take_in_and_hang
if "inbox" in BROKEN:
    workers.store.intake.accept = lambda _connection, _table, ids: frozenset(ids)
    quarantine.known = lambda _engine, _ids: frozenset()
if "outbox" in BROKEN:
    workers.store.lifecycle.put = lambda *_args: None
