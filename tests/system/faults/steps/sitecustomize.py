"""A wall clock that can be stepped: Python's runs ahead or behind by as many seconds as the file FAULTS_CLOCK says.

Python imports a module of this name at its start, where it finds one on PYTHONPATH.
"""

import os
import time
from pathlib import Path

_file = os.environ.get("FAULTS_CLOCK", "")
_true_ns, _looked_s, _ahead_s = time.time_ns, -1.0, 0.0


def _time_ns() -> int:
    global _looked_s, _ahead_s
    if time.monotonic() - _looked_s > 0.05:
        _looked_s = time.monotonic()
        try:
            _ahead_s = float(Path(_file).read_text() or 0)
        except (OSError, ValueError):
            _ahead_s = 0.0
    return _true_ns() + int(_ahead_s * 1e9)


if _file:
    time.time_ns = _time_ns
    time.time = lambda: _time_ns() / 1e9
