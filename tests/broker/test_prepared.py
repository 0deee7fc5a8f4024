"""Statements on the driver's own cursor mean what they mean to SQLAlchemy, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from broker.database import UtcDateTime, is_away, open_database
from broker.prepared import Prepared, transaction

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(20), nullable=False),
    Column("at", UtcDateTime),
    Column("said", JSON),
    Column("on", Boolean),
)
ADD = Prepared(lambda _: insert(things), keys=("id", "name", "at", "said", "on"))
FIND = Prepared(lambda _: select(things).where(things.c.id >= bindparam("least"), things.c.name != "nobody"))
DELETE = Prepared(lambda _: delete(things).where(things.c.name == bindparam("of_name")).returning(things.c.id))

FIND_PID = Prepared(lambda _: select(func.pg_backend_pid().label("pid")))

HELSINKI = datetime(2026, 7, 1, 15, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
ONE = {"id": 1, "name": "one", "at": HELSINKI, "said": {"a": [1, "ä"]}, "on": True}
TWO = {"id": 2, "name": "two", "at": None, "said": [], "on": False}


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, tmp_path):
    postgresql = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if postgresql else f"sqlite:///{tmp_path}/test.db"
    engine = open_database(url, "public")
    metadata.create_all(engine)
    yield engine
    metadata.drop_all(engine)
    engine.dispose()


def test_values_come_back_as_they_were_given_and_as_sqlalchemy_gives_them(engine):
    with engine.begin() as connection:
        ADD.run(connection, ONE, TWO)
        found = FIND.rows(connection, {"least": 0})
        theirs = connection.execute(select(things)).all()
    assert [row._asdict() for row in found] == [ONE, TWO]
    assert found == [tuple(row) for row in theirs]
    assert found[0].at.tzinfo is UTC


def test_what_is_executed_belongs_to_the_transaction(engine):
    with engine.connect() as connection:
        with connection.begin() as transaction:
            ADD.run(connection, ONE)
            transaction.rollback()
        with connection.begin():
            assert FIND.rows(connection, {"least": 0}) == []


def test_no_rows_execute_nothing_and_those_returned_are_those_changed(engine):
    with engine.begin() as connection:
        ADD.run(connection)
        ADD.run(connection, ONE, TWO)
        assert [row.id for row in DELETE.rows(connection, {"of_name": "two"})] == [2]
        assert DELETE.rows(connection, {"of_name": "two"}) == []


def test_errors_are_sqlalchemys_and_tell_no_values(engine):
    with engine.begin() as connection:
        ADD.run(connection, ONE)
        with pytest.raises(IntegrityError) as caught:
            ADD.run(connection, ONE)
        connection.rollback()
    assert "Helsinki" not in str(caught.value)
    assert not is_away(caught.value)


def test_a_missing_parameter_is_a_mistake_that_names_it(engine):
    with engine.begin() as connection, pytest.raises(KeyError, match="least"):
        FIND.rows(connection, {})


def test_a_lost_connection_is_told_from_a_mistake_and_leaves_the_pool(postgres_url):
    engine = open_database(postgres_url, "public")
    metadata.create_all(engine)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError) as caught:
            FIND.rows(connection, {"least": 0})
        assert caught.value.connection_invalidated
        assert is_away(caught.value)
    with engine.begin() as connection:
        assert FIND.rows(connection, {"least": 0}) == []
    metadata.drop_all(engine)
    engine.dispose()


def test_a_transaction_is_one_on_both_databases_and_nothing_is_left_of_a_broken_one(engine):
    with transaction(engine) as connection:
        ADD.run(connection, ONE)
        answer = FIND.ask(connection, {"least": 0})
        ADD.run(connection, TWO)
        assert [row.id for row in answer()] == [1]
    with pytest.raises(IntegrityError):  # noqa: PT012, SIM117 - in a pipeline it shows at the end
        with transaction(engine) as connection:
            ADD.run(connection, {**ONE, "id": 3})
            ADD.run(connection, ONE)
    with pytest.raises(RuntimeError, match="ours"):  # noqa: PT012, SIM117 - what was begun before it is what counts
        with transaction(engine) as connection:
            ADD.run(connection, {**ONE, "id": 4})
            raise RuntimeError("a mistake of ours")
    with engine.begin() as connection:
        assert [row.id for row in FIND.rows(connection, {"least": 0})] == [1, 2]


def test_a_connection_lost_within_a_pipeline_is_told_from_a_mistake(postgres_url):
    engine = open_database(postgres_url, "public")
    metadata.create_all(engine)
    with pytest.raises(DBAPIError) as caught:  # noqa: PT012, SIM117 - in a pipeline it shows at the end
        with transaction(engine) as connection:
            pid = FIND_PID.rows(connection, {})[0].pid
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            ADD.run(connection, ONE)
    assert is_away(caught.value)
    with transaction(engine) as connection:
        assert FIND.rows(connection, {"least": 0}) == []
    metadata.drop_all(engine)
    engine.dispose()
