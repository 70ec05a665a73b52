"""Which device a model runs on.

>>> device("cpu")
'cpu'
"""

import importlib.util
from functools import lru_cache

from inference.package import nearest


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


@lru_cache(maxsize=1)
def _cuda_count() -> int:
    if importlib.util.find_spec("torch") is None:
        return 0  # a Python-class model needs none
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
