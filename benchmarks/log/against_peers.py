"""The same job in other frameworks, each in its own idiom and environment; the model is plain numpy for all of us."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import Absent, environment
from benchmarks.log.arena import Arena, Pace, Result, TooSlow
from benchmarks.log.rows import OURS, Contestant, Sizes, compared, in_turns

_HERE = Path(__file__).parent / "peers"
PEERS = {"Quix Streams": "quix", "Bytewax": "bytewax", "Pathway": "pathway", "FastStream": "faststream"}


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
            program = [str(environment(_HERE / f"{peer}.txt")), str(_HERE / f"with_{peer}.py")]
            paces = in_turns({"ours": ours, name: contestant(program, weights)}, sizes.runs)
        except (Absent, TooSlow, subprocess.TimeoutExpired) as why:
            print(f"  {name} is left out: {why}", file=sys.stderr)
            continue
        yield compared(f"against {name}", paces, "ours", name, 1.0, load)
