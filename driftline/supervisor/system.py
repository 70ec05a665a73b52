"""The whole system in one process tree: broker, store, page, workers, monitor; started and stopped side by side."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from urllib3 import PoolManager

from driftline import settings as reading
from driftline.roles import parts, run_file
from driftline.settings import Settings
from driftline.supervisor import disk, ports, role_log
from driftline.supervisor.part_ports import PartPorts, role_and_slot
from driftline.supervisor.ports import Port
from driftline.supervisor.processes import Child, RoleError, Tree
from driftline.supervisor.startup import Progress, Silent
from streams.kafka import admin
from streams.private import private_folder, tighten, write_private

SETTINGS_FILE = "settings.toml"
#: What we put into the data folder.
OURS = frozenset({"faust", "kafka", "logs", run_file.RUN_FILE, SETTINGS_FILE, "store"})
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
        self._progress = progress or Silent()
        self._stopping = stopping
        self.settings = settings
        self.ports = PartPorts(settings, any_port)
        if wrong := self.ports.problems():
            raise RoleError("; ".join(wrong))
        self.state = "starting"
        self.room = disk.Room(settings.data_dir, self._progress.note)
        self._up: set[str] = set()
        self._reasons: dict[str, str] = {}
        private_folder(settings.data_dir)
        for path in tighten(settings.data_dir, OURS):
            self._progress.note(f"  {path} could be read by other users; it cannot any more")
        self.tree = Tree(settings.data_dir / "logs", reading.environ(self.settings_file, settings))
        self._write_settings()

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

    def _write_settings(self) -> None:
        write_private(self.settings_file, reading.dump(self.resolved()))

    @property
    def status_urls(self) -> dict[str, str]:
        """Where each role says how it is."""
        host = self.settings.roles.host
        return {name: f"http://{host}:{port}/status" for name, port in self.ports.roles.items()}

    def resolved(self) -> Settings:
        """The settings with the ports that were found."""
        return self.ports.resolved()

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
        while True:
            try:
                self._see_to_topics()
            except Exception:
                if not self.room.lacks():
                    raise
            else:
                return time.perf_counter() - began
            self._wait(lambda: {"disk": shortage} if (shortage := self.room.lacks()) else {})

    def _see_to_topics(self) -> None:
        settings = self.resolved()
        cluster = parts.cluster(settings)
        admin.create(cluster, parts.layout(settings))
        waiting = admin.behind(cluster, admin.partition_counts(cluster))
        if wrong := [text for text in admin.check(cluster) if text not in waiting]:
            raise admin.TopicError("; ".join(wrong))
        for text in waiting:
            self._progress.note(f"  topics     {text}")

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
            workers = [name for name in self.ports.roles if name.startswith("worker")]
            reports = {name: self.ask(name) or {} for name in workers}
            return {
                name: f"it does not serve {model} yet"
                for name in workers
                if "version" not in reports[name].get("serving", {}).get(model, {})
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
            if self.room.lacks():  # nothing can start; that is no fault of what is waited for
                until = time.monotonic() + deadline_s
            if time.monotonic() > until:
                waiting_for = ", ".join(f"{name} ({why})" for name, why in waiting.items())
                raise RoleError(f"not ready after {deadline_s:.0f} s: {waiting_for}; see {self.settings.data_dir}/logs")
            if waiting != self._reasons:
                self._reasons = waiting
                self.write_run_file()
            self._progress.waiting(waiting)
            time.sleep(_START_LOOK_S)

    def _not_ready(self) -> dict[str, str]:
        """Parts that are not up yet, with what they wait for."""
        return {name: why for name in self.tree.children if name not in self._up and (why := self._reason(name))}

    def _reason(self, name: str) -> str:
        """Why a part is not up; empty once it is, which is told."""
        if self.tree.children[name].pid is None:  # another program may answer in its place
            return self.tree.children[name].why or "it has ended"
        if name in self.ports.roles:
            report = self.ask(name)
            if report is None:
                return "it does not answer yet"
            if not report.get("started", True):
                return "; ".join(report["waits"]) or "it starts"
            if lacking := [step["step"] for step in report["steps"] if not (step["partitions"] or step.get("waits"))]:
                return f"{', '.join(lacking)} has no partitions yet"
            for step in report["steps"]:
                if step.get("waits"):
                    self._progress.note(f"  {name:<10} {step['step']} waits: {step['waits']}")
        elif not self._listens(name):
            return "it does not answer yet"
        self._up.add(name)
        self._progress.part_up(name, self._address(name))
        return ""

    def _start_again(self, child: Child) -> None:
        """Start again what ended while it started.

        Raises
        ------
        RoleError
            That would not help.
        """
        if self.room.lacks():
            child.look()  # again and again, after pauses
            return
        if lost := self.ports.lost(child.name):
            self._move(child, lost)
            return
        child.note_end()
        if role_log.refused(child.output) or len(child.ends_ms) >= _START_ENDS_MAX:
            raise RoleError(f"{child.name} does not start: {child.why}; see {child.log_path}")
        self._progress.note(f"  {child.name:<10} ended ({child.why}); it is started again")
        child.restart()

    def _move(self, child: Child, lost: Port) -> None:
        """Give a part another port than one that somebody else took meanwhile, where no setting promises it."""
        if lost.key != "roles.port" and not self.ports.any_port:
            if child.state == "up":  # it has just ended
                self._progress.note(f"  {child.name:<10} {ports.taken(lost)}; it is tried again")
            child.look()
            return
        self._progress.note(f"  {child.name:<10} port {lost.number} was taken meanwhile; it takes another")
        if lost.key == "roles.port":
            self._start_role(*role_and_slot(child.name))
            again = ["page"] if "page" in self.tree.children else []
        else:
            again = list(self.tree.children)
            self.ports.give_another(lost)
            self._write_settings()
        for name in again:
            self.tree.children[name].stop()
        for name in again:
            self._start_page() if name == "page" else self.tree.children[name].restart()

    def _start_role(self, role: str, slot: str = "0") -> None:
        name = f"{role}-{slot}" if role == "worker" else role
        port = self.ports.next_for(name)
        self.tree.start(name, [role, "--slot", slot, "--port", str(port)])

    def _start_page(self) -> None:
        urls = msgspec.json.encode(list(self.status_urls.values())).decode()
        self.tree.start("page", ["page"], {"DRIFTLINE_PAGE__STATUS_URLS": urls})

    # While it runs.

    def status(self) -> dict[str, Any]:
        """Addresses, and the state of every role; while it starts, what is waited for, and `roles` is empty."""
        started = self.state == "up"
        settings = self.resolved()
        return {
            "state": self.state,
            "waits": self._reasons,
            "kafka": settings.kafka.bootstrap or f"127.0.0.1:{settings.kafka.port}",
            "clickhouse": settings.clickhouse.url or f"127.0.0.1:{settings.clickhouse.port}",
            "page": f"http://{settings.page.host}:{settings.page.port}{settings.page.root_path}",
            "roles": self.tree.states() if started else {},
            "starting": {} if started else self.tree.states(),
            "urls": self.status_urls,
        }

    def write_run_file(self) -> bool:
        """Tell `status` and `down` of it; False where the disk has no room for it, and the former file stands."""
        try:
            run_file.write(self.settings.data_dir, os.getpid(), self.status())
        except OSError as error:
            if not disk.is_full(error):
                raise
            return False
        return True

    def stop(self) -> None:
        """Stop everything that was started."""
        self.tree.stop()
        self._progress.done()
        with suppress(FileNotFoundError):
            (self.settings.data_dir / run_file.RUN_FILE).unlink()

    def ask(self, name: str) -> dict[str, Any] | None:
        """What a role says of itself, None while it does not answer."""
        return run_file.ask_status(self._http, self.status_urls[name])

    def _listens(self, name: str) -> bool:
        settings = self.resolved()
        if name == "broker":
            return not settings.embedded_kafka or ports.listens(ports.LOOPBACK, settings.kafka.port)
        return ports.listens(settings.page.host, settings.page.port)

    def _address(self, name: str) -> str:
        addresses: dict[str, str] = self.status()
        key = {"broker": "kafka", "store": "clickhouse", "page": "page"}.get(name)
        return addresses[key] if key else ""
