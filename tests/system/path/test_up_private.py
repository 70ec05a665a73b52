"""A whole run of `up` below a path that is no ASCII, in the POSIX locale and with an open umask.

It starts, it ends in time, no file of it can be read by others, and no secret of its settings stands in any file,
output, answer or command line.
"""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from driftline.broker.ports import free_port
from driftline.roles import run_file

pytestmark = pytest.mark.timeout(900)

#: A planted text a setting: in the open in the environment, or behind a reference.
PLANTED = {
    "KAFKA__OPTIONS": ['{"sasl.password": "PLANTED-in-an-option", "ssl.key.password": "env:SOME_KEY"}'],
    "CLICKHOUSE__PASSWORD": ["PLANTED-of-the-store"],
    "SCHEMA_REGISTRY__URL": ["http://127.0.0.1:9/?token=PLANTED-in-a-query"],
    "SCHEMA_REGISTRY__PASSWORD": ["file:{folder}/a-secret"],
    "MONITOR__NOTIFY": ['["json://me:PLANTED-pager@127.0.0.1:9/PLANTED-path", "env:SOME_PAGER"]'],
    "MONITOR__CHAT": ['["json://PLANTED-chat@127.0.0.1:9/"]'],
}
BEHIND = {"SOME_KEY": "PLANTED-behind-env", "SOME_PAGER": "json://PLANTED-pager-behind-env@127.0.0.1:9/"}
COMMANDS = [
    "settings show",
    "settings show --json",
    "doctor",
    "doctor --json",
    "status",
    "status --json",
    "topics check",
    "model list",
    "incidents list",
    "dead-letters list",
]


def _seen(folder: Path, where: str) -> list[str]:
    """Files below a folder that hold something planted, and the text around it."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("a-secret", "environ.json"):
            for match in re.finditer(rb".{0,60}PLANTED[\w-]*", path.read_bytes()):
                found.append(f"{where} {path.relative_to(folder)}: {match[0]!r}")
    return found


def test_a_run_keeps_what_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "Größe, données"
    folder.mkdir()
    (folder / "a-secret").write_text("PLANTED-behind-file\n")
    data = folder / "d"
    ports = {name: str(free_port()) for name in ("KAFKA__PORT", "CLICKHOUSE__PORT", "PAGE__PORT", "ROLES__PORT")}
    given = {name: value.replace("{folder}", str(folder)) for name, [value] in PLANTED.items()}
    settings = {**ports, **given, "DATA_DIR": str(data), "REGISTRY": str(folder / "m")}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    environ |= {f"DRIFTLINE_{name}": value for name, value in settings.items()} | BEHIND | {"LC_ALL": "C"}
    command = [sys.executable, "-m", "driftline"]
    before = os.umask(0)
    try:
        with (folder / "up.log").open("w") as log:
            up = subprocess.Popen([*command, "up"], env=environ, stdout=log, stderr=log)
    finally:
        os.umask(before)
    tree: list[psutil.Process] = []
    try:
        _until(lambda: (run_file.read(data) or {}).get("roles"), up, folder)
        run = run_file.read(data) or {}
        tree = psutil.Process(up.pid).children(recursive=True)
        lines = {process.pid: " ".join(process.cmdline()) for process in [psutil.Process(up.pid), *tree]}
        assert [line for line in lines.values() if "PLANTED" in line] == []
        said = {}
        for name in COMMANDS:
            done = subprocess.run([*command, *name.split()], env=environ, capture_output=True, text=True, timeout=120)
            said[name] = done.stdout + done.stderr
            assert "Traceback" not in said[name], (name, said[name])
        pages = [run["page"] + path for path in ("/", "/api", "/api/pipeline", "/metrics")]
        for url in (*pages, *run["urls"].values()):
            said[url] = urlopen(url).read().decode()
        for name in ("worker-0", "monitor", "store"):  # each writes where its threads and tasks stand
            psutil.Process(run["roles"][name]["pid"]).send_signal(signal.SIGUSR1)
        log = data / "logs" / "monitor.log"
        _until(lambda: "most recent call first" in log.read_text(errors="replace"), up, folder)
        psutil.Process(run["roles"]["worker-0"]["pid"]).send_signal(signal.SIGABRT)
        _until(lambda: (run_file.read(data) or {})["roles"]["worker-0"]["restarts"] == 1, up, folder)
        assert [f"{name}: {text}" for name, text in said.items() if "PLANTED" in text] == []
        assert "***" in said["settings show"] and "env:SOME_KEY" in said["settings show"]
        assert _seen(folder, "running") == []
        assert _open_to_others(data) == []
        began = time.monotonic()
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
        took_s = time.monotonic() - began
        assert _seen(folder, "stopped") == []
        assert _open_to_others(data) == []
        assert [process.pid for process in tree if process.is_running()] == []
        # 10 s; longer where more than four others wait for each core.
        assert took_s < 10 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 4)
    finally:
        up.kill()
        up.wait()
        for process in tree:
            if process.is_running():
                process.kill()


def _open_to_others(folder: Path) -> list[str]:
    modes = {path: path.lstat().st_mode for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    return [f"{path} {stat.filemode(mode)}" for path, mode in modes.items() if mode & 0o077]


def _until(true: Callable[[], Any], up: "subprocess.Popen[bytes]", folder: Path, deadline_s: float = 150.0) -> None:
    until = time.monotonic() + deadline_s
    while not true():
        assert up.poll() is None and time.monotonic() < until, _logs(folder)
        time.sleep(0.2)


def _logs(folder: Path) -> str:
    found = [folder / "up.log", *(folder / "d" / "logs").glob("*.log"), folder / "d" / "kafka" / "broker.log"]
    return json.dumps(
        {path.name: path.read_text(errors="replace")[-2_000:] for path in found if path.exists()}, indent=1
    )
