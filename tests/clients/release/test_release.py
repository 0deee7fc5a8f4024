import numpy as np
import pytest
from pydantic import ValidationError

from broker.model.releases import Release, check_path, object_path
from clients.release import blocks, publish
from clients.release.applications import from_folder, gather
from clients.release.build import build
from clients.release.errors import ReleaseError
from clients.release.keys import load_keys, make_key
from tests.clients.vau.site import Publisher


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


def _random(length, seed=1):
    return np.random.default_rng(seed).bytes(length)


def test_an_insertion_changes_one_block_of_a_long_file(tmp_path):
    data = _random(3_000_000)
    (tmp_path / "one").write_bytes(data)
    (tmp_path / "other").write_bytes(data[:1_500_000] + b"inserted" + data[1_500_000:])
    one, other = blocks.blocks_of(tmp_path / "one"), blocks.blocks_of(tmp_path / "other")
    assert len(set(other) - set(one)) <= 2
    assert sum(length for length, _ in one) == len(data)
    assert all(blocks.SHORTEST <= length <= blocks.LONGEST for length, _ in one[:-1])


def test_blocks_do_not_depend_on_how_the_file_is_read(monkeypatch):
    data = _random(2_000_000)
    whole = blocks.cuts(data)
    monkeypatch.setattr(blocks, "SLAB", 70_001)
    assert blocks.cuts(data) == whole


def test_a_long_run_of_one_byte_is_cut_at_the_longest(tmp_path):
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    assert {length for length, _ in blocks.blocks_of(tmp_path / "zeros")} <= {blocks.LONGEST, blocks.SHORTEST}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "c:/x",
        "a\nb",
        "nul",
        "lib/con.txt",
        "x" * 256,
        "a. ",
    ],
)
def test_a_path_that_is_not_plainly_inside_the_folder_is_refused(path):
    with pytest.raises(ValueError, match=r"path|name"):
        check_path(path)


def test_files_that_some_system_takes_for_one_are_refused():
    file = {"length": 0, "sha256": "0" * 64}
    for paths in (("lib/a", "lib/A"), ("lib/a", "lib/a/b"), ("lib/A", "lib/a/b/c")):
        with pytest.raises(ValidationError):
            Release(
                application="demo",
                version="1",
                python="3.11",
                module="demo",
                files=[{"path": path, **file} for path in paths],
            )


def test_the_root_needs_two_of_three_keys_and_the_others_one(publisher):
    root = publisher.repository.root().signed
    assert root.roles["root"].threshold == 2
    assert len(root.roles["root"].keyids) == 3
    assert {role: len(root.roles[role].keyids) for role in publisher.keys} == dict.fromkeys(publisher.keys, 1)
    assert len({keyid for role in root.roles.values() for keyid in role.keyids}) == 6


def test_signing_without_the_key_of_a_role_says_which(publisher):
    publisher.release("1.0", sign=False)
    signers = publisher.signers
    del signers[publisher.keys["targets"].public_key.keyid]
    with pytest.raises(ReleaseError, match="role targets"):
        publisher.repository.sign(signers)
    assert publisher.repository.targets() is None


def test_signing_with_nothing_new_renews_the_dates(publisher):
    publisher.release("1.0")
    before = publisher.repository.timestamp().version
    assert publisher.sign() == {}
    assert publisher.repository.timestamp().version == before + 1
    assert publisher.repository.releases()["demo"].version == "1.0"


def test_a_new_root_needs_two_of_the_old_keys(publisher, tmp_path):
    one = {publisher.roots[0].public_key.keyid: publisher.roots[0]}
    new = make_key(tmp_path / "new.pem", "")
    with pytest.raises(ReleaseError, match="needs 2 of the 3"):
        publisher.repository.rotate(one, {"targets": (None, new)})
    assert publisher.repository.rotate(publisher.signers, {"targets": (None, new)}) == 2
    assert list(publisher.repository.root().signed.roles["targets"].keyids) == [new.public_key.keyid]


def test_a_key_file_with_a_passphrase_opens_with_it_only(tmp_path):
    made = make_key(tmp_path / "root.pem", "correct horse")
    assert (tmp_path / "root.pem").stat().st_mode & 0o777 == 0o600
    assert list(load_keys([tmp_path], "correct horse")) == [made.public_key.keyid]
    for wrong in ("", "battery"):
        with pytest.raises(ReleaseError, match="passphrase"):
            load_keys([tmp_path / "root.pem"], wrong)
    with pytest.raises(ReleaseError, match="never overwritten"):
        make_key(tmp_path / "root.pem", "")


def test_a_folder_without_the_module_is_refused(publisher, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app/readme").write_text("hello")
    with pytest.raises(ReleaseError, match="nothing to run"):
        build(
            publisher.repository,
            from_folder(tmp_path / "app"),
            application="demo",
            version="1",
            module="demo",
        )


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "app" / "lib").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (tmp_path / "app" / "lib" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ReleaseError, match="leads out"):
        from_folder(tmp_path / "app")


def test_this_projects_applications_bring_what_clients_may_import_and_no_server(tmp_path):
    files = gather("spotter", libraries=False)
    assert {"lib/vigil/__main__.py", "lib/clients/vau/launched.py", "lib/servers/wire/__init__.py"} <= files.keys()
    assert not [name for name in files if "smserver" in name or "__pycache__" in name or "/workers/" in name]


def test_libraries_come_with_what_they_need_themselves():
    files = gather("spotter", libraries=True)
    for name in (
        "lib/httpx/__init__.py",
        "lib/httpcore/__init__.py",
        "lib/pydantic_core/__init__.py",
        "lib/anyio/__init__.py",
    ):
        assert name in files
    assert not [name for name in files if name.startswith(("lib/fastapi", "lib/celery", "lib/pytest"))]


def test_publishing_to_a_folder_writes_the_switch_last(publisher, tmp_path, monkeypatch):
    release = publisher.release("1.0", files={"data/a": b"a"})
    www, order, all_there = tmp_path / "www", [], []
    placed = publish._place

    def place(content, staged, path):
        if path.parent.name == "metadata":
            order.append(path.name)
            all_there.append((www / object_path(release.files[0].sha256)).exists())
        placed(content, staged, path)

    monkeypatch.setattr(publish, "_place", place)
    assert publish.to_folder(publisher.repository, www) == {"demo": "1.0"}
    assert order[-1] == "timestamp.json"
    assert all(all_there)
    assert {path.stat().st_mode & 0o777 for path in www.rglob("*") if path.is_file()} == {0o644}
    assert not list(www.glob("incoming-*"))
