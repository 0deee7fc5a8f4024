"""Forms follow the models: each field is asked for by what its schema says."""

import pytest

from broker.model.resources import Alarm, Camera, Profile, Server, User
from clients.system_manager.form import problems_of
from clients.system_manager.kinds import KINDS
from clients.system_manager.schema import HIDDEN, Kind, fields_of, label_of


def kinds(model):
    return {field.name: field.kind for field in fields_of(model)}


def test_every_field_of_every_resource_is_in_its_form_with_label_and_help():
    for kind in KINDS:
        fields = fields_of(kind.model)
        assert {field.name for field in fields} == set(kind.model.model_fields) - HIDDEN
        assert all(field.label and (field.help or field.kind is Kind.CONSTANT) for field in fields)


def test_each_field_gets_the_widget_that_fits():
    assert kinds(Camera) == {
        "id": Kind.TEXT,
        "name": Kind.TEXT,
        "node_id": Kind.REFERENCE,
        "enabled": Kind.TRUTH,
        "main_url": Kind.TEXT,
        "sub_url": Kind.TEXT,
        "username": Kind.TEXT,
        "audio": Kind.TRUTH,
        "recording": Kind.CHOICE,
        "buffer_s": Kind.INTEGER,
        "retention_h": Kind.INTEGER,
        "alarm_retention_h": Kind.INTEGER,
        "motion": Kind.GROUP,
    }
    alarm = kinds(Alarm)
    assert (alarm["trigger"], alarm["calendar"], alarm["actions"]) == (Kind.GROUP, Kind.CALENDAR, Kind.LIST)
    assert (alarm["description"], alarm["colour"]) == (Kind.LONG_TEXT, Kind.COLOUR)
    assert kinds(Profile)["rights"] is Kind.CHOICES
    assert kinds(Profile)["camera_ids"] is Kind.REFERENCES
    assert kinds(User)["profile_id"] is Kind.REFERENCE
    assert kinds(Server)["role"] is Kind.CHOICE


def test_bounds_and_units_come_from_the_model():
    field = next(field for field in fields_of(Camera) if field.name == "buffer_s")
    assert (field.minimum, field.maximum, field.unit, field.default) == (60, 86_400, "s", 600)
    motion = next(field for field in fields_of(Camera) if field.name == "motion")
    area = next(field for field in motion.fields if field.name == "area_percent")
    assert (area.unit, area.maximum) == ("%", 100)


def test_an_unknown_field_gets_a_readable_name():
    assert label_of("grace_period_s") == "Grace period"


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"id": "A!", "name": "x", "node_id": "n", "main_url": "rtsp://a/b"}, "id", "small letters"),
        ({"id": "a", "name": "", "node_id": "n", "main_url": "rtsp://a/b"}, "name", "needed"),
        ({"id": "a", "name": "x", "node_id": "", "main_url": "rtsp://a/b"}, "node_id", "Choose one"),
        ({"id": "a", "name": "x", "node_id": "n", "main_url": "http://a/b"}, "main_url", "RTSP"),
        ({"id": "a", "name": "x", "node_id": "n", "main_url": "rtsp://u:p@a/b"}, "main_url", "password"),
    ],
)
def test_problems_name_the_field_in_words_for_people(values, field, words):
    resource, problems = problems_of(Camera, values)
    assert resource is None
    assert [problem.field for problem in problems] == [field]
    assert words in problems[0].detail


def test_a_problem_inside_an_action_is_found_by_its_number():
    values = {
        "id": "a",
        "name": "A",
        "trigger": {"kind": "motion", "camera_id": "gate"},
        "actions": [
            {"kind": "record_camera", "camera_id": "gate"},
            {"kind": "email", "to": ["nobody"]},
            {"kind": "http_request", "url": "ftp://x"},
        ],
    }
    _, problems = problems_of(Alarm, values)
    assert {problem.field for problem in problems} >= {"actions.1.to.0", "actions.2.url"}
