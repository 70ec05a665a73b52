"""What torch raises, by what follows of it; see `inference.backends.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from inference.backends.errors import LOST_DEVICE, Fatal, OutOfMemory, first_line


@contextmanager
def by_kind(device: str) -> Iterator[None]:
    """Turn torch's errors on a device into ours.

    Raises
    ------
    OutOfMemory
        With torch's cache emptied, so that a smaller batch finds the memory that is free.
    Fatal
        The device or this process's context on it is lost.

    >>> with by_kind("cuda:0"):
    ...     raise RuntimeError("CUDA error: an illegal memory access was encountered")
    Traceback (most recent call last):
    streams.fatal.Fatal: cuda:0: CUDA error: an illegal memory access was encountered
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemory(f"{device}: {first_line(error)}") from error
    except RuntimeError as error:
        if device != "cpu" and any(words in str(error) for words in LOST_DEVICE):
            raise Fatal(f"{device}: {first_line(error)}") from error
        if device == "cpu" and "DefaultCPUAllocator: can't allocate memory" in str(error):
            raise OutOfMemory(f"{device}: {first_line(error)}") from error
        raise
