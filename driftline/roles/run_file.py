"""The run file: what `up` leaves on disk, so that `status` and `down` find it.

`status` is run in a loop by people and by scripts: this module loads neither the settings nor what a role needs, and
what asks a process only where there is one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from driftline.roles.process_identity import identity, terminate
from streams.private import write_private

if TYPE_CHECKING:
    from urllib3 import PoolManager

RUN_FILE = "run.json"
_STOP_S = 60.0
_BYTES_MAX = 16_777_216


class StopError(RuntimeError):
    """The process tree did not end in time."""


class RunFileError(ValueError):
    """The run file is there and is none: empty, cut short, or not written by `up`."""


class _Role(msgspec.Struct):
    pid: int | None
    state: str
    restarts: int
    ends_ms: list[int]
    why: str
    log: str


class _Run(msgspec.Struct):
    """What must stand in a run file; what else stands there is kept as it is."""

    pid: int
    identity: str
    state: str
    waits: dict[str, str]
    kafka: str
    clickhouse: str
    page: str
    roles: dict[str, _Role]
    starting: dict[str, _Role]
    urls: dict[str, str]


def read(data_dir: Path) -> dict[str, Any] | None:
    """Read what `up` wrote; None where nothing runs.

    Raises
    ------
    RunFileError
        It cannot be told whether something runs.
    """
    path = data_dir / RUN_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunFileError(f"{path} cannot be read ({error.strerror}); mend its permissions, or remove it") from None
    try:
        run: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
        msgspec.convert(run, _Run)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = "is empty" if not content.strip() else f"is not what `driftline up` writes ({error})"
        raise RunFileError(
            f"{path} {what}: what runs here cannot be told; if nothing does, `driftline up` writes it anew"
        ) from None
    # After a restart of the machine, or of enough processes, the number may be another program's.
    return run if identity(run["pid"]) == run["identity"] else None


def read_or_none(data_dir: Path) -> dict[str, Any] | None:
    """As `read`, where a damaged file is no reason to stop."""
    try:
        return read(data_dir)
    except RunFileError:
        return None


def write(data_dir: Path, pid: int, status: dict[str, Any]) -> None:
    """Write the run file whole: a reader never sees half of it.

    Parameters
    ----------
    data_dir
        Of the settings; the file is `RUN_FILE` in it, and only its owner may read it.
    pid
        A process that runs: the file also says what tells it from a later one of that number.
    status
        As `read` requires it: state, addresses, roles.

    Raises
    ------
    OSError
        The disk is full, say; the former file stands.
    """
    write_private(data_dir / RUN_FILE, msgspec.json.encode({"pid": pid, "identity": identity(pid), **status}))


def running(data_dir: Path) -> dict[str, Any] | None:
    """What `up` wrote, and of every role the steps it reports itself and what it waits for; None where nothing runs."""
    run = read(data_dir)
    if run:
        from urllib3 import PoolManager

        http = PoolManager(timeout=1.0, retries=False)
        for name, role in run["roles"].items():
            answer = (ask_status(http, run["urls"][name]) if name in run["urls"] else None) or {}
            role["steps"], role["waits"] = answer.get("steps", []), answer.get("waits", [])
    return run


def stop(data_dir: Path) -> bool:
    """Stop what runs over a data directory and wait until it is gone; False where nothing does.

    Raises
    ------
    StopError
        It has not ended after a minute.
    """
    run = read(data_dir)
    if not run:
        return False
    if not terminate(run["pid"], run["identity"], _STOP_S):
        raise StopError(f"process {run['pid']} has not ended after {_STOP_S:.0f} s; see {data_dir}/logs")
    return True


def ask_status(http: "PoolManager", url: str) -> dict[str, Any] | None:
    """What a role answers at its status address; None where it does not."""
    from urllib3.exceptions import HTTPError

    try:
        answer = http.request("GET", url)
        return msgspec.json.decode(answer.data, type=dict[str, Any]) if answer.status == 200 else None
    except (HTTPError, msgspec.MsgspecError):
        return None
