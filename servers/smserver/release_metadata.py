"""Whether TUF metadata hold together: what a mirror checks before it shows them (TUF 1.0, section 5.3 to 5.6).

A mirror has no trusted root of its own: it follows the first one that it was given, and says so when another comes.
Clients check all of this again, from the root that they trust.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from broker.model.releases import METADATA_NAME

ROOT_NAME = re.compile(r"([1-9][0-9]*)\.root\.json")


class Shown:
    """New metadata before those that are kept."""

    def __init__(self, new: Mapping[str, bytes], kept: Callable[[str], bytes | None], names: Iterable[str]) -> None:
        self._new = new
        self._kept = kept
        self._roots_here = sorted(int(found[1]) for name in names if (found := ROOT_NAME.fullmatch(name)))

    def targets(self) -> Mapping[str, TargetFile]:
        """What is listed, after every check.

        Raises:
            RepositoryError: a signature is missing or wrong.
            DeserializationError: one is no metadata.
            ValueError: they do not fit together, or are older than what is kept.
        """
        for name in self._new:
            if not re.fullmatch(METADATA_NAME, name):
                raise ValueError(f"{name!r} is no name of metadata")
        root = self._root()
        timestamp = Metadata[Timestamp].from_bytes(self._read("timestamp.json"))
        root.verify_delegate(Timestamp.type, timestamp)
        before = self._kept("timestamp.json")
        if before and timestamp.signed.version < (known := Metadata[Timestamp].from_bytes(before).signed.version):
            raise ValueError(f"timestamp.json is version {timestamp.signed.version}, older than {known} here")
        number = timestamp.signed.snapshot_meta.version
        snapshot = Metadata[Snapshot].from_bytes(self._read(f"{number}.snapshot.json"))
        root.verify_delegate(Snapshot.type, snapshot)
        _same("snapshot", snapshot.signed.version, number)
        number = snapshot.signed.meta["targets.json"].version
        targets = Metadata[Targets].from_bytes(self._read(f"{number}.targets.json"))
        root.verify_delegate(Targets.type, targets)
        _same("targets", targets.signed.version, number)
        return targets.signed.targets

    def _root(self) -> Metadata[Root]:
        for version in self._roots_here:
            name = f"{version}.root.json"
            if name in self._new and self._new[name] != self._kept(name):
                raise ValueError("another root is followed here; to begin anew, empty SMServer's folder of updates")
        version = max(self._roots_here, default=1)
        root = Metadata[Root].from_bytes(self._read(f"{version}.root.json"))
        root.verify_delegate(Root.type, root)
        while f"{version + 1}.root.json" in self._new:
            version += 1
            following = Metadata[Root].from_bytes(self._new[f"{version}.root.json"])
            _same("root", following.signed.version, version)
            root.verify_delegate(Root.type, following)
            following.verify_delegate(Root.type, following)
            root = following
        return root

    def _read(self, name: str) -> bytes:
        content = self._new.get(name) or self._kept(name)
        if content is None:
            raise ValueError(f"they speak of {name}, which is not here")
        return content


def _same(role: str, said: int, expected: int) -> None:
    if said != expected:
        raise ValueError(f"{expected}.{role}.json says that it is version {said}")
