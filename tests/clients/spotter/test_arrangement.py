import pytest

from clients.spotter.arrangement import MOST_CELLS, exchanged, first_free, placed, regrouped, shape


@pytest.mark.parametrize("cells", range(1, MOST_CELLS + 1))
def test_every_number_of_cells_has_room_and_no_empty_row(cells):
    rows, columns = shape(cells)
    assert rows * columns >= cells
    assert (rows - 1) * columns < cells
    assert rows <= columns <= 4


def test_a_larger_page_keeps_every_camera_in_its_order():
    assert regrouped(("a", None, "b"), 6) == ("a", None, "b", None, None, None)


def test_a_smaller_page_gives_up_empty_cells_before_cameras():
    assert regrouped(("a", None, "b", None), 2) == ("a", "b")
    assert regrouped(("a", "b", "c", "d"), 2) == ("a", "b")


def test_cells_are_exchanged_and_filled():
    assert exchanged(("a", None, "b"), 0, 1) == (None, "a", "b")
    assert placed(("a", None), "b", 1) == ("a", "b")


def test_a_camera_without_a_place_goes_where_there_is_room():
    assert first_free(("a", None, None), 2) == 2
    assert first_free(("a", None), 0) == 1
    assert first_free(("a", "b"), 1) == 1
