import pytest

from clients.spotter.clock import SPEEDS, PlayerClock

SECOND = 1_000_000


class Hands:
    """A monotonic clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def clock(hands):
    return PlayerClock(1_000 * SECOND, hands)


def test_it_stands_still_until_it_is_told_to_run(clock, hands):
    hands.now += 5
    assert clock.position_us == 1_000 * SECOND
    clock.play()
    hands.now += 5
    assert clock.position_us == 1_005 * SECOND


@pytest.mark.parametrize("speed", [sign * speed for speed in SPEEDS for sign in (1, -1)])
def test_every_speed_runs_exactly_in_either_direction(clock, hands, speed):
    clock.set_speed(speed)
    clock.play()
    hands.now += 8
    assert clock.position_us == 1_000 * SECOND + round(8 * speed * SECOND)


def test_a_change_of_speed_begins_at_the_moment_shown(clock, hands):
    clock.play()
    hands.now += 10
    clock.set_speed(4)
    assert clock.position_us == 1_010 * SECOND
    hands.now += 1
    clock.set_speed(-1)
    assert clock.position_us == 1_014 * SECOND
    hands.now += 2
    assert clock.position_us == 1_012 * SECOND


def test_pausing_loses_no_time_and_gains_none(clock, hands):
    clock.play()
    hands.now += 1.25
    clock.pause()
    hands.now += 60
    assert clock.position_us == 1_001.25 * SECOND
    clock.play()
    hands.now += 0.75
    assert clock.position_us == 1_002 * SECOND


def test_no_time_passes_while_it_waits_for_pictures(clock, hands):
    clock.play()
    hands.now += 1
    clock.hold(True)
    hands.now += 30
    assert clock.position_us == 1_001 * SECOND
    assert clock.playing
    clock.hold(False)
    hands.now += 1
    assert clock.position_us == 1_002 * SECOND


def test_seeking_keeps_it_running_or_standing(clock, hands):
    clock.seek(50 * SECOND)
    hands.now += 1
    assert clock.position_us == 50 * SECOND
    clock.play()
    clock.seek(70 * SECOND)
    hands.now += 1
    assert clock.position_us == 71 * SECOND


def test_a_speed_of_nothing_is_refused(clock):
    with pytest.raises(ValueError, match="pause"):
        clock.set_speed(0)
