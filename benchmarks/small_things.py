"""What people wait for: the first word of a command, `model init`, `report`, `replay`; in CPU seconds and by the clock.

    python -m benchmarks.small_things [--repeats 5] [--rows 50000] [--without-system]

Every command is a process of its own. CPU is its user and system time with that of its children: nearly the same on a
busy machine (up to twice as much at a load of 10 on 2 cores, measured), where the clock says more of the others. The
first run of each command, which fills the disk's cache, is left out where it is run more than once. For the commands
that need a system the demo is started on ports of its own, sends its rows and stays up.

The first word is the first byte on a terminal, on stdout or stderr: the CPU of the command's own process until then.

Goals, by CPU: the first word of any command 1 s, and the whole of one that looks (`doctor` asks everything: 3 s);
`init` of 26,000 rows 15 s; `report` 10 s; `replay` of 50,000 rows 30 s.
"""

import argparse
import os
import platform
import pty
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from driftline.demo.model import DATA

INIT_ROWS = 26_000
SEED = 1
WORD_S, LOOK_S, DOCTOR_S, INIT_S, REPORT_S, REPLAY_S = 1.0, 1.0, 3.0, 15.0, 10.0, 30.0
_START_S_MAX = 300


class Run(NamedTuple):
    """Seconds of one run: CPU until the first word, then in all, and by the clock."""

    word: float
    cpu: float
    wall: float


class Timed(NamedTuple):
    """All runs of a command, the first one apart where there were more."""

    command: str
    goal: float
    runs: list[Run]

    def line(self) -> str:
        """First word: median; CPU: median, least and most; the clock: median; whether the goals were met."""
        word, cpu, wall = ([getattr(run, what) for run in self.runs] for what in Run._fields)
        return (
            f"{self.command:<34} {statistics.median(word):>10.2f} {statistics.median(cpu):>7.2f}  "
            f"({min(cpu):.2f} to {max(cpu):.2f}) {statistics.median(wall):>10.2f} {self.goal:>8.0f}"
            f"{'   MISSED' if self.missed else ''}"
        )

    @property
    def missed(self) -> bool:
        """Whether the first word or the whole came later than its goal."""
        return any(
            statistics.median(getattr(run, what) for run in self.runs) > goal
            for what, goal in (("word", WORD_S), ("cpu", self.goal))
        )


def timed(command: Sequence[str], goal: float, folder: Path, environ: Mapping[str, str], repeats: int) -> Timed:
    """Run a command of ours again and again."""
    runs = [_run(command, folder, environ) for _ in range(repeats)]
    named = list(takewhile(lambda word: not word.startswith("--"), command[1:]))
    shown = Timed(" ".join([command[0], *named]), goal, runs[1:] or runs)
    print(shown.line(), flush=True)
    return shown


def _run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Run:
    began = time.perf_counter()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "driftline", *command], cwd=folder, env=environ, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    word, shown = 0.0, b""
    while part := _read(ours):
        word = word or _cpu_s(process.pid)
        shown += part
    os.close(ours)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if b"Traceback" in shown:
        raise RuntimeError(f"driftline {' '.join(command)}: {shown.decode(errors='replace')}")
    cpu = used.ru_utime + used.ru_stime
    return Run(word or cpu, cpu, time.perf_counter() - began)


def _read(terminal: int) -> bytes:
    """What a terminal shows next; nothing where its other end is closed, which Linux calls an error."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def _cpu_s(pid: int) -> float:
    """CPU that a process that has not been waited for has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wide_table(rows: int) -> pa.Table:
    """Rows as of flights: numbers, counts, levels from 3 to 4,000, and a label that some of them tell."""
    rng = np.random.default_rng(SEED)
    columns: dict[str, np.ndarray] = {f"number_{n}": rng.normal(size=rows) * 10 for n in range(8)}
    columns |= {f"clock_{n}": rng.integers(0, 2_400, rows) for n in range(4)}
    columns |= {
        f"level_{levels}": np.array([f"L{n:04}" for n in range(levels)])[rng.integers(0, levels, rows)]
        for levels in (3, 16, 105, 4_000)
    }
    columns["late"] = columns["number_0"] + columns["clock_0"] / 200 + rng.normal(size=rows) * 5 > 8
    return pa.table(columns)


@contextmanager
def demo(rows: int, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The demo, run until its rows are through and kept up; yields its settings file."""
    command = [sys.executable, "-m", "driftline", "demo", "--keep", "--rows", str(rows)]
    with (folder / "demo.log").open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        until = time.monotonic() + _START_S_MAX
        while not (match := re.search(r"DRIFTLINE_SETTINGS=(\S+)", log_text := (folder / "demo.log").read_text())):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the demo did not come up:\n{log_text[-2_000:]}")
            time.sleep(0.5)
        yield match[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def alone(folder: Path, environ: Mapping[str, str], repeats: int) -> list[Timed]:
    """Commands for which nothing has to run."""
    employment = pq.read_table(DATA / "employment_reference.parquet").slice(0, INIT_ROWS)
    pq.write_table(employment, folder / "employment.parquet")
    pq.write_table(wide_table(INIT_ROWS), folder / "wide.parquet")
    words = ("--help", "settings show", "status", "topics check", "model list", "incidents list")
    done = [timed(word.split(), LOOK_S, folder, environ, repeats) for word in words]
    done.append(timed(["doctor"], DOCTOR_S, folder, environ, repeats))
    left = "id,year,prediction,predicted_probability"
    for name, label, more in (("employment", "employed", ["--exclude", left]), ("wide", "late", [])):
        given = ["--data", str(folder / f"{name}.parquet"), "--train", "--label", label, "--force", *more]
        done.append(timed(["model", "init", name, *given], INIT_S, folder, environ, min(repeats, 3)))
    return done


def against_a_system(rows: int, folder: Path, environ: Mapping[str, str], repeats: int) -> list[Timed]:
    """Commands that ask a broker and a store."""
    with demo(rows, folder, environ) as settings:
        environ = {**environ, "DRIFTLINE_SETTINGS": settings}
        words = ("status", "topics check", "model list", "incidents list", "dead-letters list")
        done = [timed(word.split(), LOOK_S, folder, environ, repeats) for word in words]
        done.append(timed(["doctor"], DOCTOR_S, folder, environ, repeats))
        table = str(DATA / "employment_reference.parquet")
        report = ["report", "--model", "employment", "--from", "2000-01-01", "--reference-data", table]
        done.append(timed(report, REPORT_S, folder, environ, min(repeats, 3)))
        done.append(timed(["replay"], REPLAY_S, folder, environ, min(repeats, 3)))
    return done


def main() -> int:
    """Print all; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of a command; the longer ones are run 3 times")
    parser.add_argument("--rows", type=int, default=50_000, help="requests that the demo sends")
    parser.add_argument("--without-system", action="store_true", help="leave out what needs a broker and a store")
    options = parser.parse_args()
    packages = ("numpy", "pandas", "pyarrow", "numba", "torch", "pydantic-settings", "typer", "evidently")
    print(f"python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, seed {SEED}, {options.rows:,} requests\n")
    print(f"{'driftline ...':<34} {'first word':>10} {'CPU s':>7}  {'(least to most)':<15} {'clock s':>9} {'goal':>8}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    environ |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))}
    with TemporaryDirectory(prefix="driftline-small-") as home:
        done = alone(Path(home), environ, options.repeats)
        if not options.without_system:
            print("\nbeside the demo, which has sent its rows")
            done += against_a_system(options.rows, Path(home), environ, options.repeats)
    missed = [command.command for command in done if command.missed]
    print(
        f"\nload at the end {os.getloadavg()[0]:.1f}; {'missed: ' + ', '.join(missed) if missed else 'all goals met'}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
