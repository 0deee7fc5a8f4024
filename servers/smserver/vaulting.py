"""Secrets of cameras and players: at rest under the master key, on their way sealed to one node."""

import json

from broker.trust.identity import PublicIdentity
from broker.trust.sealing import ha1_context, seal, secret_context
from broker.trust.streams import ha1
from broker.trust.vault import Vault


class Secrets:
    """Encrypts what SMServer keeps and seals it to the nodes that need it. Nothing here is ever logged."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def keep_password(self, secret_ref: str, password: str) -> str:
        """A camera's password, encrypted for the database."""
        return self._vault.encrypt(password.encode(), context=secret_context(secret_ref))

    def seal_password(self, secret_ref: str, encrypted: str, node: PublicIdentity) -> str:
        """The same, sealed to the node that captures the camera."""
        context = secret_context(secret_ref)
        return seal(self._vault.decrypt(encrypted, context=context), node.sealing_key, context=context)

    def keep_ha1(self, user_id: str, stream_secret: str) -> str:
        """The HA1 values of a stream secret, encrypted for the database. The secret itself is kept nowhere."""
        values = json.dumps(ha1(user_id, stream_secret)).encode()
        return self._vault.encrypt(values, context=ha1_context(user_id))

    def seal_ha1(self, user_id: str, encrypted: str, node: PublicIdentity) -> str:
        """The same, sealed to one DVRServer."""
        context = ha1_context(user_id)
        return seal(self._vault.decrypt(encrypted, context=context), node.sealing_key, context=context)
