"""The table is complete, and what is made from it agrees with it."""

import re

import yaml

from broker import asyncapi, page
from broker.asyncapi import hears
from broker.declare import queue_statement, statements
from broker.memory import matches
from broker.model import messages as m
from broker.topology import DEAD, EXCHANGES, QUEUES, ROUTES, UNROUTABLE, queues_of, shared_queues

LAST = {UNROUTABLE, DEAD}


def all_messages(cls=m.Message):
    for child in cls.__subclasses__():
        yield from all_messages(child)
        if not child.__subclasses__():
            yield child


def test_every_message_has_exactly_one_route():
    assert sorted(route.message.__name__ for route in ROUTES) == sorted(
        cls.__name__ for cls in all_messages() if cls.__module__ == m.__name__
    )


def test_every_message_is_heard_by_some_queue():
    deaf = [route.message.kind() for route in ROUTES if not any(hears(queue, route) for queue in QUEUES)]
    assert deaf == []


def test_every_queue_hears_something():
    idle = [q.name for q in QUEUES if q.exchange not in LAST and not any(hears(q, route) for route in ROUTES)]
    assert idle == []


def test_every_exchange_is_used():
    assert {route.exchange for route in ROUTES} | LAST == set(EXCHANGES)
    assert {queue.exchange for queue in QUEUES} == set(EXCHANGES)


def test_every_blank_of_a_routing_key_can_be_filled():
    for route in ROUTES:
        blanks = set(re.findall(r"{(\w+)}", route.routing_key)) - {"lane", "partition"}
        assert blanks <= set(route.message.model_fields), route.message.kind()
        if "{partition}" in route.routing_key:
            assert "source_id" in route.message.model_fields


def test_each_queues_carry_the_name_of_their_node_and_one_queues_do_not():
    for queue in QUEUES:
        assert ("{node}" in queue.name) == (queue.audience == "each")


def test_names_are_unique_whatever_fills_the_blanks():
    readers = {queue.reader for queue in QUEUES}
    names = [q.name for reader in readers for q in queues_of(reader, node="node-1", partitions=3)]
    assert len(names) == len(set(names))
    assert len(shared_queues(3)) == 3 * 3 + 6


def test_topic_bindings_match_as_rabbitmq_does():
    for binding, key, taken in (
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "a.b", True),
        ("#.c", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.b", "a.b.c", False),
        ("*", "", True),
        ("*", "a.b", False),
    ):
        assert matches(binding, key) == taken, (binding, key)


def test_queues_are_quorum_queues_that_dead_letter_at_least_once():
    _exchanges, queues = statements(2)
    for queue in queues:
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-delivery-limit"] >= 100
    facts = next(queue for queue in queues if queue.name == "engine.triggers.high.0.v1")
    assert facts.arguments["x-dead-letter-strategy"] == "at-least-once"
    assert facts.arguments["x-overflow"] == "reject-publish"  # or at-least-once is silently none
    assert facts.arguments["x-single-active-consumer"] is True
    assert "x-message-ttl" not in facts.arguments


def test_a_queue_of_each_reader_makes_room_a_day_after_its_reader_has_gone():
    for queue in queues_of("gateway", node="gateway-1", partitions=2):
        assert queue_statement(queue).arguments["x-expires"] == 24 * 3600 * 1000


def test_the_asyncapi_document_is_valid_yaml_and_names_every_message():
    found = yaml.safe_load(asyncapi.document())
    assert found == asyncapi.specification()
    assert set(found["components"]["messages"]) == {f"{route.message.kind()}.v1" for route in ROUTES}

    def references(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    for reference in references(found):
        place = found
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_page_shows_every_row():
    text = page.document()
    for name in (
        *(exchange.name for exchange in EXCHANGES),
        *(route.message.kind() for route in ROUTES),
        *(queue.name for queue in QUEUES),
    ):
        assert f"`{name}`" in text
