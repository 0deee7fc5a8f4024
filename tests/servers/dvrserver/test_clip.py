"""Clips: exactly what was asked for, as an ordinary file."""

import io
from datetime import UTC, datetime, timedelta

import av
import httpx
import pytest

from broker.model import messages as m
from broker.model.resources import Profile, Right, User
from clients.simulator import stamp
from tests.servers.dvrserver import recorded
from tests.servers.dvrserver.recorded import FIRST_S, FRAME_US, GAP_S, RATE, SECOND_S, SECOND_US

TOTAL_S = FIRST_S + GAP_S + SECOND_S


@pytest.fixture
def footage(site):
    return recorded.write(site)


@pytest.fixture
async def ask(site, footage, run_node):
    """`await ask(first, last)`: a clip, seconds after the footage's beginning."""
    origin = datetime.fromtimestamp(footage.start_us / 1e6, UTC)
    async with run_node() as node, httpx.AsyncClient(base_url=node.control_url + "/api/v1", trust_env=False) as client:

        async def ask(first, last, *, user="exporter", camera_id="door"):
            times = {"from": origin + timedelta(seconds=first), "to": origin + timedelta(seconds=last)}
            return await client.get(
                f"/cameras/{camera_id}/clip",
                params={name: moment.isoformat() for name, moment in times.items()},
                headers={"Authorization": f"Bearer {site.token(user)}"},
            )

        yield ask


@pytest.fixture(autouse=True)
def exporter(site):
    """A user who sees the camera door and may export."""
    rights = frozenset({Right.PLAYBACK, Right.EXPORT})
    profile = Profile(id="exporters", name="Exporters", rights=rights, camera_ids=frozenset({"door"}))
    site.before_start(m.ProfileConfigured, profile=profile)
    site.before_start(m.UserConfigured, user=User(id="exporter", name="Exporter", profile_id="exporters"))


def decoded(content):
    """What the pictures say, when each is shown (s), and how many samples of sound there are."""
    said, shown, samples = [], [], 0
    with av.open(io.BytesIO(content)) as opened:
        for frame in opened.decode(*opened.streams):
            if isinstance(frame, av.AudioFrame):
                samples += frame.samples
                continue
            mark = stamp.read(frame.to_ndarray(format="gray"))
            said.append(mark and mark.time_us)
            shown.append(float(frame.pts * frame.time_base))
    return said, shown, samples


@pytest.mark.parametrize(("first", "last"), [(0, 3), (2.5, 6.2), (4.9, 10.1), (0, FIRST_S), (22, 30), (25.3, 29.7)])
async def test_a_clip_shows_exactly_the_pictures_asked_for(ask, footage, first, last):
    answer = await ask(first, last)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    begin, end = (footage.start_us + round(second * SECOND_US) for second in (first, last))
    said, shown, samples = decoded(answer.content)
    assert said == [at for at in recorded.expected(footage.start_us) if begin <= at < end]
    assert shown == pytest.approx([number * FRAME_US / 1e6 for number in range(len(said))], abs=0.001)
    assert int(answer.headers["Vigil-Start"]) == pytest.approx(begin, abs=50)
    if last <= FIRST_S - 1:
        assert samples / RATE == pytest.approx(last - first, abs=0.2)


async def test_a_gap_is_passed_over_and_the_other_size_that_follows_is_decoded(ask, footage):
    answer = await ask(0, TOTAL_S)
    said, shown, samples = decoded(answer.content)
    assert said == recorded.expected(footage.start_us)
    assert shown[-1] == pytest.approx(FIRST_S + SECOND_S - 0.1, abs=0.01)
    assert samples / RATE == pytest.approx(FIRST_S, abs=0.2)
    assert answer.headers["Vigil-Gaps"] == "1"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="door-')


async def test_a_clip_that_begins_in_a_gap_begins_with_what_follows(ask, footage):
    answer = await ask(FIRST_S + 2, FIRST_S + GAP_S + 1)
    said, _, _ = decoded(answer.content)
    assert said == recorded.expected(footage.start_us)[FIRST_S * 10 : FIRST_S * 10 + 10]


async def test_pictures_are_copied_byte_for_byte(ask, footage):
    answer = await ask(0, 3)
    with av.open(io.BytesIO(answer.content)) as opened:
        packets = [bytes(packet) for packet in opened.demux(video=0) if packet.size]
    assert packets == [data for _, _, data in recorded.pictures(footage.start_us, FIRST_S, recorded.SMALL)][:30]


@pytest.mark.parametrize(
    ("first", "last", "user", "camera_id", "status"),
    [
        (0, 3, "guard", "door", 403),
        (0, 3, "exporter", "vault", 404),
        (0, 3, "exporter", "nowhere", 404),
        (-60, -30, "exporter", "door", 404),
        (FIRST_S + 2, FIRST_S + 5, "exporter", "door", 404),
        (3, 1, "exporter", "door", 422),
        (0, 3601, "exporter", "door", 422),
    ],
)
async def test_what_may_not_or_cannot_be_had_is_refused_with_a_sentence(ask, first, last, user, camera_id, status):
    answer = await ask(first, last, user=user, camera_id=camera_id)
    assert answer.status_code == status
    assert len(answer.json()["detail"]) > 20
    if status == 404 and camera_id == "door":
        assert "there is footage of door from" in answer.json()["detail"]


async def test_a_hidden_camera_and_one_that_is_not_there_are_answered_alike(ask):
    hidden, absent = await ask(0, 3, camera_id="vault"), await ask(0, 3, camera_id="nowhere")
    assert hidden.text.replace("vault", "X") == absent.text.replace("nowhere", "X")
