"""A user's layouts: kept for that user alone, never overwritten unseen."""

import asyncio
import threading

import pytest
import sqlalchemy as sa

from broker.model.layouts import MAX_LAYOUTS, Layout, Tab
from servers.smserver import audit, layouts
from servers.smserver.audit import Author
from servers.smserver.errors import ConflictError, StaleError
from servers.smserver.store import MIGRATIONS, SCHEMA, Store
from servers.smserver.tables import layout
from tests.databases import migrated

DOORS = {"name": "Doors, front", "tabs": [{"name": "All", "cells": 4, "cameras": ["cam-1", None], "stream": "sub"}]}
ANNA, BERT = Author("anna"), Author("bert")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    migrated(url, SCHEMA, MIGRATIONS)
    store = Store(url)
    yield store
    store.close()


async def test_a_layout_comes_back_as_it_was_saved(admin):
    answer = await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=201)
    kept = await admin.ask("GET", "/me/layouts/Doors, front", status=200)
    assert kept.json() == DOORS
    assert kept.headers["ETag"] == answer.headers["ETag"]
    assert (await admin.get("/me/layouts"))["items"] == [DOORS]
    await admin.delete("/me/layouts/Doors, front")
    await admin.get("/me/layouts/Doors, front", status=404)


async def test_a_layout_belongs_to_one_user(site, admin):
    await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=201)
    olga = await site.operator(admin)
    assert (await olga.get("/me/layouts"))["items"] == []
    await olga.get("/me/layouts/Doors, front", status=404)
    await olga.ask("PUT", "/me/layouts/Doors, front", {**DOORS, "tabs": []}, status=201)
    assert await admin.get("/me/layouts/Doors, front") == DOORS
    await site.stranger().ask("GET", "/me/layouts", status=401)


async def test_two_windows_never_overwrite_each_other(admin):
    first = await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=201)
    tag = {"If-Match": first.headers["ETag"]}
    changes = [{**DOORS, "tabs": [{"name": f"Tab {number}"}]} for number in range(4)]
    answers = await asyncio.gather(
        *(admin.ask("PUT", "/me/layouts/Doors, front", change, headers=tag) for change in changes)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=428)
    await admin.ask("DELETE", "/me/layouts/Doors, front", status=412, headers=tag)
    await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=200, headers={"If-Match": "*"})
    await admin.delete("/me/layouts/Doors, front")
    await admin.ask("PUT", "/me/layouts/Doors, front", DOORS, status=412, headers=tag)


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("Doors", {"name": "Other"}, "name"),
        ("Doors", {"name": "Doors", "tabs": [{"name": "A", "cells": 17}]}, "tabs.0.cells"),
        ("Doors", {"name": "Doors", "tabs": [{"name": "A", "cells": 1, "cameras": ["a", "b"]}]}, "tabs.0"),
        ("Doors", {"name": "Doors", "tabs": [{"name": "A"}] * 33}, "tabs"),
        ("..", {"name": ".."}, "name"),
    ],
)
async def test_what_is_no_layout_is_refused_by_field(admin, name, body, field):
    path = "/me/layouts/" + name.replace(".", "%2E")
    answer = await admin.ask("PUT", path, body)
    assert answer.status_code in (404, 422)
    if answer.status_code == 422:
        assert answer.json()["field"] == field


async def test_changes_stand_in_the_audit_trail_and_a_removed_user_leaves_nothing(site, admin):
    olga = await site.operator(admin)
    await olga.ask("PUT", "/me/layouts/Doors, front", DOORS, status=201)
    rows = (await admin.get("/audit?limit=1"))["items"]
    assert [(row["user_id"], row["action"], row["kind"], row["object_id"]) for row in rows] == [
        ("olga", "create", "layout", "Doors, front")
    ]
    await admin.delete("/users/olga")
    with site.server._store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(layout)) == 0


def test_both_databases_keep_layouts_apart_and_in_step(store):
    value = Layout(name="Doors", tabs=(Tab(name="All", cells=9, cameras=("door", None)),))
    with store.write() as connection:
        revision, new = layouts.put(connection, ANNA, value, given=False, expected=None)
        layouts.put(connection, BERT, value, given=False, expected=None)
    assert new
    barrier, outcomes = threading.Barrier(4), []

    def save(number):
        barrier.wait()
        try:
            with store.write() as connection:
                changed = value.model_copy(update={"tabs": (Tab(name=f"Tab {number}"),)})
                layouts.put(connection, ANNA, changed, given=True, expected=revision)
        except StaleError:
            outcomes.append("stale")
        else:
            outcomes.append("saved")

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["saved", "stale", "stale", "stale"]
    with store.read() as connection:
        assert layouts.find(connection, "bert", "Doors").value == value
        assert audit.broken_at(connection) is None


def test_a_user_has_so_many_layouts_and_no_more(store):
    with store.write() as connection:
        for number in range(MAX_LAYOUTS):
            layouts.put(connection, ANNA, Layout(name=f"Layout {number}"), given=False, expected=None)
        with pytest.raises(ConflictError, match=f"There are {MAX_LAYOUTS}") as caught:
            layouts.put(connection, ANNA, Layout(name="One more"), given=False, expected=None)
        assert caught.value.remedy == "Delete one of them first."
        layouts.put(connection, BERT, Layout(name="One more"), given=False, expected=None)
