"""An appended event survives; a full disk loses none that fit in reserve and memory, and says what it loses."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from broker.codec import decode
from broker.errors import JournalError
from broker.journal import Journal
from broker.model.base import LANES, Priority
from tests.broker.speaking import trigger


def build(source_id="cam-1"):
    return lambda boot, sequence: trigger(source_id, sequence=sequence).model_copy(update={"boot": boot})


def everything(journal):
    return sorted((row for lane in LANES for row in journal.pending(lane, 0, 100_000)), key=lambda row: row.position)


def ids(rows):
    return [decode(row.headers, row.body).id for row in rows]


@pytest.fixture
def journal(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    yield journal
    journal.close()


def test_an_event_is_named_after_node_boot_and_sequence(journal):
    first = journal.append(build(), lane=Priority.LOW, trace_id="ab" * 16)
    second = journal.append(build(), lane=Priority.HIGH)
    assert first.id == f"node-1.{journal.boot}.1"
    assert (second.message.boot, second.message.sequence) == (journal.boot, 2)
    assert first.source == "dvrserver/node-1"
    row = journal.pending(Priority.LOW, 0, 10)[0]
    assert decode(row.headers, row.body) == first


def test_events_are_there_after_a_restart_and_the_boot_has_grown(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    said = [journal.append(build(), lane=Priority.LOW).id for _ in range(5)]
    journal.close()
    again = Journal.open(tmp_path / "journal.db", "node-1")
    assert again.boot > journal.boot
    assert ids(everything(again)) == said
    assert again.append(build(), lane=Priority.LOW).id not in said
    again.close()


def test_a_lost_journal_never_repeats_an_id(tmp_path):
    first = Journal.open(tmp_path / "a" / "journal.db", "node-1")
    first.close()
    time.sleep(1.1)  # boots are counted from the clock's seconds
    second = Journal.open(tmp_path / "b" / "journal.db", "node-1")
    second.close()
    assert second.boot > first.boot


def test_a_damaged_journal_is_put_aside_and_a_new_one_begun(tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database" * 1000)
    journal = Journal.open(path, "node-1")
    journal.append(build(), lane=Priority.LOW)
    journal.close()
    assert len(list(tmp_path.glob("journal.db.damaged-*"))) == 1


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file"):
        Journal.open(tmp_path / "file" / "journal.db", "node-1")


def test_confirmed_events_are_gone_also_after_a_restart(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    said = [journal.append(build(), lane=Priority.LOW).id for _ in range(5)]
    rows = everything(journal)
    journal.confirm([rows[0].position, rows[2].position])
    journal.close()
    again = Journal.open(tmp_path / "journal.db", "node-1")
    assert ids(everything(again)) == [said[1], said[3], said[4]]
    again.close()


def test_a_row_waits_while_an_older_one_of_its_source_is_in_another_lane(journal):
    journal.append(build("cam-1"), lane=Priority.LOW)
    journal.append(build("cam-1"), lane=Priority.HIGH)
    journal.append(build("cam-2"), lane=Priority.HIGH)
    assert [row.held for row in journal.pending(Priority.HIGH, 0, 10)] == [True, False]
    low = journal.pending(Priority.LOW, 0, 10)
    assert [row.held for row in low] == [False]
    journal.confirm([low[0].position])
    assert [row.held for row in journal.pending(Priority.HIGH, 0, 10)] == [False, False]


async def test_events_appended_together_share_a_commit(journal):
    commits = []
    journal._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    said = await asyncio.gather(*(journal.append_soon(build(), lane=Priority.LOW) for _ in range(200)))
    assert ids(everything(journal)) == [envelope.id for envelope in said]
    assert len(commits) < 20


async def test_a_build_that_fails_costs_only_its_own_event(journal):
    def broken(_boot, _sequence):
        raise ValueError("no such camera")

    results = await asyncio.gather(
        journal.append_soon(build(), lane=Priority.LOW),
        journal.append_soon(broken, lane=Priority.LOW),
        journal.append_soon(build(), lane=Priority.LOW),
        return_exceptions=True,
    )
    assert isinstance(results[1], ValueError)
    assert [results[0].message.sequence, results[2].message.sequence] == [1, 2]


def test_a_closed_journal_takes_no_events(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    journal.close()
    journal.close()
    with pytest.raises(JournalError):
        journal.append(build(), lane=Priority.LOW)


# --- kill -9 ----------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from broker.journal import Journal
from broker.model.base import Priority
from tests.broker.speaking import trigger
journal = Journal.open(Path(sys.argv[1]), "node-1")
{pragma}
while True:
    envelope = journal.append(lambda boot, sequence: trigger(sequence=sequence), lane=Priority.LOW)
    print(envelope.id, flush=True)
"""


def write_until_killed(path, pragma=""):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER.format(pragma=pragma), str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        said = [process.stdout.readline().strip() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        said += [line.strip() for line in process.stdout if line.endswith("\n")]
    return said


def test_kill_9_loses_no_event_that_was_said_to_be_kept(tmp_path):
    said = write_until_killed(tmp_path / "journal.db")
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    assert set(said) <= set(ids(everything(journal)))
    journal.close()


def test_without_a_commit_per_event_kill_9_loses_some(tmp_path):
    """The control: the same run with the events only held in memory."""
    said = write_until_killed(
        tmp_path / "journal.db", "journal._transaction = lambda events: journal._hold([]) or None"
    )
    journal = Journal.open(tmp_path / "journal.db", "node-1")
    assert not set(said) & set(ids(everything(journal)))
    journal.close()


# --- full disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x")


def test_a_full_disk_uses_the_reserve_then_memory_and_recovers(small_disk):
    journal = Journal.open(small_disk / "journal.db", "node-1", reserve_bytes=200_000)
    reserve = small_disk / "journal.db.reserve"
    assert reserve.stat().st_size == 200_000
    fill(small_disk)
    said = []
    while not journal.held_in_memory:
        said.append(journal.append(build(), lane=Priority.LOW).id)
        assert len(said) < 5000
    assert not reserve.exists()
    assert len(said) > 5  # the reserve had room for some
    said += [journal.append(build(), lane=Priority.LOW).id for _ in range(50)]
    assert "held in memory" in journal.trouble
    assert journal.lost == 0
    assert ids(everything(journal)) == said  # the relay sees all of them, in order
    (small_disk / "filler").unlink()
    time.sleep(1.1)  # the disk is asked again once a second
    said.append(journal.append(build(), lane=Priority.LOW).id)
    assert journal.held_in_memory == 0
    assert journal.trouble == ""
    journal.close()
    again = Journal.open(small_disk / "journal.db", "node-1")
    assert ids(everything(again)) == said
    again.close()


def test_on_a_full_disk_confirmed_events_are_not_sent_again(small_disk):
    journal = Journal.open(small_disk / "journal.db", "node-1", reserve_bytes=0)
    said = [journal.append(build(), lane=Priority.LOW).id for _ in range(20)]
    journal._reserve_at = float("inf")
    fill(small_disk)
    journal.append(build(), lane=Priority.LOW)
    rows = everything(journal)
    journal.confirm([row.position for row in rows[:20]])
    assert not set(ids(everything(journal))) & set(said)
    journal.close()


def limit_pages(journal):
    """A disk that is full at once: SQLite may use no page more than it has."""
    pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
    journal._writer.execute(f"PRAGMA max_page_count={pages}").close()


def test_beyond_the_ring_the_oldest_events_go_and_are_counted(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1", ring=10, reserve_bytes=0)
    limit_pages(journal)
    said = []
    while not journal.lost:
        said.append(journal.append(build(), lane=Priority.LOW).id)
        assert len(said) < 500
    kept = ids(everything(journal))
    assert kept[-10:] == said[-10:]
    assert len(kept) == len(said) - 1
    assert "1 were lost" in journal.trouble
    journal.close()


def test_events_held_in_memory_wait_for_other_lanes_too(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1", reserve_bytes=0)
    limit_pages(journal)
    while not journal.held_in_memory:
        journal.append(build("cam-1"), lane=Priority.LOW)
    journal.append(build("cam-1"), lane=Priority.HIGH)
    journal.append(build("cam-2"), lane=Priority.HIGH)
    assert [row.held for row in journal.pending(Priority.HIGH, 0, 10)] == [True, False]
    journal.confirm([row.position for row in journal.pending(Priority.LOW, 0, 10_000)])
    assert [row.held for row in journal.pending(Priority.HIGH, 0, 10)] == [False, False]
    journal.close()


def test_a_disk_error_is_no_error_of_the_detector(tmp_path):
    journal = Journal.open(tmp_path / "journal.db", "node-1")

    def broken(_events):
        raise sqlite3.OperationalError("disk I/O error")

    journal._transaction = broken
    assert journal.append(build(), lane=Priority.LOW).message.sequence == 1
    assert journal.held_in_memory == 1
    journal.close()
