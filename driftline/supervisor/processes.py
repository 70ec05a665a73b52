"""The process tree: roles as child processes, restarted when they end, stopped in order, never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import structlog

from driftline.roles.process_identity import identity
from driftline.supervisor import role_log
from streams.clock import now_ms
from streams.private import private_folder

log = structlog.get_logger("driftline.supervisor.processes")

_PAUSE_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
#: How long roles have to end in order, side by side; then the broker, which is needed until they have.
_STOP_S = 5.0
_BROKER_STOP_S = 2.5
#: Ends of a role that are remembered, the newest ones.
_ENDS_MAX = 100
BROKER = "broker"
#: glibc gives threads heaps of their own, up to 8 a core, and memory freed in them seldom goes back to the system.
#: Under 10,000 hostile requests the page grew by 125 to 160 MB; with two heaps by 70 to 90. The image sets it, too.
MALLOC_SETTINGS = {"MALLOC_ARENA_MAX": "2"}
#: The variable that tells a role who started it.
PARENT = "DRIFTLINE_PARENT"


class RoleError(RuntimeError):
    """The system does not come up; one line that names the part, the reason, and where to look."""


class Child:
    """One role as a process: ``python -m driftline ARGS``, its output in a log file.

    Attributes
    ----------
    ends_ms
        When it ended without being told to, ms since 1970; the newest ones.
    why
        Why it ended last, in one line; empty where it never did.
    """

    def __init__(self, name: str, args: list[str], environ: Mapping[str, str], log_dir: Path) -> None:
        self.name = name
        self.args = args
        self.log_path = log_dir / f"{name}.log"
        self.restarts = 0
        self.state = "down"
        self.ends_ms: deque[int] = deque(maxlen=_ENDS_MAX)
        self.why = ""
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._started = 0.0
        self._due = 0.0
        self._quick_ends = 0
        self._identity: str | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def identity(self) -> str | None:
        """What tells its process from another that gets the same number later; see `process_identity`."""
        return self._identity if self.pid else None

    @property
    def code(self) -> int | None:
        """What it ended with; negative for a signal."""
        return self._process.poll() if self._process else None

    @property
    def output(self) -> str:
        """The end of what it has written since it was started last."""
        return role_log.read_end(self.log_path, self._log_start)

    def start(self) -> None:
        """Start the process. Call from the main thread: on Linux the death signal is tied to the thread that forks."""
        environ = {**MALLOC_SETTINGS, **self._environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        with self.log_path.open("ab") as out:
            self._log_start = out.tell()
            self._process = self._spawn(out, environ)
        self._identity = identity(self._process.pid)
        self._started = time.monotonic()
        self.state = "up"

    def _spawn(self, out: IO[bytes], environ: dict[str, str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "driftline", *self.args]
        # A session of its own: Ctrl-C reaches the tree alone, which then stops the roles in order.
        return subprocess.Popen(  # noqa: S603
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environ, start_new_session=True
        )

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(role_log.read_end(self.log_path).splitlines()[-lines:])

    def note_end(self) -> None:
        """Remember that it ended, when and why."""
        self.why = role_log.why_ended(self.output, self.code)
        self.ends_ms.append(now_ms())

    def restart(self) -> None:
        """Start it again."""
        self.restarts += 1
        self.start()

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
            self.note_end()
            _warn("tree.ended", role=self.name, why=self.why, code=self.code, see=str(self.log_path))
        if now >= self._due:
            try:
                self.restart()
            except OSError as error:  # a full disk, or no process to be had: it is tried again
                self.why = f"it cannot be started: {error}"
                self._due = now + _PAUSE_S[-1]

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and return at once."""
        self.state = "down"
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, wait_s: float = _STOP_S) -> None:
        """SIGTERM, then after ``wait_s`` SIGKILL; returns when it is gone."""
        self.ask_to_stop()
        process = self._process
        if process is None:
            return
        try:
            process.wait(max(0.0, wait_s))
        except subprocess.TimeoutExpired:
            _warn("tree.killed", role=self.name, why="it was slow to stop; nothing is lost, the next start takes it up")
            process.kill()
            process.wait()


class Tree:
    """Roles in starting order; the broker is stopped last.

    Parameters
    ----------
    environ
        Environment of every role.
    """

    def __init__(self, log_dir: Path, environ: Mapping[str, str]) -> None:
        private_folder(log_dir)
        self.children: dict[str, Child] = {}
        self._log_dir = log_dir
        self._environ = dict(environ)

    def start(self, name: str, args: list[str], more: Mapping[str, str] | None = None) -> Child:
        """Add and start a role.

        Parameters
        ----------
        name
            In `children`, in the log's name and in messages, as ``worker-0``.
        args
            Behind ``driftline``: the command and its options.
        more
            Environment variables for this role alone; they override the tree's.
        """
        child = self.children[name] = Child(name, args, {**self._environ, **(more or {})}, self._log_dir)
        child.start()
        return child

    def look(self) -> None:
        """Start again what has ended."""
        for child in self.children.values():
            child.look()

    def states(self) -> dict[str, dict[str, Any]]:
        """By role: pid, state and restarts; when it ended by itself, why it did last, and its log."""
        return {
            name: {
                "pid": child.pid,
                "identity": child.identity,
                "state": child.state,
                "restarts": child.restarts,
                "ends_ms": list(child.ends_ms),
                "why": child.why,
                "log": str(child.log_path),
            }
            for name, child in self.children.items()
        }

    def stop(self) -> None:
        """Stop all within `_STOP_S` + `_BROKER_STOP_S`: side by side, the broker last.

        What has not ended by then is killed, as a crash would: nothing is lost by it, and whoever waits for us (an
        init system, a container engine) would kill us otherwise, and all at once. SIGINT waits until it is done.
        """
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            roles = [child for child in self.children.values() if child.name != BROKER]
            for child in roles:
                child.ask_to_stop()
            until = time.monotonic() + _STOP_S
            for child in roles:
                child.stop(until - time.monotonic())
            if BROKER in self.children:
                self.children[BROKER].stop(_BROKER_STOP_S)
        finally:
            signal.signal(signal.SIGINT, before)


def _warn(event: str, **facts: Any) -> None:
    with suppress(OSError):  # our own output may lie on a disk that is full
        log.warning(event, **facts)
