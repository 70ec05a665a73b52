"""A first run of a program in a process that may die, before it runs in one that may not.

The allow-list keeps out what reads raw memory. It cannot know that every kernel checks its arguments, nor what a
program costs: some kernels crash on weights of the wrong shape, and a graph of two operators can ask for a terabyte.
All shapes of an archive's program follow from the shape of its input, which is always one of the package's batches, so
a run on one batch of each shape tells what any run does: `inference.backends.trial_process` does it, with bounds on
memory, time and files, without this process's environment, and with a check of the arguments where a kernel is known to
have none. `inference.backends.onnx_trial_process` does the same for an ONNX graph.

A program that has passed is remembered by the hash of its bytes, so each machine tries it once. A GPU is not tried: on
one, an index outside of its tensor ends the process, as it does for a model of anybody's own.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol

from inference.backends.errors import ArtefactError
from streams.private import cache_folder, private_folder, write_private

#: Beside the library's own and the weights.
MEMORY_BYTES_MAX = 4 * 2**30
CPU_S_MAX = 120
WALL_S_MAX = 600
#: Raise it when the checks change: what passed before is tried again.
_RULES = 1
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LANG", "LC_ALL", "TZ")
_OUT_OF_TIME = (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM)


class Program(Protocol):
    """What can be tried: a program as one string of bytes, and how many features a row of it has."""

    @property
    def archive(self) -> bytes:
        """All of it."""
        ...

    @property
    def features(self) -> int:
        """Columns of the matrix."""
        ...


class Runner(NamedTuple):
    """What runs a kind of programs: the module of the process, and the library whose version a trial depends on."""

    module: str
    library: str


TORCH = Runner("inference.backends.trial_process", "torch")
ONNX_RUNTIME = Runner("inference.backends.onnx_trial_process", "onnxruntime")


def try_out(program: Program, shapes: Sequence[int], file: Path, runner: Runner = TORCH) -> None:
    """Run a program once in a process of its own.

    Parameters
    ----------
    program
        As `inference.backends.pt2_archive.read_program` gives it, or `inference.backends.onnx_program`.
    shapes
        Rows of a batch, ascending.
    file
        What a refusal calls it.
    runner
        What runs it.

    Raises
    ------
    ArtefactError
        It crashes, takes too much memory or time, fails on blank rows, or does what only a hostile program does.
    """
    passed, rows = _passed(program, shapes, runner), shapes[-1]
    if passed.exists():
        return
    path = os.pathsep.join(filter(None, sys.path))
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    numbers = (",".join(map(str, shapes)), program.features, MEMORY_BYTES_MAX, CPU_S_MAX)
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and numbers
            [sys.executable, "-P", "-m", runner.module, *map(str, numbers)],
            input=program.archive,
            capture_output=True,
            env=environment | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            timeout=WALL_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArtefactError(_slow(file, rows)) from None
    why = verdict(done.returncode, done.stdout, file, rows, done.stderr)
    if why:
        raise ArtefactError(why)
    with suppress(OSError):  # a home that cannot be written: it is tried at every start
        private_folder(passed.parent)
        write_private(passed, b"")


def verdict(code: int, stdout: bytes, file: Path, rows: int, stderr: bytes = b"") -> str:
    """Say why a program is refused by how its trial ended; empty where it passed.

    Parameters
    ----------
    code
        How the process ended, as `subprocess` says it: below 0 by that signal.
    stdout, stderr
        ``passed`` or the reason, as the process wrote it; and what Python wrote where it failed to.
    file, rows
        What a refusal calls the program, and rows of the batch that it was tried on.

    >>> verdict(-11, b"", Path("m.pt2"), 512)
    'm.pt2: a batch of 512 rows ends the process that runs it (SIGSEGV); export it anew'
    """
    if code == 0 and stdout.strip() == b"passed":
        return ""
    if code < 0 and -code in _OUT_OF_TIME:
        return _slow(file, rows)
    if code < 0:
        name = signal.Signals(-code).name
        return f"{file}: a batch of {rows} rows ends the process that runs it ({name}); export it anew"
    last_line = b"".join(stderr.splitlines()[-1:]).decode(errors="replace")
    text = stdout.decode(errors="replace").strip() or f"its first run ended with code {code} ({last_line})"
    return f"{file}: {text[:400]}; export it anew, or do not use it"


def _slow(file: Path, rows: int) -> str:
    return f"{file}: a batch of {rows} rows takes more than {CPU_S_MAX} s of a processor; lower limits.batch_rows"


def _passed(program: Program, shapes: Sequence[int], runner: Runner) -> Path:
    """Where it is noted that a program has passed: by all that the trial depends on."""
    rules = f"{_RULES} {version(runner.library)} {','.join(map(str, shapes))} {MEMORY_BYTES_MAX} {CPU_S_MAX} ".encode()
    digest = hashlib.blake2b(rules + program.archive, digest_size=32).hexdigest()
    return cache_folder() / "archives" / digest
