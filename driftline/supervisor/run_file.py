"""The run file: what `up` leaves on disk, so that `status` and `down` find it.

`status` is run in a loop by people and by scripts: this module loads neither the settings nor what a role needs, and
what asks a process only where there is one.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from urllib3 import PoolManager

RUN_FILE = "run.json"
_STOP_S = 60.0
_LOOK_S = 0.2


class StopError(RuntimeError):
    """The process tree did not end in time."""


def read(data_dir: Path) -> dict[str, Any] | None:
    """Read what `up` wrote; None where nothing runs."""
    path = data_dir / RUN_FILE
    if not path.exists():
        return None
    import psutil

    run: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    try:
        began = psutil.Process(run["pid"]).create_time()
    except psutil.Error:
        return None
    # After a restart of the machine the number may be another program's.
    return run if began == run.get("began", began) else None


def write(data_dir: Path, pid: int, status: dict[str, Any]) -> None:
    """Write the run file whole: a reader never sees half of it."""
    import psutil

    written = data_dir / f"{RUN_FILE}.new"
    began = psutil.Process(pid).create_time()
    written.write_bytes(msgspec.json.encode({"pid": pid, "began": began, **status}))
    written.replace(data_dir / RUN_FILE)


def running(data_dir: Path) -> dict[str, Any] | None:
    """What `up` wrote, and of every role the steps it reports itself; None where nothing runs."""
    run = read(data_dir)
    if run:
        from urllib3 import PoolManager

        http = PoolManager(timeout=1.0, retries=False)
        for name, role in run["roles"].items():
            answer = ask_status(http, run["urls"][name]) if name in run["urls"] else None
            role["steps"] = (answer or {}).get("steps", [])
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
    import psutil

    process = psutil.Process(run["pid"])
    process.terminate()
    until = time.monotonic() + _STOP_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            raise StopError(f"process {process.pid} has not ended after {_STOP_S:.0f} s; see {data_dir}/logs")
        time.sleep(_LOOK_S)
    return True


def ask_status(http: "PoolManager", url: str) -> dict[str, Any] | None:
    """What a role answers at its status address; None where it does not."""
    from urllib3.exceptions import HTTPError

    try:
        answer = http.request("GET", url)
        return msgspec.json.decode(answer.data, type=dict[str, Any]) if answer.status == 200 else None
    except (HTTPError, msgspec.MsgspecError):
        return None
