"""The process tree: roles as child processes, restarted when they end, stopped in order, never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import structlog

log = structlog.get_logger("driftline.tree")

_PAUSE_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
_STOP_S = 15.0
#: The variable that tells a role who started it.
PARENT = "DRIFTLINE_PARENT"


class RoleError(RuntimeError):
    """A role did not come up; the text carries the end of its log."""


class Child:
    """One role as a process: ``python -m driftline ARGS``, its output in a log file."""

    def __init__(self, name: str, args: list[str], environ: Mapping[str, str], log_dir: Path) -> None:
        self.name = name
        self.log_path = log_dir / f"{name}.log"
        self.restarts = 0
        self.state = "down"
        self._args = args
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._due = 0.0
        self._quick_ends = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def code(self) -> int | None:
        """What it ended with; negative for a signal."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process. Call from the main thread: on Linux the death signal is tied to the thread that forks."""
        environ = {**self._environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        with self.log_path.open("ab") as out:
            self._process = self._spawn(out, environ)
        self._started = time.monotonic()
        self.state = "up"

    def _spawn(self, out: IO[bytes], environ: dict[str, str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "driftline", *self._args]
        # A session of its own: Ctrl-C reaches the tree alone, which then stops the roles in order.
        return subprocess.Popen(  # noqa: S603
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environ, start_new_session=True
        )

    def look(self) -> None:
        """Start it again if it has ended, after a pause that grows while it keeps ending early."""
        if self._process is None or self._process.poll() is None:
            return
        now = time.monotonic()
        if self.state == "up":
            steady = now - self._started > _STEADY_S
            self._quick_ends = 0 if steady else self._quick_ends + 1
            self._due = now + _PAUSE_S[min(self._quick_ends, len(_PAUSE_S) - 1)]
            self.state = "restarting"
            log.warning("tree.ended", role=self.name, code=self._process.returncode, see=str(self.log_path))
        if now >= self._due:
            self.restarts += 1
            self.start()

    def stop(self, wait_s: float = _STOP_S) -> None:
        """SIGTERM, then after ``wait_s`` SIGKILL; returns when it is gone."""
        self.state = "down"
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            log.warning("tree.killed", role=self.name, after_s=wait_s)
            process.kill()
            process.wait()

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Tree:
    """Roles in starting order; stops them in reverse.

    Parameters
    ----------
    environ
        Environment of every role.
    """

    def __init__(self, log_dir: Path, environ: Mapping[str, str]) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self.children: dict[str, Child] = {}
        self._log_dir = log_dir
        self._environ = dict(environ)

    def start(self, name: str, args: list[str], more: Mapping[str, str] | None = None) -> Child:
        """Add and start a role; ``more`` are variables for it alone."""
        child = self.children[name] = Child(name, args, {**self._environ, **(more or {})}, self._log_dir)
        child.start()
        return child

    def wait(self, child: Child, ready: Callable[[], Any], deadline_s: float = 60.0) -> None:
        """Wait until ``ready()`` is true.

        Raises
        ------
        RoleError
            The process ended, or the deadline passed.
        """
        until = time.monotonic() + deadline_s
        while not ready():
            if child.pid is None:
                raise RoleError(
                    f"{child.name} ended at its start ({child.code}); the end of {child.log_path}:\n{child.tail()}"
                )
            if time.monotonic() > until:
                raise RoleError(
                    f"{child.name} was not ready after {deadline_s:.0f} s; the end of {child.log_path}:\n{child.tail()}"
                )
            time.sleep(0.05)

    def look(self) -> None:
        """Start again what has ended."""
        for child in self.children.values():
            child.look()

    def states(self) -> dict[str, dict[str, Any]]:
        """Pid, state and restarts by role."""
        return {
            name: {"pid": child.pid, "state": child.state, "restarts": child.restarts}
            for name, child in self.children.items()
        }

    def stop(self) -> None:
        """Stop all, the last started first; SIGINT waits until it is done."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for child in reversed(self.children.values()):
                child.stop()
        finally:
            signal.signal(signal.SIGINT, before)
