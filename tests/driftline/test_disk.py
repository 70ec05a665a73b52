"""A full disk: `up` stays, says so once, starts nothing in vain, and goes on by itself."""

import errno
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from driftline.broker.ports import free_port
from driftline.cli import app
from driftline.roles import run_file
from driftline.settings import Settings
from driftline.settings_schema import ClickHouse, Kafka, Page, Roles
from driftline.supervisor import disk
from driftline.supervisor.processes import Child
from driftline.supervisor.startup import Silent
from driftline.supervisor.system import System


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Disk:
    """A disk whose room a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 10**12
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(10**12, 0, self.free))


class Heard(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def system(tmp_path: Path, room: Disk) -> System:
    settings = Settings(
        data_dir=tmp_path,
        kafka=Kafka(port=free_port()),
        clickhouse=ClickHouse(port=free_port()),
        page=Page(port=free_port()),
        roles=Roles(port=free_port()),
    )
    return System(settings, progress=Heard())


def test_what_is_said_names_the_place_and_what_is_missing(tmp_path: Path, room: Disk) -> None:
    assert disk.shortage(tmp_path) == ""
    room.free = 1_500_000
    folder = tmp_path / "not" / "there"
    assert disk.shortage(folder) == (
        f"disk full: {folder} has 1.5 MB left, 34 MB are needed; make room there: what waits goes on by itself"
    )


def test_it_is_told_once_and_so_is_the_room(tmp_path: Path, room: Disk) -> None:
    notes: list[str] = []
    watched = disk.Room(tmp_path, notes.append)
    for free in (10**12, 1_000, 1_000, 10**12, 10**12, 1_000):
        room.free = free
        assert bool(watched.lacks()) == (free == 1_000)
    assert [note.partition(":")[0] for note in notes] == [
        "disk full",
        f"there is room in {tmp_path} again; everything goes on",
        "disk full",
    ]


def test_a_run_file_that_cannot_be_written_ends_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.write_run_file() is True
    stood = (system.settings.data_dir / run_file.RUN_FILE).read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        assert system.write_run_file() is False
    assert (system.settings.data_dir / run_file.RUN_FILE).read_bytes() == stood
    assert system.write_run_file() is True
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EACCES, "no")))
        with pytest.raises(OSError, match="no"):
            system.write_run_file()


def test_a_role_that_ends_while_the_disk_is_full_does_not_end_the_start(system: System, room: Disk) -> None:
    system.tree.children["monitor"] = child = Child("monitor", [], {}, system.settings.data_dir / "logs")
    room.free = 0
    for _ in range(10):  # three ends would be the end of the start
        child._process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
        child._process.wait()
        child.state = "up"
        system._start_again(child)
    assert child.state in ("up", "restarting")
    child.stop()


def test_a_role_whose_log_cannot_be_opened_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child("monitor", ["--help"], {}, tmp_path)
    child.start()
    assert child._process is not None
    child._process.wait()

    def full(self: Child) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Child, "start", full)
        until = time.monotonic() + 20
        while "cannot be started" not in child.why:
            assert time.monotonic() < until
            child.look()
    child._due = 0.0
    child.look()
    assert child.pid is not None and child.state == "up"
    child.stop()


def test_status_says_so_where_the_run_file_cannot(tmp_path: Path, room: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    room.free = 0
    said = CliRunner().invoke(app, ["status"])
    assert said.stderr.startswith("! disk full: .driftline has 0.0 MB left")
