"""An environment of its own for somebody else's library, so that it meets none of our pins."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs

_INSTALL_S_MAX = 300


class Absent(RuntimeError):
    """A library that does not install here; the text says why."""


def environment(pins: Path) -> Path:
    """Python of the environment that a file of pins describes, made on first use in the user's cache folder.

    Raises
    ------
    Absent
        It does not install: no network, or no build for this Python.
    """
    home = Path(platformdirs.user_cache_dir("driftline")) / "peers" / pins.stem
    python, made = home / "bin" / "python", home / "made-of.txt"
    if made.exists() and made.read_text() == pins.read_text():
        return python
    uv = Path(sys.executable).with_name("uv")
    for command in (["venv", "--clear", "--python", sys.executable, home], ["pip", "sync", "--python", python, pins]):
        try:
            done = subprocess.run(
                [uv, *command],
                capture_output=True,
                text=True,
                timeout=_INSTALL_S_MAX,
                check=False,
                env=dict(os.environ),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Absent(f"{pins.stem}: {error}") from error
        if done.returncode:
            raise Absent(f"{pins.stem}: {done.stderr.strip().splitlines()[-1]}")
    made.write_text(pins.read_text())
    return python
