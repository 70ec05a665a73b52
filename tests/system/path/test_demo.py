"""The whole path on real parts: requests in, predictions, dead letters, rows and pages out, read back and counted."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import browser
import psutil
import pytest

pytestmark = pytest.mark.timeout(420)

PROGRESS = re.compile(r"^ *[\d,]+ +[\d,]+ +\d+ ms")
REQUESTS, BROKEN_EVERY = 12_000, 100


class Demo:
    """`driftline demo` as a process; what it says is read line by line."""

    def __init__(self, *more: str) -> None:
        said = ["--rows", str(REQUESTS), "--rate", "2000", "--broken-every", str(BROKEN_EVERY), *more]
        command = [sys.executable, "-m", "driftline", "demo", *said]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `demo`)
        # A shell that starts the tests in the background has told them, and with them their children, to ignore Ctrl-C.
        hears = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True, **hears)
        self.lines: list[str] = []

    def until(self, pattern: str) -> str:
        """Read up to the line that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
        self.errors.seek(0)
        raise AssertionError(f"no line matches {pattern}:\n{''.join(self.lines)}\n{self.errors.read()[-4_000:]}")

    def roles(self) -> dict[str, psutil.Process]:
        """Its roles by name."""
        children = psutil.Process(self.process.pid).children()
        return {p.cmdline()[3]: p for p in children if "driftline" in p.cmdline()}

    def home(self) -> Path:
        """The folder that it keeps everything in."""
        return Path(self.roles()["worker"].environ()["DRIFTLINE_SETTINGS"]).parent

    def ports(self) -> list[int]:
        """Ports of broker, store and page, as it said."""
        return [int(port) for line in self.lines for port in re.findall(r"127\.0\.0\.1:(\d+)", line)]

    def interrupt(self) -> list[str]:
        """Ctrl-C; returns the rest of what it says, when it is gone."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        rest = self.process.stdout.read().splitlines()
        self.process.wait(60)
        return rest


@contextmanager
def demo(*more: str) -> Iterator[Demo]:
    one = Demo(*more)
    try:
        yield one
    finally:
        one.process.terminate()
        one.process.wait()
        one.errors.close()


def test_every_request_has_one_outcome_and_what_is_left_running_answers(tmp_path: Path) -> None:
    """kill -9 of the worker in the stream: nothing is lost or doubled. Kept running, it replays, is well, and shows."""
    with demo("--keep", "--json") as one:
        one.until(PROGRESS.pattern)
        home = one.home()
        one.roles()["worker"].kill()
        one.until("running until Ctrl-C")
        environ = {**os.environ, "DRIFTLINE_SETTINGS": str(home / "settings.toml")}
        assert _replayed(environ)
        assert _doctor(environ) == []
        if not browser.MISSING:
            _look(f"http://127.0.0.1:{one.ports()[2]}", tmp_path)
        summary = json.loads(one.interrupt()[-1])
    assert one.process.returncode == 0
    assert summary["lost"] == summary["doubled"] == 0
    broken = REQUESTS // BROKEN_EVERY
    assert summary["predictions"] == summary["stored"] == REQUESTS - broken
    assert sum(summary["broken"].values()) == broken and len(summary["broken"]) >= 6
    assert summary["dead_letters"] == summary["broken"]
    assert summary["labels"] == summary["outcomes"] > 9_000
    assert _left_behind(home) == []


def test_ctrl_c_in_the_stream_leaves_no_process_no_folder_and_no_port() -> None:
    with demo() as one:
        one.until(PROGRESS.pattern)
        home = one.home()
        one.interrupt()
        assert one.process.returncode != 0
        assert len(one.ports()) == 3
        assert _left_behind(home) == []
        assert all(_is_free(port) for port in one.ports())


def _run(environ: dict[str, str], *args: str) -> Any:
    command = [sys.executable, "-m", "driftline", *args, "--json"]
    return json.loads(subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout)


def _replayed(environ: dict[str, str]) -> bool:
    """Whether the past, run again, is what it was, bit for bit."""
    said = _run(environ, "replay")
    predictions, windows = said["predictions"], said["drift"]["windows"]
    assert predictions["compared"] == REQUESTS - REQUESTS // BROKEN_EVERY, said
    assert windows["equal"] == windows["served"] > 10, said
    return bool(predictions["equal"] == predictions["compared"])


def _doctor(environ: dict[str, str]) -> list[Any]:
    return [found for found in _run(environ, "doctor") if found["state"] == "fail"]


def _look(page: str, folder: Path) -> None:
    """Every page over the demo's own data draws, complains of nothing and asks no other host."""
    with browser.chromium() as window:
        for name, charts in {"/": 0, "/m/employment": 4, "/m/employment/c/RELP": 2, "/pipeline": 1}.items():
            window.until(partial(_draws, window, page + name, charts), f"{charts} charts of {name}")
            window.shoot(folder / f"{name.replace('/', '_')}.png")
        assert window.complaints() == []
        assert window.asked() == {page.removeprefix("http://")}


def _draws(window: browser.Browser, url: str, charts: int) -> bool:
    """Whether a page has its charts; where a role was too busy to answer, the next reload has them."""
    window.open(url)
    return len(window.find(".js-plotly-plot svg.main-svg")) >= charts


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
