"""`up` on a disk that fills while it runs: it stays and says so, and goes on by itself when there is room again."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from driftline.broker.ports import free_port
from driftline.roles import run_file
from driftline.supervisor import disk
from streams.kafka.cluster import Cluster

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 300 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("nobody but root can mount a small disk; test_disk.py has the parts")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_up_outlives_a_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    ports = {name: str(free_port()) for name in ("KAFKA__PORT", "CLICKHOUSE__PORT", "PAGE__PORT", "ROLES__PORT")}
    data = small_disk / "d"
    settings = {**ports, "DATA_DIR": str(data), "REGISTRY": str(tmp_path / "m")}
    environ = {**os.environ, **{f"DRIFTLINE_{name}": value for name, value in settings.items()}}
    # Its own output lies on that disk, too.
    with (small_disk / "up.log").open("w") as out:
        up = subprocess.Popen([sys.executable, "-m", "driftline", "up"], env=environ, stdout=out, stderr=out)
    try:
        _until(lambda: (run_file.read(data) or {}).get("roles"), up, data)
        _fill(small_disk / "ballast")
        psutil.Process((run_file.read(data) or {})["roles"]["page"]["pid"]).kill()  # the run file must be written
        log = small_disk / "up.log"
        _until(lambda: disk.shortage(data), up, data)
        said = subprocess.run(
            [sys.executable, "-m", "driftline", "status"], env=environ, capture_output=True, text=True, timeout=120
        )
        assert said.stderr.startswith(f"! disk full: {data} has ") and "Traceback" not in said.stderr
        (small_disk / "ballast").unlink()
        _until(lambda: all(role["state"] == "up" for role in (run_file.read(data) or {})["roles"].values()), up, data)
        _until(lambda: (run_file.read(data) or {})["roles"]["page"]["restarts"] == 1, up, data)
        _until(lambda: _delivers(ports["KAFKA__PORT"]), up, data)
        assert "there is room in" in log.read_text()
        up.terminate()
        assert up.wait(60) == 0
    finally:
        up.kill()
        up.wait()


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        size = 1_048_576
        while size:
            try:
                file.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size //= 2


def _delivers(port: str) -> bool:
    producer = Cluster(bootstrap=f"127.0.0.1:{port}").producer()
    producer.produce("feedback", b"x")
    return bool(producer.flush(5) == 0)


def _until(true: Callable[[], Any], up: "subprocess.Popen[bytes]", data: Path, deadline_s: float = 300.0) -> None:
    until = time.monotonic() + deadline_s
    while not true():
        told = (data.parent / "up.log").read_text()
        assert up.poll() is None and time.monotonic() < until, (told, run_file.read_or_none(data))
        time.sleep(0.2)
