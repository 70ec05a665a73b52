"""What the process of a trial may take; see `inference.backends.trial`."""

import resource
from pathlib import Path

#: Python tries its folder of temporary files with a small one.
_FILE_BYTES_MAX = 65_536
_MEMORY = Path("/proc/self/statm")


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Bound what this process may take from now on, and write; memory on Linux alone, which tells what it has."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    bounds = {
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + cpu_s,
        resource.RLIMIT_FSIZE: _FILE_BYTES_MAX,
        resource.RLIMIT_CORE: 0,
    }
    if _MEMORY.exists():
        data = int(_MEMORY.read_text().split()[5]) * resource.getpagesize()
        bounds[resource.RLIMIT_DATA] = data + memory_bytes
    for what, bound in bounds.items():
        hard = resource.getrlimit(what)[1]  # whoever started us may allow less
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (least, least))
