"""The same job in other frameworks, each in its own idiom and environment; the model is plain numpy for all of us."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from benchmarks.log.arena import Arena, Pace, Result, TooSlow
from benchmarks.log.rows import OURS, Contestant, Sizes, compared, in_turns

_HERE = Path(__file__).parent / "peers"
PEERS = {"Quix Streams": "quix", "Bytewax": "bytewax", "Pathway": "pathway", "FastStream": "faststream"}
_INSTALL_S_MAX = 300


class Absent(RuntimeError):
    """A peer that does not install here; the text says why."""


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made on first use in the user's cache folder."""
    pins = _HERE / f"{peer}.txt"
    home = Path(platformdirs.user_cache_dir("driftline")) / "peers" / peer
    python, made = home / "bin" / "python", home / "made-of.txt"
    if made.exists() and made.read_text() == pins.read_text():
        return python
    uv = Path(sys.executable).with_name("uv")
    for command in (["venv", "--clear", "--python", sys.executable, home], ["pip", "sync", "--python", python, pins]):
        done = subprocess.run(
            [uv, *command], capture_output=True, text=True, timeout=_INSTALL_S_MAX, check=False, env=dict(os.environ)
        )
        if done.returncode:
            raise Absent(done.stderr.strip().splitlines()[-1])
    made.write_text(pins.read_text())
    return python


def peers(arena: Arena, sizes: Sizes) -> list[Result]:
    """Rows a second against each peer."""
    return list(_results(arena, sizes))


def _results(arena: Arena, sizes: Sizes) -> Iterator[Result]:
    prefix = arena.filled("peers", sizes.rows)
    weights = str(arena.folder / "models" / "work-plain" / "weights.npz")

    def contestant(program: list[str], last: str) -> Contestant:
        def measure() -> Pace:
            with arena.begin(prefix, arena.command(program, prefix, last)) as contest:
                return contest.pace(sizes.seconds, sizes.rows)

        return measure

    ours = contestant(OURS, arena.registry("plain"))
    for name, peer in PEERS.items():
        load = os.getloadavg()[0]
        try:
            program = [str(environment(peer)), str(_HERE / f"with_{peer}.py")]
            paces = in_turns({"ours": ours, name: contestant(program, weights)}, sizes.runs)
        except (Absent, TooSlow, subprocess.TimeoutExpired) as why:
            print(f"  {name} is left out: {why}", file=sys.stderr)
            continue
        yield compared(f"against {name}", paces, "ours", name, 1.0, load)
