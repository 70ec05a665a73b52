"""One server for all of xdist's workers: whoever asks first starts it, and stops it once nobody uses it any more."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

_USERS_S_MAX = 900.0


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[dict[str, object]]:
    """What is known of a server, under a lock that all workers share; what is changed is kept."""
    path = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(path.read_text()) if path.is_file() else {}
        yield known
        path.write_text(json.dumps(known))


def shared(
    config: pytest.Config,
    factory: pytest.TempPathFactory,
    name: str,
    start: Callable[[Path], AbstractContextManager[str]],
) -> str:
    """The address of a server that all workers of a run use, until the last of them has ended.

    Parameters
    ----------
    config
        pytest's. It lets go of the server after the last test, whose time-out must not run while others are waited for.
    factory
        pytest's; the workers' folders have one parent.
    name
        Of the server, among those that are shared.
    start
        Runs the server in a folder while the context lasts; gives the address, or whatever says where it is.
    """
    folder = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    server = None
    with _locked(folder, name) as known:
        if "address" not in known:
            server = start(folder / f"shared-{name}")
            known |= {"address": server.__enter__(), "users": 0}
        known["users"] += 1
        address = known["address"]
    config.add_cleanup(lambda: _let_go(folder, name, server))
    return address


def _let_go(folder: Path, name: str, server: AbstractContextManager[str] | None) -> None:
    with _locked(folder, name) as known:
        known["users"] -= 1
    if server is not None:
        _wait_until_unused(folder, name)
        server.__exit__(None, None, None)


def _wait_until_unused(folder: Path, name: str) -> None:
    """Wait for the other workers; who asks afterwards starts a server anew."""
    deadline = time.monotonic() + _USERS_S_MAX
    while time.monotonic() < deadline:
        with _locked(folder, name) as known:
            if not known["users"]:
                known.clear()
                return
        time.sleep(0.1)
