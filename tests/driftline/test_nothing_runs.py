"""Commands where no broker or store runs: one line, at once, whoever asks."""

import os
import socket
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from driftline.cli import app
from driftline.roles import parts, run_file
from driftline.settings import Settings
from streams.kafka.admin import TopicError
from streams.kafka.reach import CONNECT_S, down


@pytest.fixture
def closed() -> str:
    """An address on loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "args",
    [
        ["replay"],
        ["topics", "check"],
        ["topics", "create"],
        ["model", "route", "m", "v1"],
        ["model", "promote", "m", "v1"],
        ["model", "rollback", "m"],
        ["dead-letters", "list"],
        ["dead-letters", "show", "dead-letters/0/1"],
    ],
    ids=" ".join,
)
def test_a_command_says_so_and_does_not_wait(args: list[str], closed: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", closed)
    began = time.monotonic()
    said = CliRunner().invoke(app, args)
    # librdkafka asked for 15 s; the bound is wide because the machine may be busy.
    assert time.monotonic() - began < 10
    assert isinstance(said.exception, TopicError)
    assert str(said.exception).startswith(f"no Kafka at {closed}: does not answer (Connection refused)")
    assert "kafka.bootstrap" in str(said.exception)


def test_a_broker_that_is_being_started_is_waited_for_and_not_started_again(closed: str, tmp_path) -> None:
    """The second terminal is often quicker than the first."""
    settings = Settings(data_dir=tmp_path, kafka={"port": int(closed.rpartition(":")[2])})
    with pytest.raises(TopicError, match="`driftline up` starts one, or set"):
        parts.answering(settings)
    where = {"kafka": "k", "clickhouse": "c", "page": "p", "urls": {}, "starting": {}}
    run_file.write(tmp_path, os.getpid(), {"state": "starting", "waits": {}, "roles": {}, **where})
    with pytest.raises(TopicError, match="runs here and may still be starting it: wait until it says `ready`"):
        parts.answering(settings)


def test_a_store_that_is_away_is_one_line_on_stderr(closed: str, tmp_path) -> None:
    """In a process of its own: the driver's log goes to stderr when nobody has set logging up."""
    environ = os.environ | {"DRIFTLINE_CLICKHOUSE__PORT": closed.rpartition(":")[2]}
    command = [sys.executable, "-m", "driftline", "incidents", "list"]
    said = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stdout) == (1, "")
    (line,) = said.stderr.splitlines()
    assert line.startswith(f"driftline: the store at {closed} does not answer")


def test_the_embedded_broker_is_started_by_up(closed: str) -> None:
    with pytest.raises(TopicError, match="`driftline up` starts one"):
        parts.answering(Settings(kafka={"port": int(closed.rpartition(":")[2])}))


def test_one_server_that_answers_is_enough(closed: str, listening: str) -> None:
    assert down(f"{closed}, {listening}") == {}
    kafka = {"bootstrap": f"{closed},{listening}"}
    assert parts.answering(Settings(kafka=kafka)).bootstrap == f"{closed},{listening}"


def test_options_that_name_other_servers_are_those_asked(closed: str, listening: str) -> None:
    kafka = {"bootstrap": closed, "options": {"bootstrap.servers": listening}}
    assert parts.answering(Settings(kafka=kafka)).bootstrap == closed


@pytest.mark.parametrize("written", ["kafka", "PLAINTEXT://kafka.invalid", "SSL://kafka.invalid:9092x", "[::1]"])
def test_what_only_the_client_understands_is_left_to_it(written: str) -> None:
    assert down(written) == {}


def test_a_server_that_drops_packets_is_not_waited_for_long(monkeypatch) -> None:
    asked: list[float] = []

    def connect(address, timeout):
        asked.append(timeout)
        raise TimeoutError(110, "timed out")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert down("a.invalid:9092,b.invalid:9092") == dict.fromkeys(
        ("a.invalid:9092", "b.invalid:9092"), "does not answer (timed out)"
    )
    assert asked == [CONNECT_S, CONNECT_S]
