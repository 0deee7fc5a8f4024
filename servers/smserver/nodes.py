"""How processes join the site and prove who they are."""

import hmac
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from broker.model.resources import Server, ServerRole
from broker.trust.errors import TokenRefusedError, TrustError
from broker.trust.http import AUDIENCE
from broker.trust.identity import PublicIdentity, asserted_id, check_assertion, check_identity
from broker.trust.tokens import LIFETIME, SigningKeys, TokenIssuer
from servers.smserver.audit import Author
from servers.smserver.configuration import Configuration
from servers.smserver.errors import ConflictError, ForbiddenError, RefusedError, SignInError
from servers.smserver.site import load_one, load_site
from servers.smserver.store import Store
from servers.smserver.tables import node_key


class Nodes:
    """Enrols processes and gives them service tokens. All of it blocks: call it in threads only."""

    def __init__(
        self, store: Store, configuration: Configuration, keys: SigningKeys, issuer: TokenIssuer, join_secret: Path
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._keys = keys
        self._issuer = issuer
        self._join_secret = join_secret

    def enrol(
        self, join_secret: str, identity: PublicIdentity, control_url: str, stream_url: str, author: Author
    ) -> tuple[Server, dict[str, Any]]:
        """Admit a process that knows the join secret; the same keys may ask again, e.g. at each start.

        Raises:
            ForbiddenError: the secret is wrong, or the server is disabled.
            RefusedError: the keys are none.
            ConflictError: the id belongs to other keys or another role.
        """
        if not hmac.compare_digest(join_secret.strip().encode(), self._join_secret.read_text().strip().encode()):
            raise ForbiddenError(
                "The join secret is wrong.", field="join_secret", remedy=f"It stands in {self._join_secret.name}."
            )
        try:
            check_identity(identity)
        except TrustError as error:
            raise RefusedError(
                "The public keys are none.", field="identity", remedy="Delete the identity file of this process."
            ) from error
        node_id = identity.node_id
        with self._configuration.change(Author(node_id, author.address, author.program)) as change:
            known = change.connection.execute(
                sa.select(node_key.c.identity).where(node_key.c.node_id == node_id)
            ).scalar_one_or_none()
            server = change.site.find(Server, node_id)
            if known is not None and PublicIdentity.model_validate(known, extra="ignore") != identity:
                raise ConflictError(
                    f"There already is a {server.role if server else 'server'} {node_id}, with other keys.",
                    field="identity",
                    remedy="Give this process another id, put its identity file back, or delete that server first.",
                )
            if server is not None and server.role != identity.role:
                raise ConflictError(
                    f"{node_id} is a {server.role}, not a {identity.role}.",
                    field="identity",
                    remedy="Give this process another id, or delete that server first.",
                )
            if server is not None and not server.enabled:
                raise ForbiddenError(f"Server {node_id} is disabled.", remedy="An administrator can enable it.")
            if server is None:
                server = Server(
                    id=node_id, name=node_id, role=identity.role, control_url=control_url, stream_url=stream_url
                )
                change.create(server)
            else:
                server = server.model_copy(
                    update={
                        "control_url": control_url or server.control_url,
                        "stream_url": stream_url or server.stream_url,
                    }
                )
                change.replace(server, expected=None)
            if known is None:
                change.admit(identity)
        return server, self._keys.jwks()

    def service_token(self, assertion: str) -> tuple[str, int]:
        """A service token and its seconds of life, for an assertion signed by an enrolled process.

        Raises:
            SignInError: it is not enrolled, not enabled, or did not sign this.
        """
        try:
            node_id = asserted_id(assertion)
            with self._store.read() as connection:
                known = connection.execute(
                    sa.select(node_key.c.identity).where(node_key.c.node_id == node_id)
                ).scalar_one_or_none()
                server = load_one(connection, Server, node_id)
            if known is None or server is None or not server[0].enabled:
                raise SignInError(f"No enabled server {node_id[:63]} has enrolled.", remedy="Enrol it first.")
            identity = PublicIdentity.model_validate(known, extra="ignore")
            check_assertion(assertion, identity.signing_key, AUDIENCE)
        except TokenRefusedError as error:
            raise SignInError("The assertion is not accepted.", remedy=error.reason) from error
        return self._issuer.service(node_id, identity.role), int(LIFETIME["service"].total_seconds())

    def gateway_addresses(self) -> frozenset[str]:
        """The addresses of the gateways that have joined."""
        with self._store.read() as connection:
            servers = load_site(connection).every(Server)
        return frozenset(
            urlsplit(server.control_url).hostname or ""
            for server in servers
            if server.role == ServerRole.GATEWAY and server.enabled
        )

    def allowed(self, node_id: str) -> bool:
        """Whether a process may use its service token."""
        with self._store.read() as connection:
            server = load_one(connection, Server, node_id)
        return server is not None and server[0].enabled
