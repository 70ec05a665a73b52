"""The scene, stored and served: for the tests, and for a picture of a page; or of a page that runs already.

python tests/dashboards/playing.py model.png                # the model page over the scene, light, 1280 px
python tests/dashboards/playing.py fleet.png / --dark --width 380
driftline demo --keep                                       # docs/page.png, from the address that it prints:
python tests/dashboards/playing.py docs/page.png --at http://127.0.0.1:18080 --down-to '#panel-evidence'
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import browser
import scene

from dashboards.page import make_server
from drift.store import Store, migrate
from drift.store.server import StoreProcess


@contextmanager
def stored(folder: Path) -> Iterator[Store]:
    """A running embedded store that holds the scene."""
    with StoreProcess(folder) as process:
        settings = process.settings("driftline")
        migrate(settings)
        client = Store.connect(settings)
        scene.fill(client)
        yield client
        client.close()


@contextmanager
def served(store: Store) -> Iterator[str]:
    """The address of a page on that store, twenty seconds after the scene's end."""
    with running(make_server(store.query, scene.status, clock=lambda: scene.END_MS + 20_000)) as url:
        yield url


@contextmanager
def running(server: Any) -> Iterator[str]:
    """The address of a page's server while it runs in a thread, which ends with the process: browsers keep
    connections open, and waitress waits for them.
    """
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()


@contextmanager
def the_scene() -> Iterator[str]:
    """The address of a page on the scene."""
    with tempfile.TemporaryDirectory() as folder, stored(Path(folder)) as store, served(store) as url:
        yield url


def picture(path: Path, page: str, *, width: int, dark: bool, at: str, down_to: str) -> None:
    """Write a picture of a page."""
    with nullcontext(at) if at else the_scene() as url, browser.chromium() as window:
        window.open(url + page, width=width, dark=dark)
        window.shoot(path, down_to)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("page", nargs="?", default="/m/employment")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--at", default="", help="address of a page that runs already")
    parser.add_argument("--down-to", default="", help="where the picture ends, as a CSS selector")
    picture(**vars(parser.parse_args()))
