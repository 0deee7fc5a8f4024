"""Recorded video from a real node, played by our own client; every picture says when it was taken."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from broker.model import messages as m
from broker.model.resources import Profile, Right
from servers.net.rtsp_playback import open_playback
from servers.wire.rtsp.errors import RtspRefusedError, RtspUnauthorisedError, RtspUnreachableError
from tests.servers.dvrserver import recorded
from tests.servers.dvrserver.camera_stand import CameraStand
from tests.servers.dvrserver.one_node import STREAM_SECRET, running
from tests.servers.dvrserver.recorded import FIRST_S, FRAME_US, GAP_S, SECOND_S, SECOND_US

ROUNDING_US = 50
"""Of MP4's and RTP's clocks."""
TOTAL_S = FIRST_S + GAP_S + SECOND_S


class Screen:
    """A sink that remembers, PLAY by PLAY."""

    def __init__(self):
        self.formats = ()
        self.plays = []
        self.finished_plays = 0

    def described(self, formats):
        self.formats = formats

    def begun(self, begun):
        self.plays.append((begun, []))

    def received(self, units):
        self.plays[-1][1].extend((time.monotonic(), unit) for unit in units)

    def finished(self):
        self.finished_plays += 1

    @property
    def video(self):
        return [unit for _, unit in self.plays[-1][1] if unit.track == 0]

    @property
    def times(self):
        return [unit.camera_time_us for unit in self.video]

    @property
    def sound(self):
        return [unit for _, unit in self.plays[-1][1] if unit.track == 1]

    def arrivals(self):
        """When each picture came, seconds after the first."""
        came = [at for at, unit in self.plays[-1][1] if unit.track == 0]
        return [at - came[0] for at in came]


@pytest.fixture
def footage(site):
    """Where the footage of the camera door begins."""
    return recorded.write(site)


@pytest.fixture
async def node(site, footage, run_node):
    """A node with footage of the camera door, which is not captured now."""
    async with run_node() as node:
        yield node


@pytest.fixture
def playing(site, node):
    """`async with playing() as (playback, screen)`: a session of the user guard."""

    @asynccontextmanager
    async def open_(path="/camera/door/main", *, user="guard", password=STREAM_SECRET, session=None, **ticket):
        screen, url = Screen(), node.stream_url + path
        if session:
            given = {"purpose": "playback", **ticket}
            url += f"?ticket={site.issuer.ticket(user, session, 'door', 'node-1', **given)}"
            user = password = ""
        playback = await open_playback(url, screen, username=user, password=password)
        try:
            yield playback, screen
        finally:
            await playback.close()

    return open_


@pytest.fixture
def at(footage):
    """A moment in the footage, seconds after its beginning."""
    return lambda seconds: datetime.fromtimestamp(footage.start_us / 1e6, UTC) + timedelta(seconds=seconds)


def near(found, wanted):
    """Whether times are the same but for the rounding of clocks."""
    return len(found) == len(wanted) and all(
        abs(one - other) <= ROUNDING_US for one, other in zip(found, wanted, strict=True)
    )


async def test_all_footage_comes_in_order_with_its_times_as_fast_as_it_is_read(playing, footage, at, until):
    async with playing() as (playback, screen):
        begun = await playback.play(start=at(0), end=at(TOTAL_S), paced=False)
        assert begun == (footage.start_us, 1.0)
        await until(lambda: screen.finished_plays)
        wanted = recorded.expected(footage.start_us)
        assert near(screen.times, wanted)
        assert near(recorded.stamps(screen.video), wanted)
        assert screen.arrivals()[-1] < 3
        assert [format_.codec for format_ in screen.formats] == ["h264", "aac"]
        assert len(screen.sound) == len(recorded.sound(FIRST_S)[0])
        steps = {b.camera_time_us - a.camera_time_us for a, b in pairwise(screen.sound)}
        assert steps <= {63_999, 64_000, 64_001}


@pytest.mark.parametrize("second", [0.0, 0.3, 1.0, 4.9, 5.0, 5.05, 11.9, 23.4, 29.9])
async def test_a_moment_is_found_to_the_picture(playing, footage, at, until, second):
    moment_us = footage.start_us + int(second * SECOND_US)
    async with playing() as (playback, screen):
        await playback.play(start=at(second))
        await until(lambda: screen.times and screen.times[-1] >= moment_us - FRAME_US)
        assert screen.video[0].key
        assert moment_us - SECOND_US < screen.times[0] <= moment_us + ROUNDING_US
        assert (
            max(arrival for arrival, shown in zip(screen.arrivals(), screen.times, strict=True) if shown <= moment_us)
            < 0.5
        )
        assert near(recorded.stamps(screen.video), screen.times)


@pytest.mark.parametrize(("scale", "least", "most"), [(1, 1.6, 2.4), (4, 1.6, 2.4), (0.5, 1.5, 2.4), (8, 1.0, 2.4)])
async def test_time_runs_at_the_speed_asked_for(playing, footage, at, until, scale, least, most):
    seconds = min(2 * scale, FIRST_S)
    async with playing() as (playback, screen):
        begun = await playback.play(start=at(0), end=at(seconds), scale=scale)
        assert begun.scale == scale
        await until(lambda: screen.finished_plays)
        assert near(screen.times, recorded.expected(footage.start_us)[: int(seconds * recorded.FPS)])
        assert least < screen.arrivals()[-1] + FRAME_US / 1e6 / scale < most
        assert bool(screen.sound) is (scale == 1)


async def test_where_the_speed_would_make_too_many_pictures_key_frames_come_alone(playing, footage, at, until):
    async with playing() as (playback, screen):
        await playback.play(start=at(0), end=at(TOTAL_S), scale=16)
        await until(lambda: screen.finished_plays)
        seconds = [*range(FIRST_S), *range(FIRST_S + GAP_S, TOTAL_S)]
        assert near(screen.times, [footage.start_us + second * SECOND_US for second in seconds])
        assert 0.8 < screen.arrivals()[-1] < 1.8


async def test_a_gap_is_passed_at_once(playing, footage, at, until):
    async with playing() as (playback, screen):
        await playback.play(start=at(FIRST_S - 0.5))
        later = footage.start_us + (FIRST_S + GAP_S) * SECOND_US
        await until(lambda: screen.times and screen.times[-1] > later + 300_000)
        before = [shown for shown in screen.times if shown < later]
        assert before[-1] == pytest.approx(footage.start_us + FIRST_S * SECOND_US - FRAME_US, abs=ROUNDING_US)
        assert screen.arrivals()[-1] < 2.5
        await playback.play(start=at(FIRST_S + 3))
        await until(lambda: screen.times)
        assert screen.times[0] == pytest.approx(later, abs=ROUNDING_US)
        assert near(recorded.stamps(screen.video), screen.times)


async def test_backwards_gops_come_in_reverse_each_to_be_decoded_and_turned_round(playing, footage, at, until):
    async with playing() as (playback, screen):
        begun = await playback.play(start=at(TOTAL_S - 0.05), scale=-1, paced=False)
        assert begun.scale == -1
        await until(lambda: screen.finished_plays)
        wanted = recorded.expected(footage.start_us)
        gops = [wanted[first : first + recorded.GOP] for first in range(0, len(wanted), recorded.GOP)]
        assert near(screen.times, [shown for gop in reversed(gops) for shown in gop])
        assert near(recorded.stamps(screen.video), screen.times)
        assert not screen.sound


@pytest.mark.parametrize("scale", [-1, -4, -8])
async def test_backwards_by_key_frames_in_their_time(playing, footage, at, until, scale):
    async with playing() as (playback, screen):
        await playback.play(start=at(9.5), end=at(9.5 + 2 * scale if scale > -8 else 0), scale=scale, key_frames=True)
        await until(lambda: screen.finished_plays, 20)
        assert near(recorded.stamps(screen.video), screen.times)
        assert all(earlier - later == pytest.approx(-SECOND_US, abs=100) for later, earlier in pairwise(screen.times))
        assert screen.times[0] == pytest.approx(footage.start_us + 9 * SECOND_US, abs=ROUNDING_US)
        shown = len(screen.times)
        # The first is at once there, the next when the clock has come back to it from 9.5.
        assert screen.arrivals()[-1] == pytest.approx((shown - 1 + 0.5) / -scale, abs=0.3)


async def test_after_a_pause_it_goes_on_with_the_next_picture(playing, footage, at, until):
    async with playing() as (playback, screen):
        await playback.play(start=at(2))
        await until(lambda: len(screen.times) >= 5)
        await playback.pause()
        seen = len(screen.times)
        await asyncio.sleep(0.5)
        assert len(screen.times) == seen
        first = screen.times
        begun = await playback.play()
        assert first[-1] < begun.start_us <= first[-1] + FRAME_US + ROUNDING_US  # sound may be the next to come
        await until(lambda: len(screen.times) >= 5)
        assert near([*first, *screen.times], [first[0] + n * FRAME_US for n in range(seen + len(screen.times))])
        assert screen.arrivals()[4] < 0.8


async def test_the_speed_changes_where_it_stands(playing, at, until):
    async with playing() as (playback, screen):
        await playback.play(start=at(2))
        await until(lambda: len(screen.times) >= 5)
        last = screen.times[-1]
        await playback.play(scale=-1, key_frames=True)
        await until(lambda: screen.times)
        assert last - SECOND_US < screen.times[0] <= last + 2 * FRAME_US


async def test_seeking_leaves_nothing_of_before_behind(playing, footage, at, until):
    async with playing() as (playback, screen):
        for second in (1, 25, 3, 8, 22, 6):
            await playback.play(start=at(second), paced=second != 8)
            await until(lambda: len(screen.times) >= 3)
            assert screen.times[0] == pytest.approx(footage.start_us + second * SECOND_US, abs=ROUNDING_US)
            assert near(recorded.stamps(screen.video), screen.times)


async def test_who_reads_no_more_is_waited_for_and_others_are_not_disturbed(playing, footage, at, until):
    async with playing() as (playback, screen), playing() as (other, second):
        await playback.play(start=at(0), paced=False)
        await until(lambda: screen.times)
        playback.hold()
        await other.play(start=at(0), end=at(2))
        await until(lambda: second.finished_plays)
        seen = len(screen.times)
        await asyncio.sleep(0.3)
        assert len(screen.times) == seen
        playback.go_on()
        await until(lambda: len(screen.times) == (FIRST_S + SECOND_S) * recorded.FPS)


async def test_several_sessions_begin_together(playing, at, until):
    async with playing() as one, playing() as two, playing() as three:
        together = datetime.now(UTC) + timedelta(seconds=1)
        for playback, _ in (one, two, three):
            await playback.play(start=at(3), at=together)
        await until(lambda: all(len(screen.times) >= 10 for _, screen in (one, two, three)))
        # The fifth picture in all of them: shown at the same instant, to less than a frame.
        came = [screen.plays[-1][1] for _, screen in (one, two, three)]
        fifth = [[when for when, unit in units if unit.track == 0][4] for units in came]
        assert max(fifth) - min(fifth) < FRAME_US / 1e6 / 2


@pytest.mark.parametrize(
    ("first", "last", "scale", "said"),
    [
        (TOTAL_S + 60, None, 1, "at or after"),
        (-60, None, -1, "at or before"),
        (FIRST_S + 2, FIRST_S + 5, 1, "in that range"),
        (5, 4, 1, "ends before"),
        (5, 6, -1, "ends before"),
    ],
)
async def test_a_range_without_footage_is_refused_with_what_there_is_and_the_session_goes_on(
    playing, at, until, first, last, scale, said
):
    async with playing() as (playback, screen):
        with pytest.raises(RtspRefusedError, match=said) as refusal:
            await playback.play(start=at(first), end=None if last is None else at(last), scale=scale)
        assert refusal.value.status == 457
        if "before" not in said or "at or" in said:
            assert f"{at(0):%Y-%m-%dT%H:%M:%SZ}" in str(refusal.value)
        await playback.play(start=at(1))
        await until(lambda: screen.times)


async def test_a_session_that_played_out_plays_again(playing, at, until):
    async with playing() as (playback, screen):
        for number in (1, 2):
            await playback.play(start=at(1), end=at(2), paced=False)
            await until(lambda number=number: screen.finished_plays == number)
            assert len(screen.times) == recorded.FPS
            assert near(recorded.stamps(screen.video), screen.times)


async def test_a_ticket_for_playback_plays_and_one_for_live_does_not(playing, site, node, at, until):
    async with playing(session="s1") as (playback, screen):
        await playback.play(start=at(1))
        await until(lambda: screen.times)
    path = f"/camera/door/main/{at(1):%Y%m%dT%H%M%SZ}"
    with pytest.raises(RtspUnauthorisedError):
        async with playing(path, session="s1", purpose="live"):
            pass


async def test_a_live_ticket_cannot_be_turned_to_playback_in_the_session(site, run_node, footage, at, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node() as node:
            await until(running(node))
            ticket = site.issuer.ticket("guard", "s1", "door", "node-1")
            screen = Screen()
            playback = await open_playback(f"{node.stream_url}/camera/door/main?ticket={ticket}", screen)
            begun = await playback.play(start=at(1))
            await until(lambda: screen.video)
            assert begun.start_us is None, "live video answers with no time"
            assert screen.video[0].data not in {
                data for _, _, data in recorded.pictures(footage.start_us, FIRST_S, recorded.SMALL)
            }
            await playback.close()


async def test_without_the_right_there_is_no_playback_and_another_camera_does_not_exist(
    site, run_node, footage, at, until
):
    live_only = Profile(id="door", name="Door", rights=frozenset({Right.LIVE}), camera_ids=frozenset({"door"}))
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        site.before_start(m.ProfileConfigured, profile=live_only)
        async with run_node() as node:
            await until(running(node))

            async def refusal(path, **play):
                playback = None
                try:
                    playback = await open_playback(
                        node.stream_url + path, Screen(), username="guard", password=STREAM_SECRET
                    )
                    await playback.play(**play)
                except RtspRefusedError as error:
                    return error.status, str(error)
                finally:
                    if playback:
                        await playback.close()
                return None

            time_path = f"/{at(1):%Y%m%dT%H%M%SZ}"
            assert (await refusal("/camera/door/main", start=at(1)))[0] == 403
            assert (await refusal(f"/camera/door/main{time_path}"))[0] == 403
            hidden = await refusal(f"/camera/vault/main{time_path}", start=at(1))
            absent = await refusal(f"/camera/nowhere/main{time_path}", start=at(1))
            assert hidden == absent
            assert hidden[0] == 404


async def test_a_lost_right_and_an_ended_sign_in_end_playback(playing, site, at, until):
    async with playing(session="s1") as (one, _), playing() as (two, _):
        for playback in (one, two):
            await playback.play(start=at(0), paced=False)
        await site.revoke("s1")
        with pytest.raises(RtspUnreachableError):
            await asyncio.wait_for(one.ended, 10)
        assert not two.ended.done()
        live_only = Profile(id="door", name="Door", rights=frozenset({Right.LIVE}), camera_ids=frozenset({"door"}))
        await site.announce(m.ProfileConfigured, profile=live_only)
        with pytest.raises(RtspUnreachableError):
            await asyncio.wait_for(two.ended, 10)


async def test_the_newest_footage_is_followed_as_it_is_written(site, run_node, until):
    async with CameraStand() as stand:
        site.before_start(m.CameraConfigured, camera=site.camera("door", main_url=stand.url))
        async with run_node(segment_s=3) as node:
            await until(running(node))
            screen, playback = Screen(), None

            async def begin():
                nonlocal playback
                playback = playback or await open_playback(
                    f"{node.stream_url}/camera/door/main", screen, username="guard", password=STREAM_SECRET
                )
                try:
                    await playback.play(start=datetime.now(UTC) - timedelta(seconds=1))
                except RtspRefusedError:
                    return False
                return True

            async with asyncio.timeout(15):
                while not await begin():  # noqa: ASYNC110 - there is no event for the first footage
                    await asyncio.sleep(0.2)
            await until(lambda: len(screen.times) > 60)
            steps = [later - earlier for earlier, later in pairwise(screen.times)]
            assert max(steps) < 250_000
            assert min(steps) > 0
            assert time.time() * 1e6 - screen.times[-1] < 3_500_000
            came = screen.arrivals()
            assert max(later - earlier for earlier, later in pairwise(came)) < 1.6
            await playback.close()
