"""Every store there is, opened the same way: what one promises all promise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from adapters.stores.postgres import Postgres
from adapters.stores.sqlite import Sqlite
from engine.storing import Store

numbers = itertools.count()


@pytest.fixture(scope="session")
def one_database(postgres) -> str:
    """Make a database in which stores are told apart by schema: that costs less than a database each."""
    return postgres.database()


def new_place(request) -> str:
    """Return where a new store is in PostgreSQL; empty where a file is asked for."""
    if request.param != "postgres":
        return ""
    return f"{request.getfixturevalue('one_database')}?schema=store_{next(numbers)}"


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request, tmp_path) -> Iterator[Callable[[], Store]]:
    """Open one store as often as it is asked for; all are closed at the end."""
    stores: list[Store] = []
    url = new_place(request)

    def opening() -> Store:
        stores.append(Postgres({"url": url}) if url else Sqlite({"path": tmp_path / "store.sqlite"}))
        return stores[-1]

    yield opening
    for store in stores:
        store.close()


@pytest.fixture
def store(opened) -> Store:
    return opened()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def fresh(request, tmp_path_factory) -> Callable[[], Store]:
    """Make new, empty stores, for tests that try many examples."""
    folder = tmp_path_factory.mktemp("stores")

    def make() -> Store:
        url = new_place(request)
        return Postgres({"url": url}) if url else Sqlite({"path": folder / f"{next(numbers)}.sqlite"})

    return make
