"""Tensors that a client on the same machine has put into shared memory: read, and never written.

A region is read by `os.pread`, and not mapped: a client that cuts its region while it is read gets a refusal, where a
mapping would end this process. Only a regular file of our own user counts, that nobody else may write to, and whose key
begins with ``driftline-``: whoever reaches the port cannot have other programs' memory read. Scores go back in the
answer.

References
----------
Triton's `system shared memory extension
<https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_shared_memory.md>`_.
"""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from inference.oip.listening import BODY_BYTES_MAX
from inference.oip.refusals import InvalidRequest, shown

_KEY_BEGINS = "driftline-"
_KEY = re.compile(rf"/?({_KEY_BEGINS}[A-Za-z0-9._-]{{1,200}})")
_REGIONS_MAX, _NAME_CHARS_MAX = 256, 256
_REGION_BYTES_MAX = 4_294_967_296


class Region(NamedTuple):
    """A registered region: its key, which bytes of it, and its open file."""

    key: str
    offset: int
    byte_size: int
    file: int


class Regions:
    """Regions that clients have registered.

    Parameters
    ----------
    folder
        Where the system keeps shared memory.
    """

    def __init__(self, folder: Path = Path("/dev/shm")) -> None:  # noqa: S108 (opened by a checked key, no temporary file)
        self._folder = folder
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open a region.

        Parameters
        ----------
        name
            What requests call it.
        key
            Its name in the system.
        offset, byte_size
            Which bytes of it belong to the region.

        Raises
        ------
        InvalidRequest
            A name that is taken, or a key that is not the caller's to have read.
        """
        if not 0 < len(name) <= _NAME_CHARS_MAX or name in self._regions:
            raise InvalidRequest(f"region {shown(name)} is registered, or no name; unregister it, or choose another")
        if len(self._regions) >= _REGIONS_MAX:
            raise InvalidRequest(f"{_REGIONS_MAX} regions are registered, which are the most; unregister one")
        if not 0 < byte_size <= _REGION_BYTES_MAX or not 0 <= offset <= _REGION_BYTES_MAX:
            raise InvalidRequest(f"a region of {byte_size} bytes from {offset} on; {_REGION_BYTES_MAX} are the most")
        match = _KEY.fullmatch(key)
        if match is None:
            raise InvalidRequest(f"key {shown(key)}: it must begin with {_KEY_BEGINS!r}, then letters, digits, . _ -")
        file = self._opened(match[1], offset + byte_size)
        self._regions[name] = Region(key, offset, byte_size, file)

    def _opened(self, key: str, end: int) -> int:
        try:
            # A pipe of that name is not waited for, and a link is not followed.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(self._folder / key, flags)
        except OSError as error:
            raise InvalidRequest(f"key {key!r}: {error.strerror}; make the region, then register it") from None
        why = _not_ours(os.fstat(file), end)
        if why:
            os.close(file)
            raise InvalidRequest(f"key {key!r}: {why}")
        return file

    def read(self, name: str, offset: int, byte_size: int) -> bytes:
        """Copy bytes out of a region.

        Parameters
        ----------
        name
            As registered.
        offset, byte_size
            Which bytes of the region.

        Raises
        ------
        InvalidRequest
            There is no such region, or no such bytes in it.
        """
        region = self._regions.get(name)
        if region is None:
            raise InvalidRequest(f"no region {shown(name)} is registered; register it first")
        if not 0 <= byte_size <= BODY_BYTES_MAX or not 0 <= offset <= region.byte_size - byte_size:
            raise InvalidRequest(f"{byte_size} bytes from {offset} on are not within {shown(name)}: {region.byte_size}")
        read = os.pread(region.file, byte_size, region.offset + offset)
        if len(read) != byte_size:
            raise InvalidRequest(f"region {shown(name)} has been cut: {len(read)} bytes of {byte_size} are there")
        return read

    def listed(self) -> dict[str, Region]:
        """Regions by name."""
        return dict(self._regions)

    def unregister(self, name: str = "") -> None:
        """Close a region, or all of them; one that is not there is closed."""
        for known in [name] if name else list(self._regions):
            region = self._regions.pop(known, None)
            if region is not None:
                os.close(region.file)


def _not_ours(known: os.stat_result, end: int) -> str:
    if not stat.S_ISREG(known.st_mode):
        return "it is no shared memory"
    if known.st_uid != os.geteuid():
        return "it belongs to another user; run the client as the inference worker's"
    if known.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it; make it 0600"
    return f"it has {known.st_size} bytes, {end} are wanted" if known.st_size < end else ""
