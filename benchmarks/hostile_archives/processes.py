"""What becomes of an archive: read here, tried in a child that may die, then run in one that must not.

The children are forked from a process that has torch already, and do what `inference.backends.trial_process` and a
worker do; so thousands can be tried where a start of torch takes seconds.
"""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from inference.backends.backend import Shapes
from inference.backends.errors import ArtefactError
from inference.backends.pt2_archive import Program, read_program

ROWS, MEMORY_BYTES, CPU_S, WALL_S = 32, 2**29, 20, 120


class End(msgspec.Struct, frozen=True):
    """How it went with one archive: ``outcome`` is refused (when read), tried (refused by the trial, or it died there),
    ran, or one of those that must not be: crashed, leaked, odd. Times in s, and by how many MB a child grew at most.
    """

    outcome: str
    why: str
    seconds: float
    mb: float


def fate(archive: bytes, file: Path) -> End:
    """Hand an archive through the three steps."""
    began = time.perf_counter()
    file.write_bytes(archive)
    try:
        program = read_program(file)
    except ArtefactError as error:
        return End("refused", str(error).replace(str(file), ""), time.perf_counter() - began, 0.0)
    except BaseException as error:  # nothing else may come out
        return End("odd", f"{type(error).__name__}: {error}", time.perf_counter() - began, 0.0)
    why, died, mb = _child(lambda: _trial(program))
    if why != "passed":
        return End("tried", why or f"died of signal {died}", time.perf_counter() - began, mb)
    why, died, more = _child(lambda: _worker(program))
    outcome = "crashed" if died else "leaked" if more > MEMORY_BYTES / 1e6 else "ran"
    return End(outcome, why, time.perf_counter() - began, max(mb, more))


def _trial(program: Program) -> str:
    from inference.backends.trial_limits import limit
    from inference.backends.trial_process import run

    limit(MEMORY_BYTES + 3 * len(program.archive), CPU_S)
    return run(program.archive, ROWS, program.features, MEMORY_BYTES) or "passed"


def _worker(program: Program) -> str:
    import numpy as np

    from inference.backends.torch_export import Pt2Model

    try:
        model = Pt2Model(program, Path("model.pt2"), Shapes((ROWS,)))
        for scale in (0.0, 1.0, 1e6, np.inf, np.nan):
            model.score(np.full((ROWS, program.features), scale, np.float32))
    except Exception as error:
        return f"raised {type(error).__name__}"
    return "answered"


def _child(work: Callable[[], str]) -> tuple[str, int, float]:
    """Run in a forked child: what it says, the signal that ended it, and by how many MB its memory grew at most.

    The growth is from what it holds when it begins: a fork begins with its parent's anonymous pages, while the
    libraries' pages count as soon as it touches them. What this process once held, and gave back, is no part of it.
    """
    reader, writer = os.pipe()  # no file: the trial may hardly write one
    pid = os.fork()
    if pid == 0:
        signal.alarm(WALL_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            os.write(writer, _resident_bytes().to_bytes(8))
            os.write(writer, work().encode()[:500])
        finally:
            os._exit(0)
    os.close(writer)
    _, status, used = os.wait4(pid, 0)
    said = os.read(reader, 508)
    os.close(reader)
    grown = used.ru_maxrss * 1024 - int.from_bytes(said[:8])
    return said[8:].decode(errors="replace"), os.WTERMSIG(status), max(0.0, grown / 1e6)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
