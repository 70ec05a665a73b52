"""The whole path on real parts: requests in, predictions, dead letters, rows and pages out, read back and counted."""

import json
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

pytestmark = pytest.mark.timeout(420)


def test_every_request_has_one_outcome_and_the_broken_ones_their_reason() -> None:
    """6,000 requests, 1 in 100 broken in ten ways: each broken one is a dead letter, nothing else is disturbed."""
    demo = [sys.executable, "-m", "driftline", "demo", "--rows", "6000", "--rate", "3000", "--broken-every", "100"]
    before = {p.pid for p in psutil.process_iter()}
    ran = subprocess.run([*demo, "--json"], capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["lost"] == summary["doubled"] == 0
    assert summary["predictions"] == summary["stored"] == 6000 - 60
    assert sum(summary["broken"].values()) == 60
    assert summary["dead_letters"] == summary["broken"]
    assert not _left_behind(before), "the demo left processes behind"


def _left_behind(before: set[int]) -> list[str]:
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in before and "driftline-demo-" in process.environ().get("DRIFTLINE_DATA_DIR", ""):
                left.append(" ".join(process.cmdline()))
    return left
