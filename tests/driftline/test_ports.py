"""A taken port is said with its setting and holder before anything starts; one that is lost later, in one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from driftline.broker.ports import free_port, is_free
from driftline.doctor import machine
from driftline.settings import Settings
from driftline.settings_schema import ClickHouse, Kafka, Page, Roles
from driftline.supervisor import ports, role_log
from driftline.supervisor.processes import Child, RoleError
from driftline.supervisor.startup import Silent
from driftline.supervisor.system import System


@pytest.fixture
def taken():
    """A port that this process listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        yield other.getsockname()[1]


def somewhere(folder: Path, **more: int) -> Settings:
    """Settings with free ports but for those that are named."""
    free = {name: more.get(name) or free_port() for name in ("kafka", "clickhouse", "page", "roles")}
    return Settings(
        data_dir=folder,
        kafka=Kafka(port=free["kafka"]),
        clickhouse=ClickHouse(port=free["clickhouse"]),
        page=Page(port=free["page"]),
        roles=Roles(port=free["roles"]),
    )


def test_a_taken_port_is_refused_by_the_name_of_its_setting_or_replaced(tmp_path: Path, taken: int) -> None:
    settings = Settings(data_dir=tmp_path, kafka=Kafka(port=taken))
    with pytest.raises(RoleError, match=f"port {taken} is taken.*kafka.port"):
        System(settings)
    assert System(settings, any_port=True).resolved().kafka.port != taken


@pytest.mark.parametrize("part", ["kafka", "clickhouse", "page"])
def test_every_port_is_looked_at_before_anything_starts(tmp_path: Path, taken: int, part: str) -> None:
    with pytest.raises(RoleError) as refused:
        System(somewhere(tmp_path, **{part: taken}))
    assert f"set {part}.port = " in str(refused.value) and "process" in str(refused.value)
    assert not (tmp_path / "logs").exists()


def test_two_parts_do_not_share_a_port(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(RoleError, match=f"page.port and kafka.port are both {port}"):
        System(somewhere(tmp_path, kafka=port, page=port))


def test_an_outgoing_connection_holds_a_port_as_well(taken: int) -> None:
    with socket.socket() as out:
        out.bind(("127.0.0.1", 0))
        out.connect(("127.0.0.1", taken))
        port = out.getsockname()[1]
        assert not is_free(port)
        assert ports.holder(port).text.startswith("an outgoing connection of ")


def test_an_address_that_is_not_loopback_is_looked_at_too(taken: int) -> None:
    assert not is_free(taken, "0.0.0.0") and not is_free(taken, "localhost") and not is_free(1, "203.0.113.7")
    assert is_free(free_port(), "0.0.0.0")


def test_the_default_ports_lie_below_what_the_kernel_gives_away() -> None:
    assert all(port.number < 32_768 for port in ports.wanted(Settings()))
    assert len({port.number for port in ports.wanted(Settings())}) == 4


def test_the_doctor_warns_of_a_port_that_outgoing_connections_may_take(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ports, "ephemeral", lambda: range(32_768, 61_000))
    settings = somewhere(tmp_path, kafka=39_092)
    found = [one for one in machine.ports(settings) if one.state == "warn"]
    assert [one.said.partition(" lies ")[0] for one in found] == ["kafka.port = 39092"]
    assert int(found[0].fix.rpartition(" ")[2]) < 32_768


def test_the_roles_pass_over_the_ports_of_others(tmp_path: Path, taken: int) -> None:
    first = taken
    settings = somewhere(tmp_path, roles=first, page=first + 1 if is_free(first + 1) else free_port())
    aside = {settings.page.port}
    port = ports.next_free(first, "127.0.0.1", aside)
    assert port > first and port not in aside


class Heard(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def ended(child: Child, command: list[str]) -> None:
    """Make a child look as if its role had been this command, and had ended."""
    with child.log_path.open("ab") as log:
        child._log_start = log.tell()
        child._process = subprocess.Popen(command, stdout=log, stderr=log)
    child._process.wait()


def test_a_port_that_is_lost_while_it_starts_is_replaced_or_told_in_a_line(
    tmp_path: Path, taken: int, monkeypatch
) -> None:
    system = System(somewhere(tmp_path), progress=Heard())
    monkeypatch.setattr(Child, "start", lambda child: None)
    system._start_role("monitor")
    child = system.tree.children["monitor"]
    system.ports.roles["monitor"] = taken
    ended(child, [sys.executable, "-c", "raise SystemExit('OSError')"])
    system._start_again(child)
    assert system.ports.roles["monitor"] != taken and system.tree.children["monitor"] is not child

    system._start_page()
    system.ports.given["page"] = taken
    page = system.tree.children["page"]
    page.state = "up"
    ended(page, [sys.executable, "-c", f"import socket; socket.create_server(('', {taken}))"])
    for _ in range(5):  # somebody's outgoing connection may hold it, and go away: the tree does not end for it
        system._start_again(page)
    [told] = [text for text in system._progress.notes if "page" in text]
    assert f"port {taken} is taken by " in told and "set page.port = " in told and "\n" not in told
    assert system._reason("page").startswith("OSError") and "page" not in system._up


def test_a_role_that_refuses_its_settings_ends_the_start_and_one_that_crashes_is_tried_again(
    tmp_path, monkeypatch
) -> None:
    system = System(somewhere(tmp_path))
    monkeypatch.setattr(Child, "start", lambda child: None)
    system._start_role("monitor")
    child = system.tree.children["monitor"]
    ended(child, [sys.executable, "-c", "raise TimeoutError('no stable offsets')"])
    system._start_again(child)
    assert (child.restarts, child.why) == (1, "TimeoutError: no stable offsets")
    ended(child, [sys.executable, "-c", "print('driftline: [watch] window_ms is 0'); raise SystemExit(1)"])
    with pytest.raises(RoleError) as refused:
        system._start_again(child)
    assert str(refused.value) == f"monitor does not start: [watch] window_ms is 0; see {child.log_path}"


LOGS = [
    ("", 1, "it ended with code 1 and said nothing"),
    ("hello\n", -9, "it was killed (signal 9)"),
    ("Traceback (most recent call last):\n  File x\n    y\nKeyError: 'id'\n", 1, "KeyError: 'id'"),
    ("Traceback ...\n  x\npkg.mod.Gap: gone\nsome later line\n", 1, "Gap: gone"),
    ("Traceback ...\n  x\nTimeoutError\n", 1, "TimeoutError"),
    ("Traceback ...\n  x\ndone\n", 1, "it ended with code 1 and said nothing"),
    ("note: this is no trace\n", 1, "it ended with code 1 and said nothing"),
    ("2026-01-01 [error    ] judge.crash   kind=Stuck why=away\n", 1, "judge: away"),
    ('2026-01-01 [\x1b[31merror\x1b[0m    ] judge.crash   why="it\'s away"\n', 1, "judge: it's away"),
]


@pytest.mark.parametrize(("text", "code", "why"), LOGS)
def test_why_a_role_ended_is_read_off_its_log(text, code, why):
    assert role_log.why_ended(text, code) == why


def test_the_roles_read_the_settings_as_they_were_resolved(tmp_path: Path) -> None:
    system = System(Settings(data_dir=tmp_path, registry="here"), any_port=True)
    text = system.settings_file.read_text()
    assert f"port = {system.resolved().kafka.port}" in text and 'registry = "here"' in text
