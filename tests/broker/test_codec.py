"""Golden files decode for ever, today's encoder writes what they hold, and bad input is named."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.codec import decode, encode, envelope, lane_of
from broker.errors import UnknownMessageError, UnreadableMessageError
from broker.model import messages as m
from broker.model.base import LANES, Priority
from broker.topology import ROUTES, partition_of
from broker.transport import Envelope
from tests.broker.samples import SAMPLES, T
from tests.broker.speaking import sealed

GOLDEN = Path(__file__).parents[1] / "golden"


def sample_envelope(message):
    return Envelope(
        message=message,
        id=f"golden-{message.kind().lower()}",
        source="dvrserver/node-1",
        time=T,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        lane=Priority.HIGH,
    )


def path_of(message):
    return GOLDEN / f"{message.kind()}.v{message.version}.json"


def test_every_message_has_a_sample():
    assert {type(sample) for sample in SAMPLES} == {route.message for route in ROUTES}


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.kind())
def test_every_message_has_a_golden_file_and_todays_encoder_writes_it(message):
    encoded = encode(sample_envelope(message), partitions=2)
    path = path_of(message)
    written = {"routing_key": encoded.routing_key, "headers": encoded.headers, "body": json.loads(encoded.body)}
    if not path.exists() and os.environ.get("CI") != "true":  # a new message: look at the file and commit it
        path.write_text(json.dumps(written, indent=2) + "\n")
    # Optional fields may have been added since; what older programs rely on is there, unchanged.
    assert contained(json.loads(path.read_text()), written)


def contained(old, new):
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and contained(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(contained, old, new))
    return old == new


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_golden_files_decode_for_ever(path):
    golden = json.loads(path.read_text())
    found = decode(golden["headers"], json.dumps(golden["body"]).encode())
    assert found.id == golden["headers"]["cloudEvents:id"]
    assert found.time == T
    assert contained(golden["body"], json.loads(found.message.model_dump_json()))


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.kind())
def test_fields_of_a_later_version_are_ignored_at_every_depth(message):
    golden = json.loads(path_of(message).read_text())

    def enrich(value, name=""):
        if isinstance(value, list):
            return [enrich(item) for item in value]
        if not isinstance(value, dict):
            return value
        added = {} if name in ("exceptions", "stream_ha1") else {"from_the_future": {"a": 1}}
        return {key: enrich(item, key) for key, item in value.items()} | added

    body = enrich(golden["body"])
    headers = golden["headers"] | {"from-the-future": "1"}
    assert decode(headers, json.dumps(body).encode()).message == message


words = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
triggers = st.builds(
    m.TriggerActivated,
    trigger=st.just("motion"),
    source_id=words,
    node_id=words,
    boot=st.integers(0, 2**31),
    sequence=st.integers(0, 2**40),
    occurred_at=instants,
    camera_time=st.none() | instants,
    cells=st.lists(st.integers(0, 4095), max_size=20).map(tuple),
)
reports = st.builds(
    m.HealthEventReported,
    node_id=words,
    event=st.sampled_from([event.value for event in m.HealthEvent]),
    subject=st.text(),
    detail=st.text(),
    at=instants,
)


@given(
    message=triggers | reports,
    id_=st.text(min_size=1, max_size=60),
    source=st.text(min_size=1, max_size=60),
    lane=st.sampled_from(LANES),
    time=instants,
    partitions=st.integers(1, 64),
)
def test_what_is_encoded_decodes_to_the_same(**drawn):
    message, id_, source, lane, time, partitions = drawn.values()
    said = Envelope(message=message, id=id_, source=source, time=time, lane=lane)
    encoded = encode(said, partitions=partitions)
    assert decode(encoded.headers, encoded.body) == said
    if isinstance(message, m.TriggerActivated):
        assert encoded.routing_key == f"trigger.{lane}.{partition_of(message.source_id, partitions)}"


@given(body=st.binary(max_size=200), headers=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_garbage_is_always_a_message_error(body, headers):
    with pytest.raises((UnknownMessageError, UnreadableMessageError)):
        decode(headers, body)


def test_an_error_names_the_field_and_carries_the_bytes():
    encoded = encode(sealed(), partitions=2)
    body = encoded.body.replace(b'"boot":1', b'"boot":-1')
    with pytest.raises(UnreadableMessageError, match="TriggerActivated is damaged: boot: ") as caught:
        decode(encoded.headers, body)
    assert caught.value.body == body
    with pytest.raises(UnknownMessageError, match="'TriggerActivated' of version '2'"):
        decode({**encoded.headers, "version": "2"}, encoded.body)
    with pytest.raises(UnreadableMessageError, match="header"):
        decode({**encoded.headers, "cloudEvents:time": "yesterday"}, encoded.body)


def test_only_routes_with_lanes_take_one():
    assert lane_of(sealed(lane=Priority.HIGH)) is Priority.HIGH
    fact = envelope(m.SessionRevoked(session_id="s", user_id="u", at=T), source="smserver", lane=Priority.HIGH)
    assert lane_of(fact) is Priority.LOW
