from dataclasses import dataclass

import pytest

from clients.spotter.shelf import GAP_US, Outlook, Shelf

STEP = 40_000


@dataclass(frozen=True)
class Picture:
    time_us: int


def filled(times, *, backwards=False, ended=False):
    shelf = Shelf(backwards=backwards)
    for time in times:
        shelf.put(Picture(time))
    shelf.ended = ended
    return shelf


def shown(shelf, position):
    outlook, picture = shelf.show(position)
    return outlook, picture and picture.time_us


def test_forwards_the_last_picture_at_or_before_the_moment_is_shown():
    shelf = filled(range(0, 10 * STEP, STEP))
    assert shown(shelf, 0) == (Outlook.PICTURE, 0)
    assert shown(shelf, STEP - 1) == (Outlook.PICTURE, 0)
    assert shown(shelf, 5 * STEP + 7) == (Outlook.PICTURE, 5 * STEP)
    assert len(shelf) == 4


def test_backwards_it_is_the_same_picture():
    times = range(0, 10 * STEP, STEP)
    forwards, backwards = filled(times), filled(reversed(times), backwards=True)
    for position in range(STEP * 9, 0, -STEP // 3):
        assert shown(backwards, position)[1] == position // STEP * STEP
    assert shown(forwards, STEP)[1] == STEP


def test_two_cameras_with_different_rates_show_the_same_instant_within_a_picture_of_each():
    fast, slow = filled(range(0, 2_000_000, 40_000)), filled(range(13_000, 2_000_000, 100_000))
    for position in range(200_000, 1_900_000, 15_000):
        assert position - shown(fast, position)[1] < 40_000
        assert position - shown(slow, position)[1] < 100_000


def test_nothing_on_the_shelf_means_to_wait_unless_the_recording_has_ended():
    shelf = Shelf()
    assert shown(shelf, 0) == (Outlook.WAITING, None)
    shelf.put(Picture(0))
    assert shown(shelf, 0) == (Outlook.WAITING, 0)
    shelf.ended = True
    assert shown(shelf, STEP) == (Outlook.PICTURE, 0)
    assert shown(shelf, GAP_US + STEP) == (Outlook.GAP, None)


def test_a_gap_in_the_recording_is_not_bridged_by_an_old_picture():
    shelf = filled([0, 10_000_000, 10_000_000 + STEP])
    assert shown(shelf, 0) == (Outlook.PICTURE, 0)
    assert shown(shelf, GAP_US) == (Outlook.PICTURE, 0)
    assert shown(shelf, GAP_US + 1) == (Outlook.GAP, None)
    assert shown(shelf, 10_000_000) == (Outlook.PICTURE, 10_000_000)


def test_before_the_first_picture_there_is_a_gap_only_when_it_is_far():
    assert shown(filled([5_000_000]), 0) == (Outlook.GAP, None)
    assert shown(filled([STEP]), 0) == (Outlook.PICTURE, None)


@pytest.mark.parametrize("backwards", [False, True])
def test_pictures_out_of_order_are_left_out(backwards):
    shelf = filled([5, 5, 4, 6, 3, 7], backwards=backwards)
    assert len(shelf) == 3
    assert [picture.time_us for picture in shelf._coming] == ([5, 4, 3] if backwards else [5, 6, 7])


def test_the_next_picture_is_known_for_a_step():
    shelf = filled([0, STEP, 2 * STEP])
    shelf.show(0)
    assert shelf.next_after(0) == STEP
    assert shelf.next_after(STEP) == 2 * STEP
    assert shelf.next_after(2 * STEP) is None
