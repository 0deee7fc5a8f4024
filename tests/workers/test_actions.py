"""The actions against real receivers on this machine."""

import ast
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

import workers.actions
from broker.model.actions import (
    ACTION_SETTINGS,
    TEMPLATE_FIELDS,
    EmailSettings,
    HttpRequestSettings,
    RecordCameraSettings,
)
from broker.model.messages import AlarmRaised
from broker.trust.egress import EgressPolicy
from broker.trust.http import blocking_service_client, webhook_client
from tests.workers.stand_ins import receiver
from workers import templates
from workers.action import KINDS, Attempt, Tools
from workers.actions.email import compose as letter_of
from workers.errors import ActionError, TransientActionError
from workers.settings import EngineGroup
from workers.tables import Phase

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def attempt(number=1, *, action_id="abc-0", phase=Phase.START, ended_at=None, repeated=False, limit_s=2, **raised):
    return Attempt(
        action_id=action_id,
        number=number,
        phase=phase,
        raised=AlarmRaised(
            **{
                "alarm_event_id": "abc",
                "alarm_id": "alarm-1",
                "at": AT,
                "alarm_name": "Motion at the gate",
                "priority": "high",
                "colour": "#d92d20",
                "trigger": "motion",
                "source_id": "cam-1",
                "node_id": "node-1",
                "occurred_at": AT,
                **raised,
            }
        ),
        condition_ended_at=ended_at,
        repeated=repeated,
        time_limit_s=limit_s,
    )


@pytest.fixture
def tools_for():
    made = []

    def make(*, allow="127.0.0.0/8", control_url=None, **mail):
        webhooks = webhook_client(EgressPolicy([ip_network(allow)] if allow else []))
        servers = blocking_service_client()
        made.extend((webhooks, servers))
        return Tools(webhooks, servers, lambda _id: control_url, EngineGroup(**mail))

    yield make
    for client in made:
        client.close()


def perform(kind, one, settings, tools):
    return KINDS[kind].perform(one, settings, tools)


# --- registry ---------------------------------------------------------------------------------------------------


def test_settings_and_behaviours_pair_one_to_one():
    folder = Path(workers.actions.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    kinds = {cls.model_fields["kind"].default: cls for cls in ACTION_SETTINGS}
    assert files == set(KINDS) == set(kinds) == set(workers.actions.__all__)
    assert {name: kind.settings for name, kind in KINDS.items()} == kinds


def test_actions_know_nothing_of_celery():
    for path in Path(workers.actions.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in {"celery", "kombu"} for name in names), path


# --- templates --------------------------------------------------------------------------------------------------


def test_a_template_fills_in_known_fields_and_evaluates_nothing():
    fields = templates.values(attempt(alarm_name="{source_id} {0}").raised, action_id="abc-0", attempt=2)
    assert set(fields) == set(TEMPLATE_FIELDS)
    text = "{alarm_name}|{attempt}|{unknown}|{alarm_name.__class__}|{0}|{{source_id}}|{source_id!r}|%s"
    assert templates.fill(text, fields) == (
        "{source_id} {0}|2|{unknown}|{alarm_name.__class__}|{0}|{cam-1}|{source_id!r}|%s"
    )


# --- http_request -----------------------------------------------------------------------------------------------


def test_a_request_carries_its_key_and_the_alarm_as_json(http, tools_for):
    assert (
        perform("http_request", attempt(2), HttpRequestSettings(url=f"{http.url}/hook"), tools_for()) == "HTTP 200 OK"
    )
    (request,) = http.requests
    assert request["method"] == "POST"
    headers = request["headers"]
    assert (headers["Idempotency-Key"], headers["Vigil-Action-Id"], headers["Vigil-Attempt"]) == ("abc-0", "abc-0", "2")
    assert headers["Content-Type"] == "application/json"
    body = json.loads(request["body"])
    assert set(body) == set(TEMPLATE_FIELDS)
    assert body["alarm_name"] == "Motion at the gate"
    assert datetime.fromisoformat(body["occurred_at"]) == AT


def test_a_json_body_stays_json_whatever_the_alarm_is_called(http, tools_for):
    settings = HttpRequestSettings(url=http.url, body='{"text": "{alarm_name}"}')
    name = 'The "gate"\\ \n{source_id}'
    perform("http_request", attempt(alarm_name=name), settings, tools_for())
    assert json.loads(http.requests[0]["body"]) == {"text": name}


def test_another_body_is_sent_as_it_is(http, tools_for):
    settings = HttpRequestSettings(url=http.url, method="PUT", body="{alarm_name}!", content_type="text/plain")
    perform("http_request", attempt(alarm_name='"x"'), settings, tools_for())
    assert http.requests[0]["body"] == '"x"!'
    assert http.requests[0]["headers"]["Content-Type"] == "text/plain"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_an_answer_that_says_no_is_final(status, http, tools_for):
    http.answer = lambda _request: status
    with pytest.raises(ActionError, match=str(status)) as error:
        perform("http_request", attempt(), HttpRequestSettings(url=http.url), tools_for())
    assert not isinstance(error.value, TransientActionError)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_an_answer_that_says_later_is_worth_another_attempt(status, http, tools_for):
    http.answer = lambda _request: status
    with pytest.raises(TransientActionError, match=str(status)) as error:
        perform("http_request", attempt(), HttpRequestSettings(url=http.url), tools_for())
    assert not error.value.in_doubt


def test_a_redirect_is_not_followed(http, tools_for):
    http.answer = lambda request: 302 if request["path"] == "/hook" else 200
    with pytest.raises(ActionError, match="/elsewhere"):
        perform("http_request", attempt(), HttpRequestSettings(url=f"{http.url}/hook"), tools_for())
    assert [request["path"] for request in http.requests] == ["/hook"]


def test_a_receiver_that_is_not_there_is_no_doubt_and_one_that_falls_silent_is(tools_for):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TransientActionError) as error:
        perform("http_request", attempt(), HttpRequestSettings(url=f"http://127.0.0.1:{port}/"), tools_for())
    assert not error.value.in_doubt

    slow = receiver(lambda _request: threading.Event().wait(2) or 200)
    with slow as http, pytest.raises(TransientActionError) as error:
        perform("http_request", attempt(limit_s=0.3), HttpRequestSettings(url=http.url), tools_for())
    assert error.value.in_doubt


def test_an_address_that_the_egress_policy_refuses_is_never_called(http, tools_for):
    with pytest.raises(ActionError, match="VIGIL_EGRESS__ALLOW"):
        perform("http_request", attempt(), HttpRequestSettings(url=http.url), tools_for(allow=None))
    assert http.requests == []


# --- record_camera ----------------------------------------------------------------------------------------------


def test_an_order_is_open_while_the_alarm_is_active_and_closed_with_the_same_id(http, tools_for):
    tools = tools_for(control_url=http.url)
    settings = RecordCameraSettings(camera_id="cam-7", pre_s=20, post_s=30)
    perform("record_camera", attempt(), settings, tools)
    ended = AT + timedelta(minutes=2)
    perform("record_camera", attempt(action_id="abc-0-end", phase=Phase.END, ended_at=ended), settings, tools)
    first, last = http.requests
    assert first["method"] == "PUT"
    assert first["path"] == last["path"] == "/api/v1/orders/abc-0"
    opened, closed = json.loads(first["body"]), json.loads(last["body"])
    assert opened["camera_id"] == "cam-7"
    assert datetime.fromisoformat(opened["start"]) == AT - timedelta(seconds=20)
    assert opened["end"] is None
    assert opened["start"] == closed["start"]
    assert datetime.fromisoformat(closed["end"]) == ended + timedelta(seconds=30)
    assert "Motion at the gate" in opened["reason"]


@pytest.mark.parametrize(("status", "later"), [(503, True), (401, True), (404, True), (422, False), (400, False)])
def test_what_a_node_answers_decides_whether_the_order_is_tried_again(status, later, http, tools_for):
    http.answer = lambda _request: status
    with pytest.raises(ActionError) as error:
        perform("record_camera", attempt(), RecordCameraSettings(camera_id="c"), tools_for(control_url=http.url))
    assert isinstance(error.value, TransientActionError) is later


def test_a_camera_whose_node_is_not_known_yet_is_waited_for(tools_for):
    with pytest.raises(TransientActionError, match="no node is known"):
        perform("record_camera", attempt(), RecordCameraSettings(camera_id="c"), tools_for())


# --- email ------------------------------------------------------------------------------------------------------


class Mailbox:
    """Keeps the letters; `reply` is what it says to the text of each."""

    def __init__(self):
        self.letters = []
        self.reply = "250 kept"
        self.unknown = ()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address in self.unknown:
            return "550 no such box"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.letters.append(envelope)
        return self.reply


@pytest.fixture
def mail():
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as server:
        mailbox.port = server.getsockname()[1]  # aiosmtpd calls itself at the port it was given
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    yield mailbox
    controller.stop()


SETTINGS = EmailSettings(to=("guard@example.test", "boss@example.test"), subject="{alarm_name}", text="See {source_id}")


def test_a_letter_arrives_with_one_message_id_for_all_attempts(mail, tools_for):
    tools = tools_for(smtp_port=mail.port)
    for number in (1, 2):
        perform("email", attempt(number, repeated=number == 2), SETTINGS, tools)
    first, second = mail.letters
    assert first.rcpt_tos == ["guard@example.test", "boss@example.test"]
    text = first.content.decode()
    assert "Subject: Motion at the gate" in text
    assert "Message-ID: <abc-0@localhost>" in text
    assert "See cam-1" in text
    assert "may have been sent before" not in text
    assert "Message-ID: <abc-0@localhost>" in second.content.decode()
    assert "may have been sent before" in second.content.decode()


def test_a_name_with_line_ends_adds_no_header():
    letter = letter_of(attempt(alarm_name="Gate\r\nBcc: thief@example.test"), SETTINGS, "vigil@localhost")
    assert letter["Subject"] == "Gate Bcc: thief@example.test"
    assert letter["Bcc"] is None


@pytest.mark.parametrize(("reply", "later"), [("451 come again", True), ("554 never", False)])
def test_what_the_mail_server_says_decides_whether_the_letter_is_tried_again(reply, later, mail, tools_for):
    mail.reply = reply
    with pytest.raises(ActionError, match=reply.split()[1]) as error:
        perform("email", attempt(), SETTINGS, tools_for(smtp_port=mail.port))
    assert isinstance(error.value, TransientActionError) is later


def test_unknown_receivers_are_named_and_the_others_get_their_letter(mail, tools_for):
    mail.unknown = ("boss@example.test",)
    assert perform("email", attempt(), SETTINGS, tools_for(smtp_port=mail.port)) == "refused for boss@example.test"
    assert len(mail.letters) == 1
    mail.unknown = SETTINGS.to
    with pytest.raises(ActionError, match="no such box"):
        perform("email", attempt(), SETTINGS, tools_for(smtp_port=mail.port))


def test_a_mail_server_that_is_away_is_tried_again_without_doubt(tools_for):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TransientActionError, match="does not answer") as error:
        perform("email", attempt(), SETTINGS, tools_for(smtp_port=port))
    assert not error.value.in_doubt
