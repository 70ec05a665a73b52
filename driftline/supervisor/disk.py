"""A disk that is full: what is said of it, and when there is room again."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

#: Below this the broker cannot begin a segment, nor the store a part.
ROOM_BYTES_MIN = 33_554_432
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EACCES, "no"))
    (True, False)
    """
    return error.errno in _FULL


def shortage(folder: Path) -> str:
    """Say where a disk has too little room for what the roles write; empty where it has enough.

    Parameters
    ----------
    folder
        A folder on it; one that is not there yet stands for the nearest above it.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return ""
    if free >= ROOM_BYTES_MIN:
        return ""
    return (
        f"disk full: {folder} has {free / 1e6:,.1f} MB left, {ROOM_BYTES_MIN / 1e6:.0f} MB are needed; "
        "make room there: what waits goes on by itself"
    )


class Room:
    """Looks at the room on a disk, and says once that there is too little and once that there is enough again."""

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._note = note
        self._lacked = False

    def lacks(self) -> str:
        """What `shortage` says now."""
        text = shortage(self._folder)
        if bool(text) != self._lacked:
            self._lacked = bool(text)
            self._note(text or f"there is room in {self._folder} again; everything goes on")
        return text
