"""More than can be answered: producers ahead of the worker all the time, then a dead store, then a slow model.

    python -m benchmarks.overload [--minutes 10] [--ahead 300000]

The whole system runs as `driftline up` runs it. Of the minutes six tenths are overload alone, two tenths the store is
away, two tenths every batch of the model takes a second longer; then producers stop, and everything is waited for and
counted. Keeps memory and lag, some seconds apart, in benchmarks/results/overload.json; exit code 1 where anything is
wrong.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import psutil

from benchmarks.overload.clients import LABEL_EVERY, Clients
from benchmarks.overload.subject import Subject
from drift.labels.step import RECENT_MAX
from drift.store import StoreError, StoreUnavailable
from driftline.broker.record import prepare

KEPT = Path(__file__).parent.parent / "results" / "overload.json"
ROLES = ("worker-0", "monitor", "store")
STEPS = ("score", "count", "join", "judge", "sink")
FLAT_MAX = 1.1
SLOW_S = 1.0
_ROWS_A_MINUTE_MAX = 6_000_000
_RECOVERY_S_MAX = 600.0


class Moment(msgspec.Struct, frozen=True):
    """A moment of the run: by role its memory without the pages of libraries; by step its lag in rows and seconds."""

    at_s: float
    phase: str
    answered: int
    labels: int
    resident_mb: dict[str, float]
    lag_rows: dict[str, int]
    lag_s: dict[str, float]


class Kept(msgspec.Struct, frozen=True):
    """The file of results.

    ``full_s`` is when the join had met as many labels as it remembers: what is bounded does not grow any more; 0 where
    that was never so. ``early_mb`` and ``late_mb`` by role: medians of the first and of the last fifth of what came
    after.
    """

    at: str
    minutes: float
    ahead_max: int
    requests: int
    labels: int
    recovered_s: float
    wrong: dict[str, int]
    full_s: float
    early_mb: dict[str, float]
    late_mb: dict[str, float]
    moments: list[Moment]


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--ahead", type=int, default=300_000, help="requests that may wait for their answers")
    asked = parser.parse_args()
    prepare()
    at = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
    with TemporaryDirectory(prefix="driftline-overload-") as folder, Subject(Path(folder)) as subject:
        clients = Clients(subject.cluster, int(asked.minutes * _ROWS_A_MINUTE_MAX), asked.ahead)
        watch = Watch(subject, clients, every_s=max(1.0, asked.minutes / 2))
        for phase, share, fault in (
            ("overload", 0.6, None),
            ("no store", 0.2, _without_store),
            ("slow model", 0.2, _with_slow_model),
        ):
            with fault(subject) if fault else nullcontext():
                watch.during(phase, asked.minutes * 60 * share)
        clients.stop_sending()
        recovered_s = watch.until_settled()
        wrong = _wrong(subject, clients)
        clients.stop()
    full = _since_full(watch.moments)
    fifth = max(1, len(full) // 5)
    early, late = (_resident(part) for part in (full[:fifth], full[-fifth:]))
    full_s = full[0].at_s if full else 0.0
    args = at, asked.minutes, asked.ahead, clients.sent, clients.labels, recovered_s, wrong, full_s, early, late
    kept = Kept(*args, watch.moments)
    KEPT.write_bytes(msgspec.json.encode(kept) + b"\n")
    return show(kept)


@contextmanager
def _without_store(subject: Subject) -> Iterator[None]:
    subject.stop_store()
    yield
    subject.start_store()


@contextmanager
def _with_slow_model(subject: Subject) -> Iterator[None]:
    subject.pause(SLOW_S)
    yield
    subject.pause(0)


class Watch:
    """Looks every so many seconds."""

    def __init__(self, subject: Subject, clients: Clients, every_s: float) -> None:
        self.moments: list[Moment] = []
        self._subject, self._clients = subject, clients
        self._restarts, self._every_s = 0, every_s
        self._began = time.monotonic()

    def during(self, phase: str, seconds: float) -> None:
        """Look for so long."""
        end = time.monotonic() + seconds
        self._while(phase, lambda: time.monotonic() < end)

    def until_settled(self) -> float:
        """Look until nothing waits any more; the seconds that it took."""
        began = time.monotonic()
        self._while("after", lambda: self._waits() and time.monotonic() - began < _RECOVERY_S_MAX)
        return round(time.monotonic() - began, 1)

    def _waits(self) -> bool:
        lag = self.moments[-1].lag_rows if self.moments else {}
        return self._clients.answered < self._clients.sent or len(lag) < len(STEPS) or any(lag.values())

    def _while(self, phase: str, holds: Callable[[], bool]) -> None:
        while holds():
            self._subject.look()
            if self._subject.restarts() > self._restarts:
                self._restarts = self._subject.restarts()
                print(self._subject.tails(), file=sys.stderr)
            moment = self._moment(phase)
            self.moments.append(moment)
            if len(self.moments) % 10 == 1:
                _tell(moment)
            time.sleep(max(0.0, self._every_s - (time.monotonic() - self._began - moment.at_s)))

    def _moment(self, phase: str) -> Moment:
        at_s, resident, lag_rows, lag_s = time.monotonic() - self._began, {}, {}, {}
        for role in ROLES:
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                pid = self._subject.system.tree.children[role].pid
                memory = psutil.Process(pid).memory_info() if pid else None
                resident[role] = round((memory.rss - memory.shared) / 1e6, 1) if memory else 0.0
            for step in (self._subject.system.ask(role) or {}).get("steps", ()):
                if step["lag_rows"] is not None:
                    lag_rows[step["step"]] = step["lag_rows"]
                    lag_s[step["step"]] = round((step["lag_ms"] or 0) / 1000, 1)
        return Moment(round(at_s, 1), phase, self._clients.answered, self._clients.labels, resident, lag_rows, lag_s)


def _tell(moment: Moment) -> None:
    lags = ", ".join(f"{name} {rows:,} rows {moment.lag_s[name]} s" for name, rows in moment.lag_rows.items())
    memory = ", ".join(f"{role} {mb:,.0f} MB" for role, mb in moment.resident_mb.items())
    print(f"  {moment.at_s:>5.0f} s {moment.phase:<10} {moment.answered:,} answered; {memory}; {lags}", file=sys.stderr)


def _wrong(subject: Subject, clients: Clients) -> dict[str, int]:
    wrong = {**clients.wrong(), "restarts": subject.restarts(), "rows_missing": clients.sent, "rows_doubled": 0}
    until = time.monotonic() + 30
    while wrong["rows_missing"] and time.monotonic() < until:  # the sink inserts a moment later
        with suppress(StoreError, StoreUnavailable):
            rows, ids = subject.stored()
            wrong |= {"rows_missing": clients.sent - ids, "rows_doubled": rows - ids}
        time.sleep(0.2)
    return wrong


def _since_full(moments: list[Moment]) -> list[Moment]:
    """What came after the join had met as many labels as it remembers; nothing where it has not."""
    full = [i for i, m in enumerate(moments) if m.labels - m.lag_rows.get("join", m.labels) >= RECENT_MAX]
    return moments[full[0] :] if full else []


def _resident(moments: list[Moment]) -> dict[str, float]:
    found = {role: [m.resident_mb[role] for m in moments if m.resident_mb.get(role)] for role in ROLES}
    return {role: round(statistics.median(several), 1) for role, several in found.items() if several}


def show(kept: Kept) -> int:
    """Print what was found; 1 where anything is wrong."""
    print(
        f"{kept.requests:,} requests and {kept.labels:,} labels (one request in {LABEL_EVERY}) in {kept.minutes:g} min"
    )
    for phase in dict.fromkeys(moment.phase for moment in kept.moments):
        own = [moment for moment in kept.moments if moment.phase == phase]
        pace = (own[-1].answered - own[0].answered) / max(own[-1].at_s - own[0].at_s, 1)
        peaks = ", ".join(
            f"{step} {max(m.lag_rows.get(step, 0) for m in own):,} rows {max(m.lag_s.get(step, 0) for m in own):g} s"
            for step in STEPS
        )
        print(f"{phase:<11}{pace:>8,.0f} answers/s; at most behind: {peaks}")
    flat = kept.full_s > 0
    print(f"{RECENT_MAX:,} labels joined after {kept.full_s:g} s" if flat else f"never {RECENT_MAX:,} labels joined")
    for role in kept.early_mb.keys() & kept.late_mb.keys():
        ratio = kept.late_mb[role] / kept.early_mb[role]
        flat = flat and (role == "store" or ratio <= FLAT_MAX)
        print(f"{role:<11}{kept.early_mb[role]:>8,.0f} MB early, {kept.late_mb[role]:,.0f} MB late, {ratio:.2f}x")
    print(
        f"settled {kept.recovered_s:g} s after the last request; "
        + ", ".join(f"{k} {v}" for k, v in kept.wrong.items())
    )
    return 0 if flat and not any(kept.wrong.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
