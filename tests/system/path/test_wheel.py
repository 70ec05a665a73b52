"""The wheel, installed by itself: all of its files are in it, and the demo runs from another folder and another home.

Only Driftline is installed anew. Its dependencies, several gigabytes, are those of the environment that runs the tests,
by a `.pth` file; the path of an editable installation there is not taken over by it.
"""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from streams.private import cache_folder

pytestmark = pytest.mark.timeout(570)

ROOT = Path(__file__).parents[3]
PACKAGES = ("streams", "inference", "drift", "dashboards", "driftline")
REQUESTS = 3_000


def run(*command: str | Path, **more: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    tracked = run("git", "ls-files", *PACKAGES, cwd=ROOT).splitlines()
    with zipfile.ZipFile(wheel) as files:
        held = {name for name in files.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    assert held == set(tracked)


def test_the_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    environment, home, work = (tmp_path / name for name in ("environment", "home", "work"))
    home.mkdir()
    work.mkdir()
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel)
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DRIFTLINE_", "PYTHON", "XDG_"))}
    # Kafka's jars, which a new home would download again.
    environ = {**kept, "HOME": str(home), "DRIFTLINE_CACHE_DIR": str(cache_folder())}
    modules = run(python, "-c", f"import {', '.join(PACKAGES)}; print(driftline.__file__)", cwd=work, env=environ)
    assert modules.startswith(str(site))
    said = run(
        environment / "bin" / "driftline", "demo", "--rows", str(REQUESTS), "--rate", "1000", "--json",
        cwd=work, env=environ,
    )  # fmt: skip
    summary = json.loads(said.splitlines()[-1])
    assert summary["complete"] and summary["requests"] == summary["predictions"] == summary["stored"] == REQUESTS
    assert list(work.iterdir()) == []
