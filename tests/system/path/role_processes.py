"""Roles as processes, for tests of the whole path."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from driftline.broker.ports import free_port


class Roles:
    """`driftline ROLE` as processes, each with its log in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, environ: Mapping[str, str]) -> int:
        """Start one; returns the port of its own HTTP."""
        port = free_port()
        command = [sys.executable, "-m", "driftline", role, "--slot", "0", "--port", str(port)]
        with (self.folder / f"{role}.log").open("w") as log:
            self._running[role] = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        return port

    def wait(self, true: Callable[[], Any], deadline_s: float = 120.0) -> None:
        """Wait until it is so; what the roles said last is told where it does not come, or where one of them ends."""
        until = time.monotonic() + deadline_s
        while not true():
            ended = [role for role, process in self._running.items() if process.poll() is not None]
            assert time.monotonic() < until and not ended, self._logs()
            time.sleep(0.2)

    def kill(self, role: str) -> None:
        """End one between any two lines."""
        process = self._running.pop(role)
        process.kill()
        process.wait(30)

    def stop(self) -> None:
        """Stop all at once, in order."""
        with ExitStack() as ending:
            for process in self._running.values():
                process.terminate()
                ending.callback(process.wait, 30)

    def _logs(self) -> str:
        return "\n".join(f"{role}:\n{(self.folder / f'{role}.log').read_text()[-3_000:]}" for role in self._running)


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    """Roles to be started; they end with the test."""
    roles = Roles(tmp_path)
    yield roles
    roles.stop()
