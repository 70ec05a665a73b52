"""The store as a process: serve until told to stop, or until the parent is gone."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from drift.store.server.server import StoreServer

_LOOK_S = 0.25


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    parent: int | None = None,
    ready: Callable[[tuple[str, int]], object] | None = None,
) -> None:
    """Serve from the main thread until SIGTERM or SIGINT; returns when everything is closed.

    Parameters
    ----------
    folder, host, port
        As `StoreServer`.
    parent
        Process id to live no longer than; None lives on its own. (Looked at, rather than asked of the kernel:
        the kernel's way is tied to the thread that started us, and to Linux.)
    ready
        Called once with the address, when clients can connect.
    """
    stop = threading.Event()
    with StoreServer(folder, host, port) as server:
        for number in (signal.SIGTERM, signal.SIGINT):  # After the engine, so that ours hold.
            signal.signal(number, lambda *_: stop.set())
        if ready is not None:
            ready(server.address)
        while not stop.wait(_LOOK_S):
            if parent is not None and os.getppid() != parent:
                return
