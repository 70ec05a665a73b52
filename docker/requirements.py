"""Cut `requirements.lock` down to what an image runs, hashes kept.

    python requirements.py cuda < requirements.lock     without what only the tests need
    python requirements.py cpu  < requirements.lock     also without torch and the CUDA libraries
    python requirements.py laptop < requirements.lock   all of it, tests too, without torch and the CUDA libraries
    python requirements.py pin torch < requirements.lock    one package as ``name==version``
    python requirements.py only uv < requirements.lock      one package's entry

The lock says for every package what needs it (``# via``): a package leaves when everything that needs it has left.
"""

import re
import sys

DEV = "driftline (pyproject.toml:dev)"
_CUDA = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)$")
_NAME = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", re.MULTILINE)
_VIA = re.compile(r"^    #(?: via| {2}) (\S.*)$", re.MULTILINE)


def entries(lock: str) -> dict[str, str]:
    """Each package's lines of the lock, by name."""
    starts = [*_NAME.finditer(lock)]
    ends = [match.start() for match in starts[1:]] + [len(lock)]
    return {match[1]: lock[match.start() : end] for match, end in zip(starts, ends, strict=True)}


def needed(lock: dict[str, str], target: str) -> dict[str, str]:
    """The entries that a target installs: ``cuda`` or ``cpu``."""
    wanted_by = {name: set(_VIA.findall(entry)) for name, entry in lock.items()}
    kept = set(lock)
    while gone := {name for name in kept if not any(_stays(by, kept) for by in wanted_by[name])}:
        kept -= gone
    return {name: lock[name] for name in lock if name in kept and not (target == "cpu" and _CUDA.match(name))}


def _stays(by: str, kept: set[str]) -> bool:
    return by in kept or (by.startswith("driftline ") and by != DEV)


def main(arguments: list[str]) -> str:
    """Answer one call of the command line."""
    lock = entries(sys.stdin.read())
    match arguments:
        case ["cpu" | "cuda" as target]:
            return "".join(needed(lock, target).values())
        case ["laptop"]:
            return "".join(entry for name, entry in lock.items() if not _CUDA.match(name))
        case ["only", name]:
            return lock[name]
        case ["pin", name]:
            return lock[name].split()[0] + "\n"
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
