import pytest

from broker.model.messages import CameraCondition
from broker.trust.errors import EgressRefusedError
from servers.dvrserver.condition import Trouble, together, trouble_of
from servers.wire.rtsp import errors

AWAY, REFUSED, RUNNING = CameraCondition.NO_SIGNAL, CameraCondition.REFUSED, CameraCondition.RUNNING


@pytest.mark.parametrize(
    ("error", "ran", "condition"),
    [
        (errors.RtspUnreachableError("x"), False, AWAY),
        (errors.RtspSilentError("x"), True, AWAY),
        (errors.RtspProtocolError("x"), False, REFUSED),
        (errors.RtspProtocolError("x"), True, AWAY),
        (errors.RtspUnauthorisedError("x"), False, REFUSED),
        (errors.RtspUnsupportedError("x"), False, REFUSED),
        (errors.RtspRefusedError("x", 404), False, REFUSED),
        (errors.RtspRefusedError("x", 503), False, AWAY),
        (EgressRefusedError("main_url", "why", "remedy"), False, REFUSED),
        (OSError("x"), False, AWAY),
    ],
)
def test_a_camera_that_is_away_comes_back_and_one_that_refuses_needs_somebody(error, ran, condition):
    found = trouble_of(error, ran=ran)
    assert found.condition is condition
    assert "x" in found.problem or "remedy" in found.problem


def test_trouble_of_the_small_stream_is_told_while_the_full_one_runs():
    state = together(Trouble(RUNNING), Trouble(AWAY, "gone"))
    assert state == Trouble(RUNNING, "Small stream: gone")


def test_trouble_of_the_full_stream_comes_first():
    state = together(Trouble(AWAY, "main gone"), Trouble(REFUSED, "sub refused"))
    assert state == Trouble(AWAY, "main gone")
