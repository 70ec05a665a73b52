"""The embedded store as a child process, for tests, benchmarks and notebooks."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from drift.store.passwords import OWNER, password_file
from drift.store.settings import StoreSettings
from streams.private import OTHERS

START_S_MAX = 60.0
STOP_S_MAX = 20.0


class StoreProcess:
    """Runs ``python -m drift.store.server`` and ends it; it never outlives this process.

    Parameters
    ----------
    folder, port
        As `StoreServer`.
    """

    def __init__(self, folder: str | Path, port: int = 0) -> None:
        self._folder = Path(folder)
        self._port = port
        self.address = ("", 0)

    def start(self) -> "StoreProcess":
        """Start it and wait until clients can connect.

        Raises
        ------
        RuntimeError
            It ended, or said nothing in time; its own words are on stderr.
        """
        command = [sys.executable, "-m", "drift.store.server", str(self._folder), "--port", str(self._port)]
        self._child = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            [*command, "--parent", str(os.getpid())], stdout=subprocess.PIPE, umask=OTHERS
        )
        assert self._child.stdout is not None
        late = threading.Timer(START_S_MAX, self._child.kill)
        late.start()
        line = self._child.stdout.readline()
        late.cancel()
        if not line:
            raise RuntimeError(f"the store over {self._folder} did not start (exit status {self._child.wait()})")
        host, port = json.loads(line)
        self.address = (host, port)
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def settings(self, database: str = "", user: str = OWNER) -> StoreSettings:
        """How to speak to it."""
        host, port = self.address
        file = str(password_file(self._folder, user))
        return StoreSettings(host=host, port=port, database=database, user=user, password_file=file)

    def stop(self) -> int:
        """Ask it to end, wait, and return its exit status."""
        self._child.terminate()
        return self._wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self._child.send_signal(signal.SIGKILL)
        self._wait()

    def _wait(self) -> int:
        try:
            return self._child.wait(STOP_S_MAX)
        finally:
            assert self._child.stdout is not None
            self._child.stdout.close()

    def __enter__(self) -> "StoreProcess":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            self.stop()
