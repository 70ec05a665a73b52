"""The whole system in one process tree: broker, store, page, workers, monitor; started side by side, stopped in
reverse."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import typer
from urllib3 import PoolManager

from driftline import compose
from driftline import settings as reading
from driftline.broker.ports import free_port
from driftline.settings import Settings
from driftline.supervisor import ports, role_log, run_file
from driftline.supervisor.ports import Port
from driftline.supervisor.startup import Progress, Silent, Spoken
from driftline.tree import Child, RoleError, Tree
from streams import provision

SETTINGS_FILE = "settings.toml"
_LOOK_S = 0.2
_START_LOOK_S = 0.05
_START_S = 180.0
#: A role that crashes while it starts is started again so often; one that refuses its settings is not.
_START_ENDS_MAX = 3


class Interrupted(RuntimeError):
    """The start was called off."""


class System:
    """Everything that the settings do not find elsewhere, as child processes.

    Parameters
    ----------
    settings
        With ``any_port`` every part listens where it is free, by chance, so that several systems can start at the same
        moment; else where the settings say. The roles' own ports are any that are free from `roles.port` on.
    progress
        Hears how the start goes on.
    stopping
        Whether the start is called off.

    Raises
    ------
    RoleError
        A port is taken.
    """

    def __init__(
        self,
        settings: Settings,
        any_port: bool = False,
        progress: Progress | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._http = PoolManager(timeout=1.0, retries=False)
        self._any_port = any_port
        self._progress = progress or Silent()
        self._stopping = stopping
        self.settings = settings
        self.kafka_port = free_port() if any_port else settings.kafka.port
        self.store_port = free_port() if any_port else settings.clickhouse.port
        self.page_port = free_port() if any_port else settings.page.port
        self._fixed = {port.key: port for port in ports.wanted(self.resolved())}
        if not any_port and (wrong := list(ports.problems(list(self._fixed.values())))):
            raise RoleError("; ".join(wrong))
        self._next_port = settings.roles.port
        self._role_ports: dict[str, int] = {}
        self.state = "starting"
        self._up: set[str] = set()
        self._reasons: dict[str, str] = {}
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

    @property
    def status_urls(self) -> dict[str, str]:
        """Where each role says how it is."""
        host = self.settings.roles.host
        return {name: f"http://{host}:{port}/status" for name, port in self._role_ports.items()}

    def resolved(self) -> Settings:
        """The settings with the ports that were found."""
        kafka = self.settings.kafka.model_copy(update={"port": self.kafka_port})
        clickhouse = self.settings.clickhouse.model_copy(update={"port": self.store_port})
        page = self.settings.page.model_copy(update={"port": self.page_port})
        return self.settings.model_copy(update={"kafka": kafka, "clickhouse": clickhouse, "page": page})

    # The start.

    def start_broker(self) -> None:
        """Start the broker, where it is ours."""
        if self.settings.embedded_kafka:
            self.tree.start("broker", ["broker"])

    def start_log(self) -> float:
        """Start the broker, where it is ours, and see to the topics; returns the seconds it took."""
        began = time.perf_counter()
        if "broker" not in self.tree.children:
            self.start_broker()
        self._wait(lambda: {} if self._listens("broker") else {"broker": "it does not answer yet"})
        settings = self.resolved()
        cluster = compose.cluster(settings)
        provision.create(cluster, compose.layout(settings))
        waiting = provision.behind(cluster, provision.partition_counts(cluster))
        if wrong := [text for text in provision.check(cluster) if text not in waiting]:
            raise provision.TopicError("; ".join(wrong))
        for text in waiting:
            self._progress.note(f"  topics     {text}")
        return time.perf_counter() - began

    def start_roles(self) -> None:
        """Start store, workers, monitor and page; `wait_ready` tells when they answer. They wait for their topics."""
        self._start_role("store")
        for slot in range(self.settings.roles.workers):
            self._start_role("worker", str(slot))
        self._start_role("monitor")
        self._start_page()

    def wait_ready(self, deadline_s: float = _START_S) -> None:
        """Wait until every role says that it is ready and has its partitions, and the page listens.

        Raises
        ------
        RoleError
            A part refuses its settings, crashes again and again, or is not ready in time.
        Interrupted
            The start was called off.
        """
        self._wait(self._not_ready, deadline_s)
        self.state = "up"
        self._reasons = {}
        self._progress.done()

    def wait_serving(self, model: str, deadline_s: float = 60.0) -> None:
        """Wait until every worker serves a model: a request that came before would be refused."""

        def missing() -> dict[str, str]:
            workers = [name for name in self._role_ports if name.startswith("worker")]
            said = {name: self.ask(name) or {} for name in workers}
            return {
                name: f"it does not serve {model} yet"
                for name in workers
                if "version" not in said[name].get("serving", {}).get(model, {})
            }

        self._wait(missing, deadline_s)

    def _wait(self, reasons: Callable[[], dict[str, str]], deadline_s: float = _START_S) -> None:
        """Wait until nothing is waited for; what ends meanwhile is started again, or is why the start fails."""
        until = time.monotonic() + deadline_s
        while waiting := reasons():
            if self._stopping():
                raise Interrupted("stopped while it started")
            for child in list(self.tree.children.values()):
                if child.pid is None:
                    self._start_again(child)
            if time.monotonic() > until:
                told = ", ".join(f"{name} ({why})" for name, why in waiting.items())
                raise RoleError(f"not ready after {deadline_s:.0f} s: {told}; see {self.settings.data_dir}/logs")
            if waiting != self._reasons:
                self._reasons = waiting
                self.write_run_file(os.getpid())
            self._progress.waiting(waiting)
            time.sleep(_START_LOOK_S)

    def _not_ready(self) -> dict[str, str]:
        """Parts that are not up yet, with what they wait for."""
        return {name: why for name in self.tree.children if name not in self._up and (why := self._reason(name))}

    def _reason(self, name: str) -> str:
        """Why a part is not up; empty once it is, which is told."""
        if name in self._role_ports:
            said = self.ask(name)
            if said is None:
                return "it does not answer yet"
            if lacking := [step["step"] for step in said["steps"] if not (step["partitions"] or step.get("waits"))]:
                return f"{', '.join(lacking)} has no partitions yet"
            for step in said["steps"]:
                if step.get("waits"):
                    self._progress.note(f"  {name:<10} {step['step']} waits: {step['waits']}")
        elif not self._listens(name):
            return "it does not answer yet"
        self._up.add(name)
        self._progress.part_up(name, self._address(name))
        return ""

    def _start_again(self, child: Child) -> None:
        """Start again what crashed while it started, on another port if its own was lost to somebody else.

        Raises
        ------
        RoleError
            That would not help.
        """
        child.note_end()
        if lost := self._lost_port(child.name):
            if lost.key != "roles.port":
                raise RoleError(ports.taken(lost))
            self._progress.note(f"  {child.name:<10} port {lost.number} was taken meanwhile; it takes another")
            self._start_role(*_role_and_slot(child.name))
            if "page" in self.tree.children:
                self.tree.children["page"].stop()
                self._start_page()
            return
        if role_log.refused(child.output) or len(child.ends_ms) >= _START_ENDS_MAX:
            raise RoleError(f"{child.name} does not start: {child.why}; see {child.log_path}")
        self._progress.note(f"  {child.name:<10} ended ({child.why}); it is started again")
        child.restart()

    def _lost_port(self, name: str) -> Port | None:
        """The port of a part that has just ended, if somebody else listens there now."""
        keys = {"broker": ["kafka.port"], "store": ["clickhouse.port"], "page": ["page.port"]}.get(name, [])
        own = [self._fixed[key] for key in keys if key in self._fixed]
        if name in self._role_ports:
            own.append(Port("roles.port", self.settings.roles.host, self._role_ports[name]))
        return next((port for port in own if not port.free), None)

    def _start_role(self, role: str, slot: str = "0") -> None:
        if self._any_port:
            self._next_port = free_port()
        aside = {port.number for port in self._fixed.values() if port.key != "roles.port"}
        port = ports.next_free(self._next_port, self.settings.roles.host, aside | set(self._role_ports.values()))
        name = f"{role}-{slot}" if role == "worker" else role
        self._role_ports[name] = port
        self._next_port = port + 1
        self.tree.start(name, [role, "--slot", slot, "--port", str(port)])

    def _start_page(self) -> None:
        urls = msgspec.json.encode(list(self.status_urls.values())).decode()
        self.tree.start("page", ["page"], {"DRIFTLINE_PAGE__STATUS_URLS": urls})

    # While it runs.

    def status(self) -> dict[str, Any]:
        """Addresses, and the state of every role; while it starts, what is waited for, and `roles` is empty."""
        started = self.state == "up"
        return {
            "state": self.state,
            "waits": self._reasons,
            "kafka": self.settings.kafka.bootstrap or f"127.0.0.1:{self.kafka_port}",
            "clickhouse": self.settings.clickhouse.url or f"127.0.0.1:{self.store_port}",
            "page": f"http://{self.settings.page.host}:{self.page_port}",
            "roles": self.tree.states() if started else {},
            "starting": {} if started else self.tree.states(),
            "urls": self.status_urls,
        }

    def write_run_file(self, pid: int) -> None:
        """Tell `status` and `down` of it."""
        run_file.write(self.settings.data_dir, pid, self.status())

    def stop(self) -> None:
        """Stop everything that was started."""
        self._progress.done()
        self.tree.stop()
        with suppress(FileNotFoundError):
            (self.settings.data_dir / run_file.RUN_FILE).unlink()

    def ask(self, name: str) -> dict[str, Any] | None:
        """What a role says of itself, None while it does not answer."""
        return run_file.ask_status(self._http, self.status_urls[name])

    def _listens(self, name: str) -> bool:
        if name == "broker" and not self.settings.embedded_kafka:
            return True
        host, port = ("127.0.0.1", self.kafka_port) if name == "broker" else (self.settings.page.host, self.page_port)
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1" if host in ("", "0.0.0.0") else host, port)) == 0  # noqa: S104

    def _address(self, name: str) -> str:
        addresses: dict[str, str] = self.status()
        key = {"broker": "kafka", "store": "clickhouse", "page": "page"}.get(name)
        return addresses[key] if key else ""


def _role_and_slot(name: str) -> tuple[str, str]:
    """Role and slot of a part's name.

    >>> _role_and_slot("worker-1"), _role_and_slot("store")
    (('worker', '1'), ('store', '0'))
    """
    role, _, slot = name.partition("-")
    return role, slot or "0"


def run(settings: Settings) -> None:
    """Run the system in the foreground until SIGINT or SIGTERM.

    Raises
    ------
    RoleError
        A role does not come up, or a tree over the same data directory runs already.
    """
    if found := run_file.read(settings.data_dir):
        raise RoleError(f"process {found['pid']} runs over {settings.data_dir} already; stop it with `driftline down`")
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    progress = Spoken()
    with suppress(Interrupted), System(settings, progress=progress, stopping=told.is_set) as system:
        _start(system, progress)
        typer.echo(f"ready: {system.status()['page']}    Ctrl-C stops it")
        before = None
        while not told.wait(_LOOK_S):
            system.tree.look()
            if (now := system.tree.states()) != before:
                before = now
                system.write_run_file(os.getpid())


def _start(system: System, progress: Progress) -> None:
    """Start the roles beside the broker: most of their start is Python's imports, which wait for nothing."""
    settings = system.settings
    parts = [*(["broker"] if settings.embedded_kafka else []), "store", "worker", "monitor", "page"]
    progress.note(f"starting {', '.join(parts)}; data and logs in {settings.data_dir}")
    system.write_run_file(os.getpid())
    if settings.embedded_kafka:
        _have_jars(progress)
    system.start_broker()
    system.start_roles()
    system.start_log()
    system.wait_ready()


def _have_jars(progress: Progress) -> None:
    """Download Kafka here, where people see it, and not in the broker's log."""
    from driftline.broker import jars

    if not (jars.cache_dir() / jars.folder_name()).is_dir():
        progress.note(f"  fetching Apache Kafka {jars.KAFKA_VERSION} (45 MB, once)")
        jars.fetch()
