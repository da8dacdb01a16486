"""Every store there is, opened the same way: what one promises all promise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from adapters.stores.postgres import Postgres
from adapters.stores.sqlite import Sqlite
from engine.storing import Store


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request, tmp_path) -> Iterator[Callable[[], Store]]:
    """Open one store as often as it is asked for; all are closed at the end."""
    stores: list[Store] = []
    url = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""

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
    numbers = itertools.count()
    folder = tmp_path_factory.mktemp("stores")
    url = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""

    def make() -> Store:
        number = next(numbers)
        if url:
            return Postgres({"url": f"{url}?schema=store_{number}"})
        return Sqlite({"path": folder / f"{number}.sqlite"})

    return make
