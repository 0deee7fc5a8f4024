"""What a start does, against a mirror that behaves."""

import os
import random
import threading

import pytest

from clients.vau import transport
from clients.vau.addresses import parse
from clients.vau.errors import NothingToStartError
from clients.vau.place import Place
from tests.clients.vau.site import FAILS, HANGS, CutOff

BIG = bytes(random.Random(1).randbytes(3_000_000))


def test_the_first_start_fetches_every_file_and_starts_the_application(publisher, mirror, computer):
    publisher.release("1.0", files={"data/a.bin": b"a" * 5000, "data/empty": b""})
    computer.start()
    assert computer.ran == ["1.0"]
    assert computer.told == []
    assert len(mirror.asked_for("objects")) == 2  # the empty file is made here
    assert Place(computer.folder / "vau" / f"127.0.0.1_{mirror.port}", "demo").state().good.version == "1.0"


def test_a_start_with_nothing_new_fetches_the_configuration_only(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    mirror.forget()
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert mirror.asked_for("objects") == mirror.asked_for("targets") == []
    assert len(mirror.asked_for("configuration")) == 1
    assert [path.rpartition("/")[2] for path in mirror.asked_for("metadata")] == [
        "timestamp.json",  # contact
        "2.root.json",  # is there another root?
        "timestamp.json",  # the same as before
    ]


def test_of_a_new_version_the_changed_files_are_fetched_and_the_others_linked(publisher, mirror, computer):
    publisher.release("1.0", files={"data/same": b"same" * 1000, "data/other": b"before"})
    computer.start()
    mirror.forget()
    publisher.release("1.1", files={"data/same": b"same" * 1000, "data/other": b"after"})
    vau = computer.start()
    assert computer.ran == ["1.0", "1.1"]
    assert len(mirror.asked_for("objects")) == 1
    trees = sorted(path for path in vau.place.trees.iterdir() if path.is_dir())
    assert [tree.name[:3] for tree in trees] == ["1.0", "1.1"] or len(trees) == 1
    assert (trees[-1] / "data/other").read_bytes() == b"after"
    assert not os.access(trees[-1] / "data/same", os.W_OK) or os.geteuid() == 0


def test_a_small_change_in_a_long_file_costs_a_piece_of_it(publisher, mirror, computer):
    publisher.release("1.0", files={"big.bin": BIG})
    computer.start()
    mirror.forget()
    changed = BIG[:1_000_000] + b"inserted" + BIG[1_000_000:]
    publisher.release("1.1", files={"big.bin": changed})
    ready = computer.update()
    assert ready.tree.version == "1.1"
    lists = sum(len(mirror.body(path)) for path in mirror.asked_for("targets"))
    assert mirror.sent - lists < 300_000
    place = computer.vau().place
    assert (place.folder_of(ready.tree) / "big.bin").read_bytes() == changed


def test_a_cut_connection_is_taken_up_where_it_was_cut(publisher, mirror, computer):
    publisher.release("1.0", files={"big.bin": BIG})
    cuts = iter(range(3))

    def cut(path, body):
        if "/objects/" in path and len(body or b"") > 1_000_000 and next(cuts, None) is not None:
            return CutOff(body, 700_000)
        return body

    mirror.meddle = cut
    ready = computer.update()
    place = computer.vau().place
    assert (place.folder_of(ready.tree) / "big.bin").read_bytes() == BIG
    assert mirror.sent < 2 * len(BIG)


def test_an_update_that_was_cut_off_goes_on_at_the_next_start(publisher, mirror, computer):
    publisher.release("1.0", files={"big.bin": BIG, "small": b"x" * 1000})
    mirror.meddle = lambda path, body: 503 if "/objects/" in path and len(body) < 2000 else body
    with pytest.raises(NothingToStartError, match="status 503"):
        computer.update()
    mirror.meddle = lambda _path, body: body
    mirror.forget()
    ready = computer.update()
    assert ready.tree.version == "1.0"
    assert mirror.sent < 500_000  # of the big file only what was missing


def test_a_version_that_ends_with_an_error_gives_way_to_the_last_good_one(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    publisher.release("1.2", FAILS)
    computer.start()
    assert computer.ran == ["1.0", "broken", "1.0"]
    assert "status 3 before it reported" in computer.told[0]
    assert computer.told[1] == "Version 1.0 starts instead."
    mirror.forget()
    computer.start()  # and it is not tried again
    assert computer.ran == ["1.0", "broken", "1.0", "1.0"]
    assert "did not work on this computer" in computer.told[-1]
    assert mirror.asked_for("objects") == []
    publisher.release("1.3")
    computer.start()
    assert computer.ran[-1] == "1.3"


def test_a_version_that_says_nothing_is_ended_and_gives_way(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    publisher.release("1.2", HANGS)
    computer.start(health_s=1.5)
    assert computer.ran == ["1.0", "hangs", "1.0"]
    assert "did not report within 1.5 seconds" in computer.told[0]


def test_a_first_version_that_does_not_work_is_said_to_be_so(publisher, mirror, computer):
    publisher.release("1.0", FAILS)
    with pytest.raises(NothingToStartError, match="no earlier version"):
        computer.start()


def test_a_version_whose_report_came_after_vau_was_gone_counts_as_good(publisher, mirror, computer, monkeypatch):
    publisher.release("1.0")
    vau = computer.vau()
    with vau.place.locked():
        started = vau._launch(vau._prepare())  # and here VAU is killed
    started.process.wait(20)
    assert vau.place.state().good is None
    computer.update()
    assert vau.place.state().good.version == "1.0"


def test_a_version_that_never_gets_to_report_gives_way_after_three_starts(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    publisher.release("1.1")
    assert [computer.update().tree.version for _ in range(4)] == ["1.1", "1.1", "1.1", "1.0"]
    assert "started 3 times" in computer.told[-1]


def test_without_smserver_the_last_version_starts_and_is_told(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    mirror.close()
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert "No SMServer answers" in computer.told[0]
    with pytest.raises(NothingToStartError, match="turned off"):
        computer.start(offline=False)


def test_the_next_address_of_the_list_is_asked_when_one_is_silent(publisher, mirror, computer, monkeypatch):
    monkeypatch.setattr(transport, "CONNECT_S", 0.5)
    publisher.release("1.0")
    addresses = (parse("127.0.0.1:1"), parse(f"127.0.0.1:{mirror.port}"))
    assert computer.update(addresses=addresses).launch.server == f"http://127.0.0.1:{mirror.port}"


def test_the_address_that_the_site_names_is_asked_first_at_the_next_start(publisher, mirror, computer):
    publisher.release("1.0")
    mirror.configuration = {"addresses": [{"url": f"http://localhost:{mirror.port}"}]}
    assert computer.update().launch.server == f"http://127.0.0.1:{mirror.port}"
    assert computer.update().launch.server == f"http://localhost:{mirror.port}"


def test_a_damaged_file_is_fetched_again(publisher, mirror, computer):
    publisher.release("1.0", files={"data/a": b"a" * 1000, "data/b": b"b" * 1000})
    computer.start()
    place = computer.vau().place
    tree = place.folder_of(place.state().current)
    (tree / "data/a").unlink()
    (tree / "data/a").write_bytes(b"z" * 1000)
    (tree / "data/b").unlink()
    mirror.forget()
    computer.start()
    assert (tree / "data/a").read_bytes() == b"a" * 1000
    assert (tree / "data/b").read_bytes() == b"b" * 1000
    assert len(mirror.asked_for("objects")) == 2


def test_a_damaged_version_never_starts(publisher, mirror, computer):
    publisher.release("1.0", files={"data/a": b"a" * 1000})
    computer.start()
    place = computer.vau().place
    (place.folder_of(place.state().current) / "data/a").unlink()
    mirror.close()
    with pytest.raises(NothingToStartError, match="damaged"):
        computer.start()
    assert computer.ran == ["1.0"]


def test_a_lost_state_is_found_again_from_the_trees(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    (computer.vau().place.home / "state.json").write_text("{ damaged")
    mirror.close()
    computer.start()
    assert computer.ran == ["1.0", "1.0"]


def test_two_starts_at_once_take_turns(publisher, mirror, computer):
    publisher.release("1.0", files={"big.bin": BIG})
    starts = [threading.Thread(target=computer.start) for _ in range(3)]
    for one in starts:
        one.start()
    for one in starts:
        one.join(60)
    assert computer.ran == ["1.0"] * 3
    assert mirror.sent < 1.5 * len(BIG)


def test_a_tree_from_which_an_application_still_runs_is_not_removed(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    place = computer.vau().place
    first = place.state().current
    with place.held(first):
        for version in ("1.1", "1.2", "1.3"):
            publisher.release(version)
            computer.start()
        assert place.folder_of(first).is_dir()
    publisher.release("1.4")
    computer.start()
    assert not place.folder_of(first).exists()
    assert len([path for path in place.trees.iterdir() if path.is_dir()]) <= 2


def test_a_full_disk_is_one_sentence_and_the_last_version_starts(publisher, mirror, computer, monkeypatch):
    publisher.release("1.0")
    computer.start()
    publisher.release("1.1", files={"big.bin": BIG})
    monkeypatch.setattr("clients.vau.install.RESERVE", 1 << 60)
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert "The disk is full" in computer.told[0]


def test_a_release_for_another_python_is_not_fetched(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    mirror.forget()
    publisher.release("2.0", python="3.99")
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert "needs Python 3.99" in computer.told[0]
    assert mirror.asked_for("objects") == []


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"{}", b"\xff" * 100])
def test_garbage_is_one_sentence_and_the_last_version_starts(publisher, mirror, computer, body):
    publisher.release("1.0")
    computer.start()
    mirror.meddle = lambda _path, _body: body
    computer.start()
    assert computer.ran == ["1.0", "1.0"]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in computer.told)


def test_a_site_without_releases_says_what_its_administrator_does(publisher, mirror, computer):
    with pytest.raises(NothingToStartError, match="vigil release publish"):
        computer.start()


def test_trees_are_kept_apart_per_site_and_application(publisher, mirror, computer):
    publisher.release("1.0")
    computer.start()
    computer.start(addresses=(parse(f"localhost:{mirror.port}"),))
    places = sorted(path.name for path in (computer.folder / "vau").iterdir())
    assert places == [f"127.0.0.1_{mirror.port}", f"localhost_{mirror.port}"]
