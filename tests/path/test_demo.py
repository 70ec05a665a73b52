"""The whole path on real parts: requests in, predictions, dead letters, rows and pages out, read back and counted."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(420)

PROGRESS = re.compile(r"^ *[\d,]+ +[\d,]+ +\d+ ms")


@pytest.fixture
def demo() -> Iterator["subprocess.Popen[str]"]:
    """The demo over 12,000 requests, 1 in 100 broken in ten ways."""
    said = ["--rows", "12000", "--rate", "2000", "--broken-every", "100", "--json"]
    command = [sys.executable, "-m", "driftline", "demo", *said]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield process
    process.kill()
    process.wait()


def test_every_request_has_one_outcome_though_the_worker_is_killed(demo: "subprocess.Popen[str]") -> None:
    """kill -9 of the worker in the middle: it is started again, nothing is lost or doubled, nothing left behind."""
    assert demo.stdout is not None
    lines: list[str] = []
    home: Path | None = None
    for line in demo.stdout:
        lines.append(line)
        if PROGRESS.match(line) and not home:
            home = _home(demo)
            _roles(demo)["worker"].kill()
    assert demo.wait(30) == 0, "".join(lines)
    assert home, "the stream was over before the worker could be killed"
    summary = json.loads(lines[-1])
    assert summary["lost"] == summary["doubled"] == 0
    assert summary["predictions"] == summary["stored"] == 12_000 - 120
    assert sum(summary["broken"].values()) == 120
    assert summary["dead_letters"] == summary["broken"]
    assert summary["labels"] == summary["outcomes"] > 9_000
    assert _left_behind(home) == []


def test_ctrl_c_leaves_nothing_behind(demo: "subprocess.Popen[str]") -> None:
    """SIGINT in the middle of the stream: no process, no folder, no port stays."""
    assert demo.stdout is not None
    ports: list[int] = []
    for line in demo.stdout:
        ports += [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", line)]
        if PROGRESS.match(line):
            home = _home(demo)
            demo.send_signal(signal.SIGINT)
            break
    demo.stdout.read()
    assert demo.wait(60) != 0
    assert len(ports) == 3  # broker, store, page
    assert _left_behind(home) == []
    assert all(_is_free(port) for port in ports)


def _roles(demo: "subprocess.Popen[str]") -> dict[str, psutil.Process]:
    return {p.cmdline()[3]: p for p in psutil.Process(demo.pid).children() if "driftline" in p.cmdline()}


def _home(demo: "subprocess.Popen[str]") -> Path:
    return Path(_roles(demo)["worker"].environ()["DRIFTLINE_SETTINGS"]).parent


def _left_behind(home: Path) -> list[str]:
    left = [str(home)] if home.exists() else []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("DRIFTLINE_SETTINGS", "").startswith(str(home)):
                left.append(" ".join(process.cmdline()))
    return left


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
