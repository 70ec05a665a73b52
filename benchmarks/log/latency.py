"""From the sending of a request to the moment a `read_committed` reader has its prediction."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from benchmarks.log.arena import PARTITIONS, Arena, Result, cluster_at
from benchmarks.log.rows import BARE, OURS, Sizes, as_numbers

_PACED = [sys.executable, "-m", "benchmarks.log.contestants.paced"]
_SHARES = (0.1, 0.5)
_WARM_S = 3.0
_P50_MS_MAX = 30.0
_TIMES_BARE_MAX = 3.0

Ages = dict[str, float]


class _Said(msgspec.Struct):
    id: str


def latency(arena: Arena, sizes: Sizes) -> list[Result]:
    """Ages of predictions at a tenth and at half of our own peak, ours against the hand-written loop's."""
    load, registry = os.getloadavg()[0], arena.registry("torch")
    prefix = arena.filled("peak", sizes.rows)
    with arena.begin(prefix, arena.command(OURS, prefix, registry)) as contest:
        peak = contest.pace(sizes.seconds, sizes.rows)
    print(f"  peak {peak.rate:,.0f} rows/s", file=sys.stderr)
    results = []
    for share in _SHARES:
        found: dict[str, list[Ages]] = {"ours": [], "bare": []}
        for turn in range(sizes.runs):
            for name, program in (("ours", OURS), ("bare", BARE)):
                prefix = arena.filled(f"latency-{share * 100:.0f}-{name}-{turn}", 0)
                command = arena.command(program, prefix, registry)
                ages = _ages(arena, prefix, command, peak.rate * share, sizes.seconds)
                found[name].append(ages)
                print(
                    f"  {name:<6} at {share:.0%}: p50 {ages['p50']:.1f} ms, p99 {ages['p99']:.1f} ms", file=sys.stderr
                )
        results += _lines(share, found, load, as_numbers(peak))
    return results


def _lines(share: float, found: dict[str, list[Ages]], load: float, peak: dict[str, float]) -> list[Result]:
    stated = share > min(_SHARES)
    halves = [ages["p50"] for ages in found["ours"]]
    ratios = [ours["p99"] / bare["p99"] for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    p50, times = statistics.median(halves), statistics.median(ratios)
    told = "; ".join(
        f"{name} p50 {_of(several, 'p50'):.0f}, p99 {_of(several, 'p99'):.0f} ms" for name, several in found.items()
    )
    measured = {**found, "peak": [peak]}
    return [
        Result(
            name=f"p50 at {share:.0%} of peak",
            unit="ms",
            value=p50,
            low=min(halves),
            high=max(halves),
            goal="stated" if stated else f"<= {_P50_MS_MAX:g}",
            met=None if stated else p50 <= _P50_MS_MAX,
            load_before=load,
            measured=measured,
            note=told,
        ),
        Result(
            name=f"p99 at {share:.0%} of peak against a hand-written loop",
            unit="x",
            value=times,
            low=min(ratios),
            high=max(ratios),
            goal="stated" if stated else f"<= {_TIMES_BARE_MAX:g}",
            met=None if stated else times <= _TIMES_BARE_MAX,
            load_before=load,
            measured=measured,
        ),
    ]


def _of(several: list[Ages], quantile: str) -> float:
    return statistics.median(ages[quantile] for ages in several)


def _ages(arena: Arena, prefix: str, command: Sequence[str], rows_per_s: float, seconds: float) -> Ages:
    """Percentiles of the ages of predictions, ms, once the contestant has warmed up."""
    cluster = cluster_at(arena.broker.bootstrap, prefix)
    reader = cluster.reader()
    reader.assign([TopicPartition(cluster.topic("predictions"), p, 0) for p in range(PARTITIONS)])
    length = _WARM_S + seconds
    with arena.begin(prefix, command) as contest:
        arguments = (arena.broker.bootstrap, cluster.topic("requests"), PARTITIONS)
        subprocess.run([*_PACED, *map(str, (*arguments, 100, 0.5, arena.seed))], check=True, stdout=subprocess.DEVNULL)
        contest.wait_for(1, 60)  # it has started, and met its first rows
        sender = subprocess.Popen(
            [*_PACED, *map(str, (*arguments, rows_per_s, length, arena.seed))], stdout=subprocess.PIPE
        )
        try:
            ages = _read(reader, sender, length + 20)
        finally:
            sender.kill()
            sender.wait()
            reader.close()
    return _percentiles(ages, seconds)


def _read(reader: Consumer, sender: "subprocess.Popen[bytes]", within_s: float) -> list[np.ndarray]:
    """Read until the sender has ended and nothing more comes; per message its sending and its age, ns."""
    decode, found, began, quiet = msgspec.json.Decoder(_Said).decode, [], time.monotonic(), 0
    while time.monotonic() - began < within_s and quiet < 20:
        messages = reader.consume(1, 0.05)
        messages += reader.consume(10_000, 0) if messages else []
        now = time.monotonic_ns()
        quiet = 0 if messages or sender.poll() is None else quiet + 1
        sent = np.array([int(decode(m.value()).id.partition("-")[0]) for m in messages if not m.error()], np.int64)
        found.append(np.stack([sent, now - sent]))
    return found


def _percentiles(found: list[np.ndarray], seconds: float) -> Ages:
    """Of the last so many seconds' requests, ms."""
    sent, ages = np.concatenate(found, axis=1)
    p50, p99, most = np.quantile(ages[sent >= sent.max() - seconds * 1e9], (0.5, 0.99, 1)) / 1e6
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "most": round(float(most), 2)}
