"""The whole path on real parts: requests in, predictions, dead letters, rows and pages out, read back and counted."""

import json
import re
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
    killed: list[int] = []
    for line in demo.stdout:
        lines.append(line)
        if PROGRESS.match(line) and not killed:
            (worker,) = [p for p in psutil.Process(demo.pid).children() if "worker" in p.cmdline()]
            worker.kill()
            killed.append(worker.pid)
    assert demo.wait(30) == 0, "".join(lines)
    assert killed, "the stream was over before the worker could be killed"
    summary = json.loads(lines[-1])
    assert summary["lost"] == summary["doubled"] == 0
    assert summary["predictions"] == summary["stored"] == 12_000 - 120
    assert sum(summary["broken"].values()) == 120
    assert summary["dead_letters"] == summary["broken"]
    assert _left_behind() == []


def _left_behind() -> list[str]:
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            file = process.environ().get("DRIFTLINE_SETTINGS", "")
            if Path(file).parent.name.startswith("driftline-demo-"):
                left.append(" ".join(process.cmdline()))
    return left
