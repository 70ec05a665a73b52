"""The whole system in one process tree: broker, store, page, workers, monitor; started in order, stopped in reverse."""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import psutil
import typer
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from driftline import compose
from driftline import settings as reading
from driftline.broker.ports import free_port, is_free
from driftline.settings import Settings
from driftline.tree import Child, RoleError, Tree
from streams import provision

RUN_FILE = "run.json"
SETTINGS_FILE = "settings.toml"
_LOOK_S = 0.2
_STOP_S = 60.0


class System:
    """Everything that the settings do not find elsewhere, as child processes.

    Parameters
    ----------
    settings
        With ``any_port`` every part listens where it is free, by chance, so that several systems can start at the same
        moment; else where the settings say. The roles' own ports are any that are free from `roles.port` on.

    Raises
    ------
    RoleError
        A port is taken.
    """

    def __init__(self, settings: Settings, any_port: bool = False) -> None:
        self._http = PoolManager(timeout=1.0, retries=False)
        self._any_port = any_port
        self.settings = settings
        self.kafka_port = self._port("kafka.port", settings.kafka.port, settings.embedded_kafka)
        self.store_port = self._port("clickhouse.port", settings.clickhouse.port, settings.embedded_store)
        self.page_port = self._port("page.port", settings.page.port)
        self._next_port = settings.roles.port
        self.status_urls: dict[str, str] = {}
        self.tree = Tree(settings.data_dir / "logs", reading.environ(self.settings_file))
        self.settings_file.write_text(reading.dump(self.resolved()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def settings_file(self) -> Path:
        """What the roles read: the settings as they were resolved, and nothing else."""
        return self.settings.data_dir.absolute() / SETTINGS_FILE

    def resolved(self) -> Settings:
        """The settings with the ports that were found."""
        kafka = self.settings.kafka.model_copy(update={"port": self.kafka_port})
        clickhouse = self.settings.clickhouse.model_copy(update={"port": self.store_port})
        page = self.settings.page.model_copy(update={"port": self.page_port})
        return self.settings.model_copy(update={"kafka": kafka, "clickhouse": clickhouse, "page": page})

    def start_log(self) -> float:
        """Start the broker, where it is ours, and see to the topics; returns the seconds it took."""
        began = time.perf_counter()
        if self.settings.embedded_kafka:
            child = self.tree.start("broker", ["broker"])
            self.tree.wait(child, lambda: _listens(self.kafka_port))
        settings = self.resolved()
        cluster = compose.cluster(settings)
        provision.create(cluster, compose.layout(settings))
        wrong = provision.check(cluster)
        if wrong:
            raise provision.TopicError("; ".join(wrong))
        return time.perf_counter() - began

    def start_roles(self) -> None:
        """Start store, workers, monitor and page; `wait_ready` tells when they answer."""
        self._role("store")
        for slot in range(self.settings.roles.workers):
            self._role("worker", str(slot))
        self._role("monitor")
        urls = msgspec.json.encode(list(self.status_urls.values())).decode()
        self.tree.start("page", ["page"], {"DRIFTLINE_PAGE__STATUS_URLS": urls})

    def wait_ready(self, deadline_s: float = 60.0) -> None:
        """Wait until every role says that it is ready and has its partitions."""
        for name, child in list(self.tree.children.items()):
            if name in self.status_urls:
                self.tree.wait(child, lambda name=name: self._has_partitions(name), deadline_s)  # type: ignore[misc]
        self.tree.wait(self.tree.children["page"], lambda: _listens(self.page_port), deadline_s)

    def wait_serving(self, model: str, deadline_s: float = 60.0) -> None:
        """Wait until every worker serves a model: a request that came before would be refused."""
        for name, child in list(self.tree.children.items()):
            if name.startswith("worker"):
                self.tree.wait(child, lambda name=name: model in (self.ask(name) or {}).get("serving", {}), deadline_s)  # type: ignore[misc]

    def status(self) -> dict[str, Any]:
        """Addresses, and the state of every role."""
        return {
            "kafka": self.settings.kafka.bootstrap or f"127.0.0.1:{self.kafka_port}",
            "clickhouse": self.settings.clickhouse.url or f"127.0.0.1:{self.store_port}",
            "page": f"http://{self.settings.page.host}:{self.page_port}",
            "roles": self.tree.states(),
            "urls": self.status_urls,
        }

    def write_run_file(self, pid: int) -> None:
        """Leave word for `status` and `down`, who never see half of it."""
        written = self.settings.data_dir / f"{RUN_FILE}.new"
        written.write_bytes(msgspec.json.encode({"pid": pid, **self.status()}))
        written.replace(self.settings.data_dir / RUN_FILE)

    def stop(self) -> None:
        """Stop everything that was started."""
        self.tree.stop()
        with suppress(FileNotFoundError):
            (self.settings.data_dir / RUN_FILE).unlink()

    def _role(self, role: str, slot: str = "0") -> Child:
        if self._any_port:
            self._next_port = free_port()
        while not is_free(self._next_port):
            self._next_port += 1
        name = f"{role}-{slot}" if role == "worker" else role
        args = [role, "--slot", slot, "--port", str(self._next_port)]
        child = self.tree.start(name, args)
        self.status_urls[name] = f"http://{self.settings.roles.host}:{self._next_port}/status"
        self._next_port += 1
        return child

    def _port(self, key: str, wanted: int, ours: bool = True) -> int:
        if self._any_port:
            return free_port()
        if not ours or is_free(wanted):
            return wanted
        raise RoleError(f"port {wanted} is taken by another process; stop that one, or set {key} to a free port")

    def _has_partitions(self, name: str) -> bool:
        said = self.ask(name)
        return said is not None and all(step["partitions"] for step in said["steps"])

    def ask(self, name: str) -> dict[str, Any] | None:
        """What a role says of itself, None while it does not answer."""
        return _ask(self._http, self.status_urls[name])


def _ask(http: PoolManager, url: str) -> dict[str, Any] | None:
    try:
        answer = http.request("GET", url)
    except HTTPError:
        return None
    return msgspec.json.decode(answer.data) if answer.status == 200 else None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(settings: Settings) -> None:
    """Run the system in the foreground until SIGINT or SIGTERM.

    Raises
    ------
    RoleError
        A role does not come up, or a tree over the same data directory runs already.
    """
    if found := read_run_file(settings.data_dir):
        raise RoleError(f"process {found['pid']} runs over {settings.data_dir} already; stop it with `driftline down`")
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    with System(settings) as system:
        system.start_log()
        system.start_roles()
        system.wait_ready()
        typer.echo(f"ready: {system.status()['page']}    Ctrl-C stops it")
        before = None
        while not told.wait(_LOOK_S):
            system.tree.look()
            if (now := system.tree.states()) != before:
                before = now
                system.write_run_file(os.getpid())


def stop(data_dir: Path) -> bool:
    """Stop what runs over a data directory and wait until it is gone; False where nothing does."""
    found = read_run_file(data_dir)
    if not found:
        return False
    process = psutil.Process(found["pid"])
    process.terminate()
    until = time.monotonic() + _STOP_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            raise RoleError(f"process {process.pid} has not ended after {_STOP_S:.0f} s; see {data_dir}/logs")
        time.sleep(_LOOK_S)
    return True


def running(data_dir: Path) -> dict[str, Any] | None:
    """What `up` left word of, and of every role the steps that it tells of itself; None where nothing runs."""
    found = read_run_file(data_dir)
    http = PoolManager(timeout=1.0, retries=False)
    if found:
        for name, url in found["urls"].items():
            found["roles"][name]["steps"] = (_ask(http, url) or {}).get("steps", [])
    return found


def read_run_file(data_dir: Path) -> dict[str, Any] | None:
    """What `up` left word of, None where nothing runs."""
    path = data_dir / RUN_FILE
    if not path.exists():
        return None
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return found if psutil.pid_exists(found["pid"]) else None
