"""What every page of System Manager works with."""

from dataclasses import dataclass
from functools import cached_property

from broker.model.resources import Camera
from clients.desktop.session import Session
from clients.desktop.theme import Theme
from clients.desktop.video.media import Media
from clients.desktop.video.opening import Opener, StreamAddress, StreamName, ticket_opener
from clients.sdk import NotSignedInError
from clients.system_manager.site import SiteModel


@dataclass(frozen=True)
class Workplace:
    """Session, site, appearance, pictures."""

    session: Session
    site: SiteModel
    theme: Theme

    @cached_property
    def media(self) -> Media:
        """The threads behind live pictures; they begin with the first one."""
        return Media(decoders=1)

    def opener(self, camera: Camera) -> Opener:
        """Where a camera's streams are, asked as whoever is signed in then."""
        session = self.session

        async def open_stream(stream: StreamName) -> StreamAddress:
            client, trusted = session.client, session.trusted
            if client is None or trusted is None:
                raise NotSignedInError(401, "Nobody has signed in")
            opener = ticket_opener(session.background.submit, client, camera.id, tls=trusted.nodes)
            return await opener(stream)

        return open_stream

    def close(self) -> None:
        """End the threads behind pictures."""
        if "media" in self.__dict__:
            self.media.close()
