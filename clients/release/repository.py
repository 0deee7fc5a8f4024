"""The repository of releases on the machine that signs: TUF metadata (specification 1.0) and files by their content.

    metadata/   1.root.json …, N.targets.json, N.snapshot.json, timestamp.json
    targets/    <application>/<sha256>.release.json: the list of a release's files
    objects/    the files themselves, each once
    staged/     lists that were built and are not signed yet; never published

The first three folders are what SMServer shows under `/updates/`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from broker.model.releases import Release, list_path, target_path
from broker.trust.keyfile import write_private
from clients.release.errors import ReleaseError
from clients.release.keys import ROLES

DAYS: Mapping[str, int] = {"root": 1095, "targets": 365, "snapshot": 90, "timestamp": 90}
"""For how long each kind of metadata is good. `vigil release sign` renews all but the root."""

ROOT_KEYS, ROOT_THRESHOLD = 3, 2

T = TypeVar("T", Root, Targets, Snapshot, Timestamp)


class Repository:
    """A folder with releases and their metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.staged = folder / "staged"

    # --- Reading --------------------------------------------------------------------------------------------

    def root(self) -> Metadata[Root]:
        """The newest root.

        Raises:
            ReleaseError: there is none.
        """
        newest = self._newest("root")
        if newest is None:
            raise ReleaseError(f"{self.folder} is no repository yet: make its keys with `vigil release keygen`.")
        return Metadata[Root].from_bytes(newest)

    def targets(self) -> Targets | None:
        """What is listed now; none before the first signature."""
        newest = self._newest("targets")
        return Metadata[Targets].from_bytes(newest).signed if newest else None

    def timestamp(self) -> Timestamp | None:
        """What says which snapshot is the newest; none before the first signature."""
        try:
            return Metadata[Timestamp].from_bytes((self.metadata / "timestamp.json").read_bytes()).signed
        except FileNotFoundError:
            return None

    def releases(self) -> dict[str, Release]:
        """The release of each application that is signed now."""
        found = {}
        targets = self.targets()
        for path, target in targets.targets.items() if targets else ():
            application = path.partition("/")[0]
            content = (self.folder / list_path(application, target.hashes["sha256"])).read_bytes()
            found[application] = Release.model_validate_json(content)
        return found

    def _newest(self, role: str) -> bytes | None:
        names = self.metadata.glob(f"*.{role}.json")
        numbers = [int(path.name.partition(".")[0]) for path in names if path.name.partition(".")[0].isdigit()]
        return (self.metadata / f"{max(numbers)}.{role}.json").read_bytes() if numbers else None

    # --- Writing --------------------------------------------------------------------------------------------

    def create(self, root_keys: Iterable[CryptoSigner], keys: Mapping[str, CryptoSigner], days: int) -> None:
        """The first root: its own keys, and one for each other role.

        Raises:
            ReleaseError: there is a root already.
        """
        if self._newest("root") is not None:
            raise ReleaseError(f"{self.folder} has a root already. A new one is made by `vigil release rotate`.")
        signers = list(root_keys)
        root = Root(expires=_in(days), consistent_snapshot=True)
        for signer in signers:
            root.add_key(signer.public_key, Root.type)
        root.roles[Root.type].threshold = min(ROOT_THRESHOLD, len(signers))
        for role in ROLES:
            root.add_key(keys[role].public_key, role)
        metadata = Metadata(root)
        for signer in signers:
            metadata.sign(signer, append=True)
        self._write("1.root.json", metadata)

    def rotate(
        self,
        signers: Mapping[str, CryptoSigner],
        replaced: Mapping[str, tuple[str | None, CryptoSigner]],
        days: int = DAYS["root"],
    ) -> int:
        """A new root: a later end, and keys in the place of others. Returns its version.

        `replaced` names per role the id of the key that goes (none: all of the role) and the one that comes.

        Raises:
            ReleaseError: too few root keys are at hand for the old root, or for the new one.
        """
        before = self.root().signed
        root = self.root().signed
        root.version += 1
        root.expires = _in(days)
        at_hand = dict(signers)
        for role, (gone, new) in replaced.items():
            for keyid in [gone] if gone else list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            root.add_key(new.public_key, role)
            at_hand[new.public_key.keyid] = new
        metadata = Metadata(root)
        for keyid in dict.fromkeys((*before.roles[Root.type].keyids, *root.roles[Root.type].keyids)):
            if keyid in at_hand:
                metadata.sign(at_hand[keyid], append=True)
        for judge in (before, root):
            role_ = judge.roles[Root.type]
            have = [keyid for keyid in role_.keyids if keyid in metadata.signatures]
            if len(have) < role_.threshold:
                raise ReleaseError(
                    f"A new root needs {role_.threshold} of the {len(role_.keyids)} root keys; {len(have)} are at hand."
                )
        self._write(f"{root.version}.root.json", metadata)
        return root.version

    def stage(self, release: Release) -> None:
        """Keep a list until it is signed."""
        write_private(self.staged / f"{release.application}.json", release.model_dump_json(indent=None).encode())

    def sign(
        self, signers: Mapping[str, CryptoSigner], days: Mapping[str, int] = DAYS, *, now: datetime | None = None
    ) -> dict[str, str]:
        """Sign what is staged, or renew what is signed. Returns the version of each application that is new.

        Raises:
            ReleaseError: a key is missing; names the role.
        """
        root = self.root().signed
        staged = sorted(self.staged.glob("*.json"))
        new: dict[str, str] = {}
        targets = _next(self.targets()) or Targets()
        for path in staged:
            content = path.read_bytes()
            release = Release.model_validate_json(content)
            target = TargetFile.from_data(target_path(release.application), content, ["sha256"])
            target.unrecognized_fields["custom"] = {"version": release.version}
            where = self.folder / list_path(release.application, hashlib.sha256(content).hexdigest())
            where.parent.mkdir(parents=True, exist_ok=True)
            write_private(where, content)
            targets.targets[target.path] = target
            new[release.application] = release.version
        snapshot = _next(self._snapshot()) or Snapshot()
        timestamp = _next(self.timestamp()) or Timestamp()
        for signed, role in ((targets, "targets"), (snapshot, "snapshot"), (timestamp, "timestamp")):
            signed.expires = (now or datetime.now(UTC)).replace(microsecond=0) + timedelta(days=days[role])
        signed_targets = _sign(targets, root, signers)
        snapshot.meta = {"targets.json": MetaFile(targets.version)}
        signed_snapshot = _sign(snapshot, root, signers)
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        signed_timestamp = _sign(timestamp, root, signers)
        self._write(f"{targets.version}.targets.json", signed_targets)
        self._write(f"{snapshot.version}.snapshot.json", signed_snapshot)
        self._write("timestamp.json", signed_timestamp)  # last: from here on the new state is the state
        for path in staged:
            path.unlink()
        return new

    def _snapshot(self) -> Snapshot | None:
        newest = self._newest("snapshot")
        return Metadata[Snapshot].from_bytes(newest).signed if newest else None

    def _write(self, name: str, metadata: Metadata[T]) -> None:
        content = metadata.to_bytes(JSONSerializer(compact=True))
        write_private(self.metadata / name, content)


def _next(signed: T | None) -> T | None:
    """The same with the next version's number."""
    if signed is not None:
        signed.version += 1
    return signed


def _sign(signed: T, root: Root, signers: Mapping[str, CryptoSigner]) -> Metadata[T]:
    role = root.roles[signed.type]
    metadata = Metadata(signed)
    for keyid in role.keyids:
        if keyid in signers:
            metadata.sign(signers[keyid], append=True)
    try:
        root.verify_delegate(signed.type, metadata.signed_bytes, metadata.signatures)
    except RepositoryError as error:
        raise ReleaseError(
            f"The key of the role {signed.type} is not at hand: name its file, or the folder it is in, with --keys."
        ) from error
    return metadata


def _in(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
