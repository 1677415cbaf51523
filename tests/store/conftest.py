"""The databases in the tests of the store: SQLite, and the PostgreSQL of `tests.support.servers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.servers import POSTGRESQL

if find_spec("sqlalchemy") is None:
    # `test_extra` reports that the extra is missing.
    collect_ignore_glob = [
        path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_extra.py"
    ]


@pytest.fixture(scope="session")
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of PostgreSQL for this test run only."""
    from sqlalchemy import create_engine, make_url, text

    name = f"cicd_common_test_{uuid4().hex}"
    engine = create_engine(POSTGRESQL.answering())
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    url = make_url(POSTGRESQL.url).update_query_dict({"options": f"-csearch_path={name}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


def _without_tables(url: str) -> str:
    from sqlalchemy import create_engine, make_url, text

    name = str(make_url(url).query["options"]).partition("=")[2]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return url


def _without_rows(url: str) -> str:
    from sqlalchemy import create_engine, delete

    from cicd_common.store import ExecutionStore
    from cicd_common.store.tables import metadata

    ExecutionStore(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    engine.dispose()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """A function that returns the URL of a database without rows; in PostgreSQL always the same database, emptied."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{uuid4().hex}.db"
    schema = request.getfixturevalue("postgres_schema")
    return lambda: _without_rows(schema)


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, which a test may change in any way."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/{uuid4().hex}.db"
        return
    schema = request.getfixturevalue("postgres_schema")
    yield _without_tables(schema)
    _without_tables(schema)


@pytest.fixture
def url(fresh: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return fresh()


@pytest.fixture
def store(url):
    """A store in an empty database."""
    from cicd_common.store import ExecutionStore

    with ExecutionStore(url) as store:
        yield store
