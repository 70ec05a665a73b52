"""Which device a model runs on, and how many threads it may take on a CPU.

>>> device("cpu")
'cpu'
"""

import ctypes
import importlib.util
import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from inference.packages.model_toml import nearest


class DeviceError(ValueError):
    """A device that is not here."""


def device(wanted: str = "auto") -> str:
    """Resolve ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` to what torch calls it.

    ``auto`` is the first CUDA device, else the CPU.
    """
    kind, _, number = wanted.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise DeviceError(f"device {wanted!r}{nearest(kind, ('auto', 'cpu', 'cuda', 'cuda:0'))}")
    if kind == "cpu":
        return "cpu"
    count = _cuda_count()
    if kind == "auto":
        return "cuda:0" if count else "cpu"
    if int(number or 0) >= count:
        raise DeviceError(f"device {wanted!r} is not here: torch sees {count} CUDA devices; use auto or cpu")
    return f"cuda:{number or 0}"


def device_of_slot(wanted: str, slot: str) -> str:
    """Resolve a device for one of several workers: ``auto`` and ``cuda`` go round the devices by the slot's number.

    >>> device_of_slot("cpu", "worker-3")
    'cpu'
    """
    if wanted in ("auto", "cuda") and (count := _cuda_count()) > 1:
        number = re.search(r"\d+$", slot)
        return device(f"cuda:{int(number[0]) % count if number else 0}")
    return device(wanted)


class _Share:
    workers = 1


def share_cores(workers: int) -> None:
    """Note with how many workers this process shares the machine; holds for what is loaded from now on."""
    _Share.workers = workers


def cpu_threads() -> int:
    """Threads that a model may take on a CPU: half of this worker's share of the cores, for the rest of them decode,
    publish and commit.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // (2 * _Share.workers))


@lru_cache(maxsize=1)
def _cuda_count() -> int:
    # A model that is a Python class needs no torch, whose import takes seconds.
    if importlib.util.find_spec("torch") is None or not _may_have_a_driver():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _may_have_a_driver() -> bool:
    if sys.platform != "linux" or "torch" in sys.modules or Path("/dev/kfd").exists():  # AMD's, whose library torch has
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
