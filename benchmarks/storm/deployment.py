"""What the storm hits: `driftline up` in a folder of its own, started and asked as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from driftline.broker.ports import free_port

MODEL = "weathered"
_TRAINED = 2_000
_COMMAND_S_MAX = 600.0


class Deployment:
    """Broker, store, two workers, monitor and page over one folder.

    Parameters
    ----------
    folder
        An empty folder; everything that is written lies below it.
    more
        Further variables of its environment.
    """

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.kafka_port = free_port()
        ports = {
            "KAFKA__PORT": self.kafka_port,
            "CLICKHOUSE__PORT": free_port(),
            "PAGE__PORT": free_port(),
            "ROLES__PORT": free_port(),
        }
        self.environ = {
            **os.environ,
            **{f"DRIFTLINE_{name}": str(port) for name, port in ports.items()},
            "DRIFTLINE_ROLES__WORKERS": "2",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
            **(more or {}),
        }
        self._up: subprocess.Popen[bytes] | None = None

    def make_model(self) -> None:
        """Train a small network on a made table, and put it into the registry."""
        rng = np.random.default_rng(7)
        x, city = rng.normal(size=_TRAINED), rng.choice(["Rome", "Oslo"], _TRAINED)
        label = rng.random(_TRAINED) < 1 / (1 + np.exp(-2 * x))
        pq.write_table(pa.table({"x": x, "city": city, "label": label.astype(int)}), self.folder / "train.parquet")
        self.command("model", "init", MODEL, "--data", "train.parquet", "--label", "label", "--train")
        self.command("model", "add", f"packages/{MODEL}")

    def command(self, *args: str) -> str:
        """What a command of ours prints.

        Raises
        ------
        RuntimeError
            It fails; the text holds what it said.
        """
        done = subprocess.run(
            [sys.executable, "-m", "driftline", *args],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S_MAX,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"driftline {' '.join(args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    # The process tree.

    def start(self) -> None:
        """Start `driftline up`; `wait_ready` waits for it."""
        with (self.folder / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "driftline", "up"],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_ready(self, deadline_s: float = 180.0) -> None:
        """Wait until every part is up; an `up` that ended is started again.

        Raises
        ------
        TimeoutError
            It is not ready in time; the text holds the end of its log.
        """
        until(lambda: self.status().get("state") == "up", deadline_s, self.log_end, self.look)

    def look(self) -> None:
        """Start `up` again if it ended, as systemd would."""
        if self._up is None or self._up.poll() is not None:
            self.start()

    def status(self) -> dict[str, Any]:
        """What `up` says of itself in its run file; empty while there is none."""
        try:
            run = json.loads((self.folder / ".driftline" / "run.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return run if self._up is not None and run.get("pid") == self._up.pid else {}

    def idle(self) -> bool:
        """Whether every step of every role has read all that its topics hold, by `driftline status`."""
        steps = [
            step for role in json.loads(self.command("status", "--json"))["roles"].values() for step in role["steps"]
        ]
        return bool(steps) and all(step["lag_rows"] == 0 for step in steps)

    def up(self) -> psutil.Process | None:
        """The process of `driftline up`, None while it is not there."""
        return psutil.Process(self._up.pid) if self._up is not None and self._up.poll() is None else None

    def roles(self) -> dict[str, psutil.Process]:
        """Processes below `up` by name: ``worker-0``, ``monitor``, ..., and ``kafka``, the broker's own process."""
        found: dict[str, psutil.Process] = {}
        up = self.up()
        for process in up.children(recursive=True) if up else ():
            try:
                args, program = process.cmdline(), process.name()
            except (psutil.Error, FileNotFoundError):  # it ended a moment ago
                continue
            if "java" in program:
                found["kafka"] = process
            elif "driftline" in args:
                role, *rest = args[args.index("driftline") + 1 :]
                slot = rest[rest.index("--slot") + 1] if "--slot" in rest else ""
                found[f"{role}-{slot}" if role == "worker" else role] = process
        return found

    def stop(self) -> None:
        """SIGTERM, and wait; what remains is killed."""
        below = list(self.roles().values())
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            try:
                self._up.wait(60)
            except subprocess.TimeoutExpired:
                self._up.kill()
                self._up.wait()
        deadline = time.monotonic() + 10
        while (left := [process for process in below if _runs(process)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                process.kill()

    # Where plain clients connect.

    @property
    def store_folder(self) -> Path:
        """Where the embedded store's data and passwords lie."""
        return self.folder / ".driftline" / "store"

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return f"127.0.0.1:{self.kafka_port}"

    def log_end(self) -> str:
        """The end of every log."""
        logs = [self.folder / "up.log", *sorted((self.folder / ".driftline" / "logs").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n" + "\n".join(_last_lines(log)) for log in logs if log.exists())


def _runs(process: psutil.Process) -> bool:
    """Whether a process runs; psutil lets a FileNotFoundError out where it ends as it is asked."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, FileNotFoundError):
        return False


def until(
    holds: Callable[[], Any],
    deadline_s: float,
    otherwise: Callable[[], str],
    meanwhile: Callable[[], Any] = lambda: None,
) -> None:
    """Ask five times a second until something holds.

    Raises
    ------
    TimeoutError
        It does not hold in time; the text is what ``otherwise`` returns.
    """
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not after {deadline_s:.0f} s\n{otherwise()}")
        meanwhile()
        time.sleep(0.2)


def _last_lines(log: Path, lines: int = 12) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:]
