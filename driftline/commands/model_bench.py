"""How fast a version is as each of its variants and at each batch shape, and how near to its examples."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from driftline.progress import OnProgress, unwatched
from inference.backends import ArtefactError, load_artefact
from inference.backends.kinds import kind_of
from inference.packages.model_toml import ModelPackage
from inference.serving.examples import allowed_difference, read_examples
from inference.serving.scorer import Scorer

#: Batches of a shape before the clock counts.
_WARM = 3
_BATCHES_MIN = 10


class Measured(msgspec.Struct, frozen=True):
    """One variant at one batch shape.

    Attributes
    ----------
    rows_per_s
        Rows by the clock, in full batches.
    p50_ms, p99_ms
        Of one batch.
    apart
        Largest difference to the examples' scores; None without examples.
    within
        Whether all of them are within the package's tolerance.
    """

    variant: str
    batch_rows: int
    rows_per_s: float
    p50_ms: float
    p99_ms: float
    apart: float | None
    within: bool


class Bench(msgspec.Struct):
    """What was measured, which variants could not be, with the reason, and which one is recommended."""

    model: str
    version: str
    device: str
    measured: list[Measured] = []
    refused: dict[str, str] = {}
    examples: int = 0

    @property
    def recommended(self) -> Measured | None:
        """The fastest that is within the tolerance; without examples, the program as it is."""
        good = [
            measured for measured in self.measured if measured.within and (self.examples or measured.variant == "fp32")
        ]
        return max(good, key=lambda measured: measured.rows_per_s, default=None)


def bench(
    package: ModelPackage,
    folder: Path,
    device: str,
    *,
    seconds: float,
    trust_code: bool = False,
    on_progress: OnProgress = unwatched,
    clock: Callable[[], float] = time.perf_counter,
) -> Bench:
    """Measure every variant at every batch shape.

    Parameters
    ----------
    package, folder
        The version.
    device
        What `inference.backends.devices.device` gives.
    seconds
        How long each shape is measured.
    trust_code
        Whether a model that is code may run.
    on_progress
        Called with what is measured.
    clock
        Monotonic time, s.
    """
    kind = kind_of(package.artefact)
    assert kind is not None, package.artefact
    examples = read_examples(package, folder)
    result = Bench(package.name, package.version, device, examples=0 if examples is None else len(examples[0]))
    for variant in kind.variants:
        on_progress(f"measuring {variant}", 0, None)
        changed = msgspec.structs.replace(package, variant=variant)
        try:
            scorer = Scorer(changed, load_artefact(changed, folder, device, trust_code=trust_code))
        except ArtefactError as error:
            result.refused[variant] = str(error)
            continue
        for bucket in scorer.backend.shapes.buckets:
            if not _fits(scorer, bucket):
                result.refused[f"{variant}, {bucket:,} rows"] = f"{device} has no memory for such a batch"
                continue
            times = _times(scorer, _rows(examples, scorer, bucket), bucket, seconds, clock)
            apart, within = _against(examples, scorer, bucket)
            p50, p99 = np.quantile(times, [0.5, 0.99])
            rate = bucket * len(times) / sum(times)
            result.measured.append(Measured(variant, bucket, rate, p50 * 1000, p99 * 1000, apart, within))
    return result


def _rows(examples: tuple[np.ndarray, np.ndarray] | None, scorer: Scorer, bucket: int) -> np.ndarray:
    """A full batch: examples over and over, or blank rows where there are none."""
    matrix = np.zeros((1, len(scorer.package.inputs)), np.float32) if examples is None else examples[0]
    return np.resize(matrix, (bucket, matrix.shape[1]))


def _fits(scorer: Scorer, bucket: int) -> bool:
    """Whether a batch is computed at a shape, and not in smaller ones for want of memory."""
    rows = np.zeros((bucket, len(scorer.package.inputs)), np.float32)
    return bool((scorer(rows, buckets=np.full(bucket, bucket, np.int32)).buckets == bucket).all())


def _times(scorer: Scorer, rows: np.ndarray, bucket: int, seconds: float, clock: Callable[[], float]) -> list[float]:
    """Seconds of each batch."""
    shape = np.full(bucket, bucket, np.int32)
    for _ in range(_WARM):
        scorer(rows, buckets=shape)
    times, end = list[float](), clock() + seconds
    while len(times) < _BATCHES_MIN or clock() < end:
        began = clock()
        scorer(rows, buckets=shape)
        times.append(clock() - began)
    return times


def _against(examples: tuple[np.ndarray, np.ndarray] | None, scorer: Scorer, bucket: int) -> tuple[float | None, bool]:
    """Largest difference to the examples at a shape, and whether all are within the tolerance."""
    if examples is None:
        return None, True
    matrix, expected = examples
    apart = np.abs(scorer(matrix, buckets=np.full(len(matrix), bucket, np.int32)).values - expected)
    largest = float(np.nanmax(apart)) if np.isfinite(apart).any() else math.inf
    return largest, bool((apart <= allowed_difference(scorer.package, expected)).all())


def table(result: Bench) -> list[tuple[str, ...]]:
    """Rows for people, headings first."""
    rows: list[tuple[str, ...]] = [("variant", "batch", "rows/s", "p50 ms", "p99 ms", "largest difference", "")]
    for measured in result.measured:
        apart = "no examples" if measured.apart is None else f"{measured.apart:.1e}"
        verdict = "" if measured.within else "beyond its tolerance"
        figures = f"{measured.rows_per_s:,.0f}", f"{measured.p50_ms:.2f}", f"{measured.p99_ms:.2f}"
        rows.append((measured.variant, f"{measured.batch_rows:,}", *figures, apart, verdict))
    return rows


def advice(result: Bench, package: ModelPackage) -> str:
    """Which variant to take, in a sentence."""
    best = result.recommended
    if best is None:
        return "no variant is within the tolerance; make the package anew, or widen tolerance in model.toml"
    if not result.examples:
        return "no examples.arrow: only fp32 may serve unseen; `driftline model init` writes examples"
    if best.variant == package.variant:
        return f"recommended: {best.variant}, as it is"
    current = max(
        (measured.rows_per_s for measured in result.measured if measured.variant == package.variant), default=0.0
    )
    gain = f", {best.rows_per_s / current:.1f} times as fast as {package.variant}" if current else ""
    return f'recommended: variant = "{best.variant}" in model.toml of a new version{gain}'
