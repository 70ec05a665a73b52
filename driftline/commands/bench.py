"""A bench over a user's table: what is read, run, and written down."""

import shlex
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from drift.analysis.bench import Bench, Plan, Population, Race
from drift.analysis.bench.race import Told
from drift.analysis.bench.result import Quiet
from driftline.commands.provenance import with_sha256


class NoBench(ValueError):
    """A table that no bench can be run over; the text says what to do."""


def run(
    data: Path,
    plan: Plan,
    *,
    score: str | None = None,
    exclude: tuple[str, ...] = (),
    on_progress: Told,
    settled: Callable[[list[Quiet]], None],
) -> Bench:
    """Run a bench over a training table.

    Parameters
    ----------
    data
        Parquet or CSV: the rows themselves, for a reference file holds none.
    score, exclude
        See `drift.Reference.fit`.
    on_progress, settled
        Hear of progress, and of the false alarms as soon as they are counted.

    Raises
    ------
    NoBench
        The file is a reference, or a package.
    """
    if data.suffix == ".arrow" or (data.is_dir() and (data / "reference.arrow").exists()):
        raise NoBench(f"{data}: a reference holds counts and no rows; give the training table that it was built from")
    return Race(Population.of(data, score=score, exclude=exclude), plan, on_progress, settled).run()


def facts(data: Path, bench: Bench, score: str | None, exclude: tuple[str, ...]) -> dict[str, str]:
    """What is needed to run it again, by name, in the order in which it is shown.

    Parameters
    ----------
    data
        What `run` was given; of a file its SHA-256 is said.
    bench
        What came of it.
    score, exclude
        As of `run`.
    """
    plan = bench.plan
    words = ["driftline", "drift", "bench", "--reference", str(data)]
    words += ["--score", score] if score else []
    words += ["--exclude", ",".join(exclude)] if exclude else []
    words += ["--rows-per-window", str(plan.rows_per_window), "--false-alarm-every", f"{plan.false_alarm_every:g}"]
    words += ["--shifts", ",".join(plan.shifts), *(["--column", plan.column] if plan.column else [])]
    words += ["--gradual", str(plan.gradual), "--runs", str(plan.runs), "--windows", str(plan.windows)]
    blocks = f"blocks of {bench.block_rows}" if bench.block_rows > 1 else "single rows: no dependence was found"
    return {
        "table": with_sha256(data) if data.is_file() else str(data),
        "rows": f"{bench.rows:,}, drawn in {blocks}; references of {bench.reference_rows:,}",
        "driftline": version("driftline"),
        "command": shlex.join([*words, "--seed", str(plan.seed)]),
        "took": f"{bench.seconds:.0f} s",
    }
