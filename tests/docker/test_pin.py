"""Images are pinned by digest with a script: every image that others publish, and nothing else."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[2] / "docker"
DIGEST = "sha256:" + "ab" * 32
FAKE = f"""#!/bin/sh
case "$4" in
  *clickhouse*) test -z "$FAIL" || {{ echo "no such manifest" >&2; exit 1; }} ;;
esac
echo {DIGEST}
"""

spec = importlib.util.spec_from_file_location("pin", DOCKER / "pin.py")
assert spec is not None and spec.loader is not None
pin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of our files, and a docker that knows a digest."""
    for name in ("compose.yaml", "Dockerfile", "pin.py"):
        (tmp_path / name).write_text((DOCKER / name).read_text())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(FAKE)
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def run(folder: Path, *args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    path = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, folder / "pin.py", *args]
    return subprocess.run(command, env={**os.environ, **path, **environ}, capture_output=True, text=True, timeout=60)


def test_every_image_of_others_is_pinned_and_nothing_else_changes(folder: Path) -> None:
    before = {name: (folder / name).read_text() for name in ("compose.yaml", "Dockerfile")}
    lacking = run(folder, "--check")
    assert lacking.returncode == 1
    named = {line.split()[1] for line in lacking.stdout.splitlines()}
    compose = set(re.findall(r"^\s+image: (?!driftline)(\S+)$", before["compose.yaml"], re.MULTILINE))
    assert named == compose | {"python:3.12-slim"} and len(compose) == 3
    assert run(folder).returncode == 0
    for name, text in before.items():
        after = (folder / name).read_text()
        assert after.count("@" + DIGEST) == len(pin.unpinned(text)) > 0 and after.replace("@" + DIGEST, "") == text
    assert run(folder, "--check").returncode == 0
    assert run(folder).returncode == 0  # again: the digests are taken up anew
    assert (folder / "Dockerfile").read_text().count("@") == before["Dockerfile"].count("@") + 2


def test_where_one_is_not_to_be_had_nothing_is_written(folder: Path) -> None:
    before = (folder / "compose.yaml").read_text()
    done = run(folder, FAIL="1")
    assert done.returncode == 1 and "clickhouse/clickhouse-server" in done.stderr and "no such manifest" in done.stderr
    (folder / "bin" / "docker").unlink()
    without = run(folder, PATH=str(folder / "bin"))
    assert without.returncode == 1 and "needs docker" in without.stderr
    assert (folder / "compose.yaml").read_text() == before
