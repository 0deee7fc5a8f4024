"""Sockets that rest are read in rounds, and at once when much has come."""

import asyncio
from contextlib import asynccontextmanager

from servers.net.rounds import LOW_WATER, Rounds


class Reader(asyncio.Protocol):
    """Notes how much came in each read, and rests after it."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.reads = asyncio.Queue()
        self.closed = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.reads.put_nowait(len(data))
        if self.rounds is not None:
            self.rounds.rest(self.transport)

    def connection_lost(self, exc):
        self.closed.set()


@asynccontextmanager
async def connection(rounds):
    """A reader and the writer of its peer."""
    accepted = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0)
    transport, reader = await asyncio.get_running_loop().create_connection(
        lambda: Reader(rounds), *server.sockets[0].getsockname()
    )
    writer = await accepted.get()
    try:
        yield reader, writer
    finally:
        writer.close()
        transport.close()
        server.close()
        await server.wait_closed()


async def reads_while_pieces_come(rounds):
    async with connection(rounds) as (reader, writer):
        for _ in range(40):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.01)
        total = count = 0
        while total < 4000:
            total += await reader.reads.get()
            count += 1
        return count


async def test_what_comes_in_pieces_is_read_together_and_none_of_it_is_left():
    assert await reads_while_pieces_come(Rounds(0.1)) <= 12


async def test_without_rounds_each_piece_is_a_read():
    assert await reads_while_pieces_come(None) > 20


async def test_a_burst_is_read_at_once():
    async with connection(Rounds(round_s=3600)) as (reader, writer):
        writer.write(b"x")
        assert await reader.reads.get() == 1
        writer.write(b"x" * 2 * LOW_WATER)
        read = 0
        async with asyncio.timeout(5):
            while read < LOW_WATER:
                read += await reader.reads.get()


async def test_a_connection_that_ends_is_noticed_between_rounds():
    async with connection(Rounds(round_s=3600)) as (reader, writer):
        writer.write(b"x")
        await reader.reads.get()
        writer.close()
        await asyncio.wait_for(reader.closed.wait(), 5)


async def test_a_round_bears_with_sockets_that_were_closed_meanwhile():
    rounds = Rounds(0.05)
    async with connection(rounds) as (gone, writer), connection(rounds) as (reader, other):
        for each, peer in ((gone, writer), (reader, other)):
            peer.write(b"x")
            await each.reads.get()
        gone.transport.abort()
        other.write(b"y")
        assert await asyncio.wait_for(reader.reads.get(), 5) == 1
