from datetime import UTC, datetime, timedelta

import pytest

from broker.model.access import Access
from broker.model.resources import Profile, Right, User
from broker.trust.tokens import SigningKeys, TokenChecker, TokenIssuer
from servers.gateway.errors import FORBIDDEN, TRY_AGAIN, UNAUTHORISED, SocketRefusedError
from servers.gateway.tickets import TicketOffice

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OLGA = User(id="olga", name="Olga", profile_id="night")
NIGHT = Profile(id="night", name="Night", rights={Right.LIVE}, camera_ids={"gate"})


@pytest.fixture
def keys(tmp_path):
    return SigningKeys(tmp_path / "keys")


@pytest.fixture
def checker(tmp_path, keys):
    checker = TokenChecker(tmp_path)
    checker.update(keys.jwks())
    return checker


@pytest.fixture
def office(checker):
    users = {"olga": Access(OLGA, NIGHT)}
    return TicketOffice(checker, users.get, opened_at=NOW - timedelta(hours=1))


@pytest.fixture
def ticket(keys):
    def make(user="olga", session="s-1", camera="gate", at=NOW):
        return TokenIssuer(keys).ticket(user, session, camera, "node-1", now=at)

    return make


def refusal(office, ticket, camera="gate", now=NOW):
    with pytest.raises(SocketRefusedError) as caught:
        office.take(ticket, camera, now=now)
    return caught.value.code


def test_a_good_ticket_is_taken_once(office, ticket):
    good = ticket()
    assert office.take(good, "gate", now=NOW).node == "node-1"
    assert refusal(office, good) == UNAUTHORISED
    assert office.take(ticket(), "gate", now=NOW)


def test_it_stays_used_as_long_as_it_would_be_good(office, ticket):
    good = ticket()
    office.take(good, "gate", now=NOW)
    for seconds in (1, 30, 59):
        office.take(ticket(at=NOW + timedelta(seconds=seconds)), "gate", now=NOW + timedelta(seconds=seconds))
        assert refusal(office, good, now=NOW + timedelta(seconds=seconds)) == UNAUTHORISED


def test_used_tickets_are_forgotten_when_they_could_not_be_shown_again(office, ticket):
    for seconds in range(0, 3600, 60):
        at = NOW + timedelta(seconds=seconds)
        office.take(ticket(at=at), "gate", now=at)
    assert len(office._used) < 10


def test_a_ticket_of_another_camera_session_or_time_is_refused(office, checker, ticket):
    assert refusal(office, ticket(camera="yard")) == UNAUTHORISED
    assert refusal(office, ticket(), now=NOW + timedelta(seconds=61)) == UNAUTHORISED
    checker.revoke("s-1")
    assert refusal(office, ticket()) == UNAUTHORISED


def test_a_ticket_for_recorded_video_opens_no_live_picture(office, keys):
    recorded = TokenIssuer(keys).ticket("olga", "s1", "gate", "node-1", purpose="playback", now=NOW)
    assert refusal(office, recorded) == UNAUTHORISED


def test_no_grace_for_expired_tickets_while_smserver_is_silent(office, checker, ticket):
    old = ticket(at=NOW - timedelta(seconds=90))
    checker.set_smserver_silent(NOW - timedelta(hours=1))
    assert refusal(office, old) == UNAUTHORISED


def test_a_gateway_takes_no_ticket_that_is_older_than_itself(checker, ticket):
    restarted = TicketOffice(checker, {"olga": Access(OLGA, NIGHT)}.get, opened_at=NOW)
    assert refusal(restarted, ticket(at=NOW - timedelta(seconds=5))) == UNAUTHORISED
    assert restarted.take(ticket(), "gate", now=NOW)


def test_the_profile_has_the_last_word(checker, ticket):
    blind = NIGHT.model_copy(update={"rights": frozenset()})
    office = TicketOffice(checker, {"olga": Access(OLGA, blind)}.get, opened_at=NOW)
    assert refusal(office, ticket()) == FORBIDDEN
    assert refusal(office, ticket(user="nobody")) == TRY_AGAIN
