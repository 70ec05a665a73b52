"""A page of the documentation, followed as it stands: its blocks, and a shell in a folder as a user has it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from urllib3 import PoolManager

from driftline.broker.ports import free_port

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page: its language, which may be empty, and its text."""

    language: str
    text: str

    @property
    def line(self) -> str:
        """Commands, one after the other, as one line of a shell."""
        return " && ".join(self.text.replace("\\\n", " ").strip().splitlines())


def blocks(page: str, section: str = "") -> list[Block]:
    """Fenced blocks of a page, or of one section of it, in their order."""
    text = (ROOT / page).read_text()
    if section:
        text = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [Block(*block) for block in _BLOCK.findall(text)]


class Terminal:
    """A shell in a folder; the system's ports are free ones."""

    def __init__(self, folder: Path) -> None:
        ports = {name: str(free_port()) for name in ("KAFKA__PORT", "CLICKHOUSE__PORT", "PAGE__PORT", "ROLES__PORT")}
        self.folder = folder
        self.page = f"http://127.0.0.1:{ports['PAGE__PORT']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
        self.environ = {
            **kept,
            **{f"DRIFTLINE_{name}": port for name, port in ports.items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    @contextmanager
    def up(self, line: str) -> Iterator[None]:
        """What ends in `driftline up`, from when it is ready until it is gone."""
        with (self.folder / "up.log").open("w") as log:
            up = subprocess.Popen(["bash", "-c", line], cwd=self.folder, env=self.environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 300
            while "ready:" not in self.log():
                assert up.poll() is None and time.monotonic() < deadline, self.log()
                time.sleep(0.2)
            yield
        finally:
            self.run("driftline down")
            assert up.wait(60) is not None

    def run(self, line: str, code: int = 0) -> str:
        """Run a line; returns what it wrote."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout + done.stderr

    def log(self) -> str:
        """What `up` wrote so far."""
        file = self.folder / "up.log"
        return file.read_text() if file.exists() else ""

    def sentence(self) -> dict[str, Any]:
        """The page as JSON."""
        return json.loads(PoolManager(timeout=10.0).request("GET", f"{self.page}/api").data)
