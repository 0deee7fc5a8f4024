"""The stand-in node of the playback bench: an archive behind the RTSP server, for everybody. Prints its port."""

import asyncio
import sys
from pathlib import Path

from servers.dvrserver.archive import Archive
from servers.dvrserver.playback import Playback, StreamFootage
from servers.net.rtsp_server import RtspServer, StreamRequest
from servers.wire.media import Format


class Everybody:
    """Asks nobody for a password; the camera is the address's second word."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def authorise(self, request: StreamRequest) -> str:
        """Whoever it is: the camera."""
        return request.path.split("/")[2]

    async def describe(self, path: str, query: dict[str, str], who: str) -> tuple[Format, ...]:
        """The tracks of the newest footage."""
        del path, query
        return await asyncio.to_thread(self._footage(who).formats, None)

    def open(self, path: str, query: dict[str, str], who: str) -> Playback:
        """A session."""
        del path, query
        footage = self._footage(who)
        return Playback(footage, footage.formats(None))

    def _footage(self, camera_id: str) -> StreamFootage:
        return StreamFootage(self._archive, camera_id, "main", lambda: False)


async def main(folder: Path) -> None:
    archive = Archive(folder / "archive", folder / "index.db")
    await asyncio.to_thread(archive.open)
    server = RtspServer(Everybody(archive), "127.0.0.1", 0)
    await server.start()
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
