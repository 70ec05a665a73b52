"""Decoding and scoring alone: blocks of messages through the score step, in this process.

    python -m benchmarks.fuzz.in_process ROWS SEED

What stops it names the messages: they are always the same.
"""

import faulthandler
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow as pa
import structlog

from benchmarks.fuzz.accounts import Accounts
from benchmarks.fuzz.messages import Message, bombs, message
from benchmarks.fuzz.subject import MODEL, PACKAGE, PARSED, UNBEARABLE
from inference import Score, Scorer, Serving, Shapes
from streams.formats.decoder import Decoder
from streams.formats.schema_registry import UnknownSchema
from streams.formats.table import FORMATS
from streams.wire.block import Block
from streams.wire.records import Route

BLOCK = 250
_ARRIVED_MS = 1_700_000_000_000


class Registry:
    """The schemas, by heart."""

    def schema(self, number: int) -> Any:
        """One of them."""
        if number not in PARSED:
            raise UnknownSchema(f"no schema {number}")
        return PARSED[number]


class _Model:
    shapes = Shapes((512,))

    def score(self, matrix: np.ndarray) -> np.ndarray:
        age = matrix[:, 1]
        if (age == UNBEARABLE).any():
            raise ValueError("unbearable")
        with np.errstate(over="ignore"):
            return np.where(np.isfinite(age), 1 / (1 + np.exp(-age / 50)), np.float32(np.nan))


def score_step() -> Score:
    """The step as a worker has it, with a model that is there at once."""
    serving = Serving(lambda name, version: Scorer(PACKAGE, _Model(), sleep=lambda seconds: None))
    serving.follow(Route(model=MODEL, epoch=1, ts=0, champion="v1"))
    return Score(serving, partial(Decoder, registry=Registry()), clock=lambda: _ARRIVED_MS + 7)


def block_of(messages: list[Message], first: int) -> Block:
    """Messages as one block; its offsets are their numbers."""
    n = len(messages)
    numbers = range(first, first + n)
    keys, values, headers = [b"%d" % k for k in numbers], [m.value for m in messages], [m.headers for m in messages]
    return Block("requests", 0, numbers, [_ARRIVED_MS] * n, keys, values, headers)


def score(rows: int, seed: int, tell: Callable[[int], None] = lambda n: None) -> tuple[Accounts, Counter[str]]:
    """Send messages through; returns their accounts, and how many of each kind there were."""
    step, accounts, kinds = score_step(), Accounts(rows), Counter[str]()
    fixed = [Decoder(lambda model: (MODEL, PACKAGE.schema), format=one.name, registry=Registry()) for one in FORMATS]
    for first in range(0, rows, BLOCK):
        messages = [message(seed, n) for n in range(first, min(first + BLOCK, rows))]
        kinds.update(m.kind for m in messages)
        block = block_of(messages, first)
        for effects in step.process([block]):
            for publish in effects.publish:
                accounts.take(publish.topic, publish.key, publish.value, publish.headers)
        found, refused = fixed[first // BLOCK % len(fixed)](block)  # as if all were of one format
        seen = {at for part in found.values() for at in part.at.tolist()} | {one.at for one in refused}
        accounts.broken += [f"message {first + at} has no outcome" for at in range(len(block)) if at not in seen]
        accounts.broken += [f"message {first + r.at}: {r.detail}" for r in refused if r.detail.startswith("unforeseen")]
        tell(first + len(block))
    return accounts, kinds


def main(rows: int, seed: int) -> None:
    """Print what was found, as JSON."""
    faulthandler.enable()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    process, resident = psutil.Process(), [0.0]

    def tell(n: int) -> None:
        if n % (rows // 10 or 1) < BLOCK:
            memory = process.memory_info()
            resident.append((memory.rss - memory.shared) / 1e6)
            print(f"  {n:,} messages, {resident[-1]:,.0f} MB", file=sys.stderr)

    bombs()  # what it takes to make them is given back before memory is looked at
    pa.default_memory_pool().release_unused()
    accounts, _ = score(rows, seed, tell)
    cpu = process.cpu_times()
    seconds = round(cpu.user + cpu.system, 1)
    found = accounts.found(seed, seconds=seconds, early_mb=round(resident[1], 1), late_mb=round(resident[-1], 1))
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
