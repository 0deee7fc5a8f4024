from servers.dvrserver.archive.stretch import cut
from servers.dvrserver.archive.table import pack

S = 1_000_000


def packed(*fragments):
    """A table of fragments of a second, each (second, key), 100 bytes long and one behind the other after 50."""
    return b"".join(
        pack(round(second * S), 50 + 100 * number, 100, S, key) for number, (second, key) in enumerate(fragments)
    )


FILE = packed((0, True), (1, False), (2, True), (3, False), (4, True))


def test_it_begins_with_the_key_frame_before_and_ends_before_one():
    assert cut(FILE, 1 * S + 5, S // 2) == (50, 200, 0, 2 * S)
    assert cut(FILE, 2 * S, S) == (250, 200, 2 * S, 4 * S)
    assert cut(FILE, 0, 60 * S) == (50, 500, 0, 5 * S)


def test_what_follows_an_answer_is_the_next_fragment():
    first = cut(FILE, 0, S)
    assert first.end_us == 2 * S
    assert cut(FILE, first.end_us, S).start_us == 2 * S


def test_what_follows_the_end_of_a_growing_file_comes_with_its_key_frame():
    growing = packed((0, True), (1, False))
    assert cut(growing, 2 * S, S) is None
    assert cut(growing + pack(2 * S, 250, 100, S, False), 2 * S, S) == (50, 300, 0, 3 * S)


def test_a_gap_ends_it_and_is_skipped_when_footage_begins_soon_enough():
    gap = packed((0, True), (10, True), (11, True))
    assert cut(gap, 0, 60 * S).end_us == S
    assert cut(gap, 5 * S, 6 * S).start_us == 10 * S
    assert cut(gap, 5 * S, 5 * S) is None
    assert cut(gap, 12 * S, 60 * S) is None
