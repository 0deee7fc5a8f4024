import time

import numpy as np
import pytest

from clients.desktop.video.cell import VideoCell
from clients.desktop.video.decoder import full_picture
from clients.desktop.video.live import State
from clients.desktop.video.opening import StreamAddress
from clients.sdk.errors import NotAllowedError
from clients.simulator import stamp


def opener_of(simulator, number=1):
    async def open_stream(stream):
        return StreamAddress(f"{simulator.rtsp_url}/camera/{number}/{stream}")

    return open_stream


def pixels(image):
    """RGB of a QImage."""
    view = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return view[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[:, :, 2::-1]


@pytest.fixture
def cell(qtbot, media):
    cell = VideoCell(media)
    qtbot.addWidget(cell)
    cell.resize(320, 180)
    yield cell
    cell.clear()


def test_a_camera_is_seen_with_the_time_at_which_each_picture_was_taken(qtbot, cell, cameras):
    simulator = cameras(stamp=True)
    cell.watch("Entrance", opener_of(simulator), stream="main")
    seen = []
    cell.painted.connect(lambda frame: seen.append((frame.time_us, stamp.read(pixels(frame.image)))))
    cell.show()
    qtbot.waitUntil(lambda: len(seen) > 30, timeout=15_000)
    assert cell.state is State.PLAYING
    for time_us, drawn in seen:
        assert drawn is not None
        assert drawn.camera == 1
        # The stream's clock is told by reports; the stamp is of the moment of drawing.
        assert abs(time_us - drawn.time_us) < 80_000
    pictures = [drawn.picture for _, drawn in seen]
    assert pictures == sorted(set(pictures))


def test_pictures_come_at_the_cells_size(qtbot, cell, cameras):
    simulator = cameras()
    cell.watch("Entrance", opener_of(simulator), stream="main")
    cell.show()
    qtbot.waitUntil(lambda: cell.frame is not None, timeout=15_000)
    assert (cell.frame.image.width(), cell.frame.image.height()) == (320, 180)
    cell.resize(200, 200)
    qtbot.waitUntil(lambda: cell.frame.image.width() == 200, timeout=5_000)
    assert cell.frame.image.height() == 112
    assert cell.frame.source_size == (320, 180)
    assert full_picture(cell.frame).width() == 320


def test_a_small_cell_takes_the_small_stream_and_a_large_one_the_large(qtbot, cell, cameras):
    simulator = cameras()
    cell.watch("Entrance", opener_of(simulator), has_sub=True)
    cell.show()
    qtbot.waitUntil(lambda: cell.frame is not None, timeout=15_000)
    assert cell.frame.source_size == (176, 144)
    cell.resize(1000, 600)
    qtbot.waitUntil(lambda: cell.frame is not None and cell.frame.source_size == (320, 180), timeout=15_000)


def test_a_broken_stream_says_so_and_comes_back_while_others_play_on(qtbot, cell, media, cameras):
    simulator = cameras()
    other = VideoCell(media)
    qtbot.addWidget(other)
    other.resize(160, 90)
    cell.watch("Entrance", opener_of(simulator), stream="main")
    other.watch("Quay", opener_of(simulator, 2), stream="main")
    cell.show()
    other.show()
    qtbot.waitUntil(lambda: cell.frame is not None and other.frame is not None, timeout=15_000)
    media.call(lambda: simulator.send_away(simulator.cameras[0], 3.0, silent=False))
    qtbot.waitUntil(lambda: cell.state is State.BROKEN, timeout=5_000)
    assert cell.sentence.endswith(("trying again.", "."))
    assert cell.frame is not None, "the last picture stays, veiled"
    last = other.frame.time_us
    qtbot.waitUntil(lambda: other.frame.time_us > last + 500_000, timeout=5_000)
    assert other.state is State.PLAYING
    gone = cell.frame.time_us
    qtbot.waitUntil(lambda: cell.state is State.PLAYING and cell.frame.time_us > gone, timeout=20_000)
    assert cell.sentence == ""
    other.clear()


def test_a_camera_that_may_not_be_watched_is_named_in_a_sentence(qtbot, cell):
    async def refuse(stream):
        raise NotAllowedError(403, "Not allowed")

    cell.watch("Vault", refuse)
    cell.show()
    qtbot.waitUntil(lambda: cell.state is State.BROKEN, timeout=5_000)
    assert cell.sentence == "You may not watch this camera."


def test_a_hidden_cell_streams_nothing_and_a_cleared_one_forgets_its_picture(qtbot, cell, media, cameras):
    simulator = cameras()
    cell.watch("Entrance", opener_of(simulator), stream="main")
    cell.show()
    qtbot.waitUntil(lambda: cell.frame is not None, timeout=15_000)
    channel = simulator.cameras[0].channels["main"]
    assert channel.stream.viewers == 1
    cell.hide()
    qtbot.waitUntil(lambda: channel.stream.viewers == 0, timeout=5_000)
    cell.show()
    qtbot.waitUntil(lambda: channel.stream.viewers == 1, timeout=5_000)
    cell.clear()
    assert cell.frame is None
    qtbot.waitUntil(lambda: channel.stream.viewers == 0, timeout=5_000)


def test_threads_end_with_the_media(qtbot, cameras):
    from clients.desktop.video.media import Media  # noqa: PLC0415 - one of its own

    media = Media()
    cell = VideoCell(media)
    qtbot.addWidget(cell)
    cell.watch("Entrance", opener_of(cameras()), stream="main")
    cell.show()
    qtbot.waitUntil(lambda: cell.frame is not None, timeout=15_000)
    cell.clear()
    began = time.monotonic()
    media.close()
    media.close()
    assert time.monotonic() - began < 4
