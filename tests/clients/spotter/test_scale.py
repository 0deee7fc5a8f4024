from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from clients.spotter.scale import LONGEST_US, MARK_PX, SHORTEST_US, Scale

NOON = round(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1e6)
HOUR = 3600 * 1_000_000


@pytest.fixture
def scale():
    return Scale(NOON, HOUR, 1000)


def test_a_moment_is_where_the_pointer_finds_it(scale):
    for x in (0, 250, 999):
        assert scale.x(scale.moment(x)) == pytest.approx(x, abs=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.25, 1e-9, 1e9])
def test_zooming_keeps_the_moment_under_the_pointer_and_stays_within_bounds(scale, factor):
    zoomed = scale.zoomed(factor, 300)
    assert zoomed.x(scale.moment(300)) == pytest.approx(300, abs=0.1)
    assert SHORTEST_US <= zoomed.span_us <= LONGEST_US


@pytest.mark.parametrize("span_s", [10, 60, 600, 3600, 86_400, 31 * 86_400])
def test_marks_stand_apart_and_on_full_units(span_s):
    scale = Scale(NOON + 1_234_567, span_s * 1_000_000, 1000)
    marks = scale.marks(UTC)
    assert 2 <= len(marks) <= 12
    places = [scale.x(moment) for moment, _ in marks]
    assert all(after - before >= MARK_PX - 1 for before, after in pairwise(places))
    assert all(moment % 1_000_000 == 0 for moment, _ in marks)


def test_marks_follow_the_clocks_of_the_time_zone_over_a_change():
    night = round(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp() * 1e6)
    marks = Scale(night, 6 * HOUR, 1000).marks(ZoneInfo("Europe/Helsinki"))
    texts = [text for _, text in marks]
    assert texts[0] == "01:00"
    assert len(texts) == len({moment for moment, _ in marks})
