"""Empty databases at today's schema, fast: SQLite files are migrated once a run and copied from then on."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy.engine import make_url

from broker.database import migrate


def migrated(url, schema, scripts):
    """Bring a database up to date; an empty SQLite file becomes a copy of one that was migrated before."""
    path = make_url(url).database
    if url.startswith("sqlite") and not Path(path).exists():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_template(schema, scripts), path)
    else:
        migrate(url, schema, scripts)


@cache
def _template(schema, scripts):
    folder = Path(tempfile.mkdtemp(prefix="vigil-schema-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "empty.db"
    migrate(f"sqlite:///{path}", schema, scripts)
    assert [file.name for file in folder.iterdir()] == [path.name], "all of it lies in one file"
    return path
