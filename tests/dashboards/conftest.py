"""An embedded store with the scene in it, once for all tests of this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import scene as the_scene

from drift.store import Store, StoreSettings, migrate
from drift.store.front import StoreProcess


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A client of a running store that holds the scene."""
    with StoreProcess(tmp_path_factory.mktemp("store")) as process:
        host, port = process.address
        settings = StoreSettings(host=host, port=port)
        migrate(settings)
        client = Store.connect(settings)
        the_scene.fill(client)
        yield client
        client.close()
