"""`driftline up`: what ends is started again, and `down` leaves nothing behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from driftline.broker.ports import free_port
from driftline.roles import run_file

pytestmark = pytest.mark.timeout(240)


def test_a_killed_worker_comes_back_and_down_leaves_nothing(tmp_path: Path) -> None:
    ports = {name: str(free_port()) for name in ("KAFKA__PORT", "CLICKHOUSE__PORT", "PAGE__PORT", "ROLES__PORT")}
    told = {f"DRIFTLINE_{name}": port for name, port in ports.items()}
    environ = {
        **os.environ,
        **told,
        "DRIFTLINE_DATA_DIR": str(tmp_path / "d"),
        "DRIFTLINE_REGISTRY": str(tmp_path / "m"),
    }

    def driftline(*args: str) -> str:
        command = [sys.executable, "-m", "driftline", *args]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False).stdout

    def roles() -> dict[str, Any]:
        return (run_file.read(tmp_path / "d") or {}).get("roles", {})

    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen([sys.executable, "-m", "driftline", "up"], env=environ, stdout=log, stderr=log)
    try:
        _until(lambda: run_file.read(tmp_path / "d"), up, tmp_path)
        first = run_file.read(tmp_path / "d") or {}
        assert (first["state"], first["roles"]) == ("starting", {})
        assert (tmp_path / "up.log").read_text().startswith("starting broker, store, worker, monitor, page;")
        assert driftline("status").startswith("starting: waiting for ")
        _until(roles, up, tmp_path)
        lines = (tmp_path / "up.log").read_text().splitlines()
        assert {line.split()[0] for line in lines if line.endswith(" s")} >= {"broker", "store", "worker-0", "monitor"}
        before = roles()
        psutil.Process(before["worker-0"]["pid"]).kill()
        _until(lambda: roles()["worker-0"]["restarts"] == 1 and roles()["worker-0"]["pid"], up, tmp_path)
        assert {name for name, role in roles().items() if role["pid"] != before[name]["pid"]} == {"worker-0"}
        assert json.loads(driftline("status", "--json"))["roles"].keys() == before.keys()
        pids = [role["pid"] for role in roles().values()]
        assert driftline("down") == "stopped\n"
        assert up.wait(30) == 0
        assert [pid for pid in pids if psutil.pid_exists(pid)] == []
        assert json.loads(driftline("status", "--json")) is None
    finally:
        up.kill()
        up.wait()


def _until(true: Callable[[], Any], up: "subprocess.Popen[bytes]", folder: Path, deadline_s: float = 90.0) -> None:
    until = time.monotonic() + deadline_s
    while not true():
        assert up.poll() is None and time.monotonic() < until, (folder / "up.log").read_text()
        time.sleep(0.2)
