"""What an attacker tries who owns SMServer or the line, and the check that stops it.

Each attack runs twice: as it is, and with the check that it names switched off. The second run shows that the attack
works but for that check.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from broker.model.releases import Release, ReleaseFile
from clients.release.errors import ReleaseError
from clients.release.keys import make_key
from clients.vau import install, trusted, update
from clients.vau.errors import NothingToStartError
from clients.vau.transport import Transport
from tests.clients.vau.site import Publisher

EVIL = b"print('evil')"


def versions(publisher, mirror, computer, *wanted):
    """Publish these versions one after the other and start each; keeps what the mirror showed at each of them."""
    shown = []
    for version in wanted:
        publisher.release(version, files={"data/a": version.encode() * 100})
        computer.update()
        shown.append({path.name: path.read_bytes() for path in publisher.repository.metadata.iterdir()})
    return shown


def tried(computer):
    """The version that would start after the attack."""
    try:
        return computer.update().tree.version
    except NothingToStartError:
        return None


def content_of_main(computer):
    place = computer.vau().place
    return (place.folder_of(place.state().current) / "lib/demo.py").read_bytes()


# --- Arbitrary files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
def test_arbitrary_file_another_file_in_the_place_of_a_signed_one(publisher, mirror, computer, monkeypatch, checked):
    if not checked:
        monkeypatch.setattr(install, "is_content", lambda *_: True)
    publisher.release("1.0")
    mirror.meddle = lambda path, body: EVIL.ljust(len(body), b"\n") if "/objects/" in path else body
    if checked:
        assert tried(computer) is None
        assert "not the file that was signed" in computer.told[0]
    else:
        assert tried(computer) == "1.0"
        assert content_of_main(computer).startswith(EVIL)


@pytest.mark.parametrize("checked", [True, False])
def test_arbitrary_file_another_list_in_the_place_of_the_signed_one(publisher, mirror, computer, monkeypatch, checked):
    good = publisher.release("1.0", files={"pad": b"x" * 100})
    evil = Publisher(computer.folder / "evil").release("1.0", EVIL.decode())
    body = evil.model_dump_json().encode()
    assert len(body) <= len(good.model_dump_json())  # so that its length gives nothing away
    here = {file.sha256: EVIL for file in evil.files}

    def meddle(path, body_):
        if path.endswith(".release.json"):
            return body.ljust(len(body_))
        return here.get(path.rpartition("/")[2], body_)

    mirror.meddle = meddle
    if checked:
        assert tried(computer) is None
        assert "not the one that was signed" in computer.told[0]
    else:
        monkeypatch.setattr(update, "checked_list", lambda content, *_: Release.model_validate_json(content))
        tried(computer)
        found = list(computer.vau().place.trees.glob("*/lib/demo.py"))
        assert [path.read_bytes() for path in found] == [EVIL]


@pytest.mark.parametrize("checked", [True, False])
def test_arbitrary_file_metadata_signed_by_somebody_else(publisher, mirror, computer, monkeypatch, tmp_path, checked):
    evil = Publisher(tmp_path / "evil")
    evil.release("6.6.6", EVIL.decode())
    mirror.folder = evil.repository.folder
    if not checked:
        monkeypatch.setattr(Root, "verify_delegate", lambda *_: None)
    if checked:
        assert tried(computer) is None
        assert "not signed by those whom this computer trusts" in computer.told[0]
    else:
        assert tried(computer) == "6.6.6"


# --- Rollback, freeze, mix and match ----------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
def test_rollback_an_older_state_of_the_repository(publisher, mirror, computer, monkeypatch, tmp_path, checked):
    before, _ = versions(publisher, mirror, computer, "1.0", "1.1")
    mirror.meddle = lambda path, body: before.get(path.rpartition("/")[2], body) if "/metadata/" in path else body
    if not checked:  # VAU's memory of what it has seen is the check
        original = trusted.Trusted.__init__
        monkeypatch.setattr(
            trusted.Trusted, "__init__", lambda self, _folder, *more: original(self, tmp_path / "fresh", *more)
        )
    if checked:
        assert tried(computer) == "1.1"
        assert "older versions than this computer has seen" in computer.told[-1]
    else:
        assert tried(computer) == "1.0"


@pytest.mark.parametrize("checked", [True, False])
def test_freeze_a_state_that_has_expired(publisher, mirror, computer, monkeypatch, checked):
    publisher.release("1.0", sign=False)
    publisher.sign(now=datetime.now(UTC) - timedelta(days=400))
    if not checked:
        monkeypatch.setattr(Signed, "is_expired", lambda *_: False)
    if checked:
        assert tried(computer) is None
        assert "has expired" in computer.told[0]
    else:
        assert tried(computer) == "1.0"


def test_freeze_an_expired_state_does_not_keep_the_last_version_from_starting(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    publisher.sign(now=datetime.now(UTC) - timedelta(days=400))
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert "has expired" in computer.told[0]


@pytest.mark.parametrize("checked", [True, False])
def test_mix_and_match_lists_of_another_moment(publisher, mirror, computer, monkeypatch, checked):
    before, _ = versions(publisher, mirror, computer, "1.0", "1.1")
    publisher.release("1.2")
    mirror.meddle = lambda path, body: before["1.targets.json"] if path.endswith("/3.targets.json") else body
    if not checked:
        _unchecked(monkeypatch, "update_delegated_targets", Targets, "targets", before["1.targets.json"])
    if checked:
        assert tried(computer) == "1.1"
        assert computer.told[-1].startswith(("What", "SMServer"))
        assert "not used" in computer.told[-1]
    else:
        assert tried(computer) == "1.0"


def _unchecked(monkeypatch, method, cls, role, evil):
    """The original, but that it believes the attacker's bytes whatever version they are of; signatures still count."""
    original = getattr(TrustedMetadataSet, method)

    def believe(self, data, *more, **named):
        if data != evil:
            return original(self, data, *more, **named)
        signed = Metadata[cls].from_bytes(data)
        self.root.verify_delegate(role, signed.signed_bytes, signed.signatures)
        self._add(role, signed.signed, "root")
        return signed.signed

    monkeypatch.setattr(TrustedMetadataSet, method, believe)


@pytest.mark.parametrize("checked", [True, False])
def test_mix_and_match_a_snapshot_of_another_moment(publisher, mirror, computer, monkeypatch, checked):
    before, _ = versions(publisher, mirror, computer, "1.0", "1.1")
    publisher.release("1.2")
    mirror.meddle = lambda path, body: before["1.snapshot.json"] if path.endswith("/3.snapshot.json") else body
    if not checked:
        _unchecked(monkeypatch, "update_snapshot", Snapshot, "snapshot", before["1.snapshot.json"])
        original = TrustedMetadataSet._check_final_snapshot
        monkeypatch.setattr(
            TrustedMetadataSet,
            "_check_final_snapshot",
            lambda self: None if self.snapshot.version == 1 else original(self),
        )
    if checked:
        assert tried(computer) == "1.1"
        assert "not used" in computer.told[-1]
    else:
        assert tried(computer) == "1.0"


@pytest.mark.parametrize("checked", [True, False])
def test_mix_and_match_the_list_of_another_application(publisher, mirror, computer, monkeypatch, checked):
    """Signed with the right keys, under the wrong name: a mistake of the publisher's."""
    repository = publisher.repository
    publisher.release("1.0", sign=False)
    (repository.staged / "demo.json").rename(repository.staged / "x.json")
    body = json.loads((repository.staged / "x.json").read_bytes())
    (repository.staged / "x.json").write_text(json.dumps({**body, "application": "other"}))
    publisher.sign()
    targets = repository.targets().targets
    targets["other/release.json"].path = "demo/release.json"
    (repository.folder / "targets/demo").mkdir(parents=True, exist_ok=True)
    for path in (repository.folder / "targets/other").iterdir():
        (repository.folder / "targets/demo" / path.name).write_bytes(path.read_bytes())
    wrong = Targets(version=2, targets={"demo/release.json": targets["other/release.json"]})
    monkeypatch.setattr(type(repository), "targets", lambda _self: wrong)
    publisher.sign()
    if not checked:
        monkeypatch.setattr(
            update, "checked_list", lambda content, _application, _hash: Release.model_validate_json(content)
        )
    if checked:
        assert tried(computer) is None
        assert "What is listed as demo is other" in computer.told[0]
    else:
        assert tried(computer) == "1.0"


# --- Endless data -----------------------------------------------------------------------------------------------

FLOOD = 40 << 20
"""Bytes that the attacker has; more than any limit that is tested here."""


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("where", ["timestamp.json", "2.root.json", ".release.json", "configuration?", "/objects/"])
def test_endless_data_is_cut_off(publisher, mirror, computer, monkeypatch, where, checked):
    publisher.release("1.0")

    def flood(body):
        if where == "/objects/":  # the signed bytes first: their hash is right, and only the length stops the rest
            yield body
        chunk = b" " * (1 << 16)
        for _ in range(FLOOD // len(chunk)):
            yield chunk

    mirror.meddle = lambda path, body: flood(body) if where in path else body
    if not checked:
        original = Transport.stream
        monkeypatch.setattr(
            Transport,
            "stream",
            lambda self, path, *, most, start=0, length=None: original(self, path, most=1 << 40, start=start),
        )
        monkeypatch.setattr(trusted.CONFIG, "timestamp_max_length", 1 << 40)
        monkeypatch.setattr(trusted.CONFIG, "root_max_length", 1 << 40)
    vau = computer.vau()
    with vau.place.locked():
        try:
            vau._prepare()
        except NothingToStartError:
            assert computer.told
    if checked:
        assert vau.transport is None or vau.transport.received < 5 << 20
        assert mirror.sent < FLOOD
    else:
        assert mirror.sent >= FLOOD


# --- Path tricks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("path", ["../../../../evil", "lib/../../../../../../evil"])
def test_path_trick_a_signed_list_with_a_path_out_of_the_tree(publisher, mirror, computer, monkeypatch, path, checked):
    """Signed with the right keys: a thief of the targets key gains the application, not the user's other files."""
    release = publisher.release("1.0", sign=False)
    staged = publisher.repository.staged / "demo.json"
    body = json.loads(staged.read_bytes())
    body["files"] += [{**body["files"][0], "path": path}]
    monkeypatch.setattr("clients.release.repository.Release.model_validate_json", lambda *_: release)
    staged.write_text(json.dumps(body))
    publisher.sign()
    monkeypatch.undo()
    monkeypatch.setenv("VIGIL_TEST_REPORT", str(computer.report))
    if not checked:
        monkeypatch.setattr(update, "checked_list", _believed)
    found = tried(computer)
    written = list(computer.folder.rglob("evil"))
    if checked:
        assert found is None
        assert written == []
        assert "is no path below the application's folder" in computer.told[0]
    else:
        assert written != []


def _believed(content, _application, _sha256):
    """As the original, without any check of paths."""
    body = json.loads(content)
    files = tuple(
        ReleaseFile.model_construct(**{**file, "blocks": tuple(map(tuple, file.get("blocks", ())))})
        for file in body["files"]
    )
    return Release.model_construct(**{**body, "files": files, "arguments": ()})


def test_path_trick_a_link_in_the_place_of_a_file_is_not_followed(publisher, mirror, computer, tmp_path):
    publisher.release("1.0", files={"data/a": b"a" * 100})
    computer.start()
    place = computer.vau().place
    inside = place.folder_of(place.state().current) / "data/a"
    (tmp_path / "elsewhere").write_bytes(b"a" * 100)
    inside.unlink()
    inside.symlink_to(tmp_path / "elsewhere")
    computer.start()
    assert not inside.is_symlink()
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 != 0o444


# --- Rotation ---------------------------------------------------------------------------------------------------


def test_a_new_root_is_followed_and_the_old_keys_are_worth_nothing(publisher, mirror, computer, tmp_path):
    versions(publisher, mirror, computer, "1.0")
    stolen = dict(publisher.signers)
    new = make_key(tmp_path / "targets-2.pem", "")
    publisher.repository.rotate(publisher.signers, {"targets": (None, new)})
    publisher.keys["targets"] = new
    publisher.release("1.1")
    assert tried(computer) == "1.1"
    publisher.release("6.6.6", sign=False)
    with pytest.raises(ReleaseError, match="role targets"):
        publisher.repository.sign(stolen)
