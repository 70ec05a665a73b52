"""Which process a number means: a process id is given again after its process has ended, or after a restart.

On Linux a process is known by the machine's boot and the tick at which it started, which no change of the clock
moves; elsewhere by the time at which it started.
"""

import os
import select
import signal
import sys
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TICK_FIELD = 22 - 3  # proc(5) counts from 1, and what is read here begins with field 3
_LINUX = sys.platform == "linux"


def identity(pid: int) -> str | None:
    """What tells a process from every other that has or will have its number; None where none runs under it.

    A process that has ended and that its parent has not waited for yet does not run.

    >>> identity(os.getpid()) == identity(os.getpid()), identity(2**22 + 1)
    (True, None)
    """
    if not _LINUX:
        return _identity_elsewhere(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        state, *fields = text.rpartition(")")[2].split()
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    return None if state in ("Z", "X") else f"{boot}/{fields[_START_TICK_FIELD - 1]}"


def terminate(pid: int, known_as: str, deadline_s: float) -> bool:
    """Send SIGTERM to a process, if the number still means it, and wait until it is gone.

    Parameters
    ----------
    pid, known_as
        Its number and its `identity`.
    deadline_s
        How long to wait.

    Returns
    -------
    bool
        Whether it is gone, or was before.

    Raises
    ------
    PermissionError
        It belongs to another user.
    """
    if not _LINUX:
        return _terminate_elsewhere(pid, known_as, deadline_s)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # The handle is of one process for good: if the identity holds now, the signal reaches nobody else.
        if identity(pid) != known_as:
            return True
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        return bool(select.select([handle], [], [], deadline_s)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _identity_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except (psutil.Error, FileNotFoundError):
        return None


def _terminate_elsewhere(pid: int, known_as: str, deadline_s: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        if _identity_elsewhere(pid) != known_as:
            return True
        process.terminate()
        process.wait(deadline_s)
    except psutil.TimeoutExpired:
        return False
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True
    return True
