"""The same promises of SQLite and PostgreSQL: time, transactions, locks, inbox, migrations."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from broker.database import READ_ONLY, UtcDateTime, advisory_lock, is_away, migrate, now, open_database
from broker.inbox import accept, forget, inbox_table

metadata = MetaData()
moments = Table("moments", metadata, Column("id", Integer, primary_key=True), Column("at", UtcDateTime))
inbox = inbox_table(metadata)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/folder/test.db"


@pytest.fixture
def engine(url):
    engine = open_database(url, "public")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_times_come_back_aware_and_in_utc(engine):
    helsinki = datetime(2026, 7, 1, 15, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    with engine.begin() as connection:
        connection.execute(moments.insert(), [{"id": 1, "at": helsinki}, {"id": 2, "at": None}])
        found = connection.scalars(select(moments.c.at).order_by(moments.c.id)).all()
    assert found == [helsinki, None]
    assert found[0].tzinfo is UTC


@pytest.mark.parametrize(
    ("statements", "away"),
    [
        pytest.param(["SET TRANSACTION READ ONLY", "DELETE FROM moments"], True, id="read-only after a failover"),
        pytest.param(["DELETE FROM not_restored_yet"], True, id="a table that is being restored"),
        pytest.param(["SELECT pg_terminate_backend(pg_backend_pid())"], True, id="a restart"),
        pytest.param(["SET LOCAL lock_timeout = 1", "SELECT 1 / 0"], False, id="a mistake of ours"),
        pytest.param(["INSERT INTO moments (id) VALUES (1), (1)"], False, id="a row that is there"),
    ],
)
def test_states_of_postgresql_that_end_are_told_from_mistakes(postgres_url, statements, away):
    engine = open_database(postgres_url, "public")
    metadata.create_all(engine)
    with engine.begin() as connection:
        *before, last = statements
        for statement in before:
            connection.execute(text(statement))
        with pytest.raises(DBAPIError) as caught:
            connection.execute(text(last))
        connection.rollback()
    assert is_away(caught.value) == away
    engine.dispose()


def test_naive_times_are_refused(engine):
    with pytest.raises(StatementError, match="no time zone"), engine.begin() as connection:
        connection.execute(moments.insert(), {"id": 1, "at": datetime(2026, 1, 1)})  # noqa: DTZ001 - refused


def test_the_databases_clock_is_aware_and_close_to_ours(engine):
    with engine.begin() as connection:
        assert abs(now(connection) - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_inbox_takes_each_id_once_and_says_which_were_new(engine):
    with engine.begin() as connection:
        assert accept(connection, inbox, ["a", "b", "a"]) == {"a", "b"}
    with engine.begin() as connection:
        assert accept(connection, inbox, ["b", "c"]) == {"c"}
        connection.rollback()
    many = [f"id-{number}" for number in range(1000)]
    with engine.begin() as connection:
        assert accept(connection, inbox, ["c", *many]) == {"c", *many}
        assert accept(connection, inbox, []) == frozenset()


def test_the_inbox_forgets_what_is_old(engine):
    with engine.begin() as connection:
        accept(connection, inbox, ["a"])
        assert forget(connection, inbox, datetime.now(UTC) - timedelta(days=1)) == 0
        assert forget(connection, inbox, datetime.now(UTC) + timedelta(seconds=1)) == 1
        assert accept(connection, inbox, ["a"]) == {"a"}


def test_sqlite_transactions_of_many_threads_that_read_and_then_write_all_succeed(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/test.db", "test")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(moments.insert(), {"id": 1})

    def add(_number):
        for _ in range(10):
            with engine.begin() as connection:
                top = connection.scalar(text("SELECT max(id) FROM moments"))
                connection.execute(moments.insert(), {"id": top + 1})

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add, range(6)))
    with engine.execution_options(**READ_ONLY).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM moments")) == 61
    engine.dispose()


def test_readers_do_not_wait_for_a_writer(engine):
    with engine.begin() as writer:
        writer.execute(moments.insert(), {"id": 1})
        with engine.execution_options(**READ_ONLY).connect() as reader:
            assert reader.scalar(text("SELECT count(*) FROM moments")) == 0


def test_a_sqlite_database_keeps_what_it_has_committed(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/test.db", "test")
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()


def test_an_advisory_lock_is_held_by_one_transaction_at_a_time(postgres_url):
    engine = open_database(postgres_url, "public")
    with engine.begin() as first, engine.begin() as second:
        with advisory_lock(first, "sweeper") as mine:
            assert mine
        with advisory_lock(second, "sweeper") as theirs:
            assert not theirs
        with advisory_lock(second, "another") as theirs:
            assert theirs
    with engine.begin() as third, advisory_lock(third, "sweeper") as mine:
        assert mine
    engine.dispose()


REVISION = """
import sqlalchemy as sa
from alembic import op
revision = "{number}"
down_revision = {down}
def upgrade():
    op.create_table("thing{number}", sa.Column("id", sa.Integer, primary_key=True))
def downgrade():
    pass
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch, request):
    name = f"migrated{abs(hash(request.node.name)) % 10**8}"
    folder = tmp_path / name / "migrations"
    (folder / "versions").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "env.py").write_text("from broker.database import run_migrations\n\nrun_migrations()\n")
    (folder / "versions" / "0001.py").write_text(REVISION.format(number="0001", down=None))
    (folder / "versions" / "0002.py").write_text(REVISION.format(number="0002", down='"0001"'))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield f"{name}:migrations"
    sys.modules.pop(name, None)


def test_migrations_run_once_whoever_starts_them_and_each_schema_has_its_own_history(url, scripts):
    started = threading.Barrier(3)

    def run(schema):
        started.wait()
        migrate(url, schema, scripts)

    schemas = ["smserver", "smserver", "engine"] if url.startswith("postgresql") else ["smserver"] * 3
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(run, schemas))
    for schema in dict.fromkeys(schemas):
        engine = open_database(url, schema)
        with engine.connect() as connection:
            assert {"thing0001", "thing0002", f"alembic_version_{schema}"} <= set(inspect(connection).get_table_names())
            assert connection.scalar(text(f"SELECT version_num FROM alembic_version_{schema}")) == "0002"
        engine.dispose()


def test_a_schema_needs_a_plain_name(tmp_path):
    with pytest.raises(ValueError, match="no name for a schema"):
        open_database(f"sqlite:///{tmp_path}/x.db", "a; drop")


def test_only_the_owner_reads_the_files_of_a_sqlite_database(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/folder/test.db", "public")
    with engine.begin() as connection:
        metadata.create_all(connection)
    with engine.connect():
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "folder").iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(("test.db", "test.db-wal", "test.db-shm"), 0o600)


def test_what_a_database_refuses_is_not_quoted_in_the_error(engine):
    with pytest.raises(DBAPIError) as refused, engine.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:hash)"), {"hash": "argon2id-of-somebody"})
    assert "argon2id-of-somebody" not in str(refused.value)
