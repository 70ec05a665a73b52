"""An embedded store with the scene in it, and a page on it, once for all tests of this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import playing

from drift.store import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A client of a running store that holds the scene."""
    with playing.stored(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture(scope="session")
def page(store: Store) -> Iterator[str]:
    """The address of the page."""
    with playing.served(store) as url:
        yield url
