"""The broker's data directory: one broker at a time, and formatted exactly once.

server.properties   written anew at each start
log/                Kafka's own: the records, and its metadata
broker.log          what the broker said; broker.log.1 is what it said before
broker.lock         held while a broker runs; says which one
"""

import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import IO

from driftline.broker import java
from driftline.broker.config import BrokerSettings, server_properties
from driftline.broker.errors import BrokerError, FolderInUse
from streams.private import private_folder

LOG_BYTES_MAX = 8_388_608
READ_BYTES_MAX = 262_144
SHOWN_LINES_MAX = 20


def claim(folder: Path) -> IO[str]:
    """Take the folder for one broker; who holds the open file, or a copy of its descriptor, holds the folder.

    The broker inherits the descriptor: the claim ends when the last of the two is gone, however it went.

    Raises
    ------
    FolderInUse
        Another broker holds it.
    """
    private_folder(folder)
    lock = (folder / "broker.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another broker, just starting"
        lock.close()
        raise FolderInUse(
            f"the data directory {folder} is in use by {holder}; stop that one, or name another directory"
        ) from None
    return lock


def sign(lock: IO[str], holder: str) -> None:
    """Write into a claim who holds it."""
    lock.truncate(0)
    lock.write(holder)
    lock.flush()


def format_once(folder: Path, class_path: str, flags: tuple[str, ...]) -> None:
    """Give an empty folder its `log`, with a new cluster id and the newest feature levels; else do nothing.

    Formatted under another name and then renamed, so that a kill in the middle leaves no half of it.

    Parameters
    ----------
    folder
        Claimed by the caller.
    class_path
        Kafka's jars, as Java reads a class path.
    flags
        For Java, beside those of every call. Where they fail it is tried without.
    """
    if (folder / "log").is_dir():
        return
    beside = folder / "format"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    (beside / "server.properties").write_text(server_properties(BrokerSettings(), port=9092, controller_port=9093))
    # A cluster id is 16 bytes in base64; never a dash first, which the tool would take for an option.
    cluster_id = "D" + secrets.token_urlsafe(16)[1:]
    arguments = ("format", "--cluster-id", cluster_id, "--config", "server.properties")
    for tried in dict.fromkeys((flags, ())):  # With the recorded start, and if that is at fault, without.
        tool = java.command("kafka.tools.StorageTool", *arguments, class_path=class_path, flags=tried)
        with open_log(beside) as log:
            code = java.spawn(tool, cwd=beside, log=log).wait()
        if code == 0:
            break
    else:
        raise BrokerError(f"cannot format {folder} for Kafka: exit code {code}\n{last_lines(beside)}")
    (beside / "log").rename(folder / "log")
    shutil.rmtree(beside)


def put_log_aside(folder: Path) -> None:
    """Start a new log where the old one is long, so that two of them are the most there is."""
    path = folder / "broker.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))


def open_log(folder: Path) -> IO[bytes]:
    """The broker's log, open to append."""
    return (folder / "broker.log").open("ab")


def log_lines(folder: Path, start: int = 0) -> list[str]:
    """The lines of the broker's log from byte `start` on; of many, the last."""
    with (folder / "broker.log").open("rb") as log:
        log.seek(max(start, log.seek(0, os.SEEK_END) - READ_BYTES_MAX))
        return log.read(READ_BYTES_MAX).decode(errors="replace").splitlines()


def last_lines(folder: Path, start: int = 0) -> str:
    """The end of the broker's log, from byte `start` on at most, indented for an error message."""
    lines = log_lines(folder, start)[-SHOWN_LINES_MAX:]
    return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
