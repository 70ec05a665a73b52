"""Drift detectors, on the user's own rows."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.bars import bars
from driftline.cli.options import AsJson, echo_json, group, names, say
from driftline.commands.terminal import aligned

if TYPE_CHECKING:
    from drift.analysis.bench import Bench, Plan
    from drift.analysis.bench.result import Quiet

app = group("Drift: which detector to trust with your rows.")


@app.callback()
def _group() -> None:
    """Keep `bench` a command of its own while it is the only one."""


@app.command()
def bench(
    reference: Annotated[Path, typer.Option(metavar="FILE", help="Table, Parquet or CSV.")],
    score: Annotated[str | None, typer.Option(metavar="NAME", help="Column with scores.")] = None,
    exclude: Annotated[str, typer.Option(metavar="A,B,...", help="Columns to leave out.")] = "",
    rows_per_window: Annotated[int, typer.Option(metavar="N", min=20, help="Rows of a window.")] = 200,
    false_alarm_every: Annotated[float, typer.Option(metavar="N", min=2, help="Budget, in windows.")] = 1_000,
    shifts: Annotated[str, typer.Option(metavar="A,B,...", help="As in 0.2sd,x1.25,5pt,null5.")] = "",
    column: Annotated[str | None, typer.Option(metavar="NAME", help="Shift this; else each in turn.")] = None,
    gradual: Annotated[int, typer.Option(metavar="N", min=0, help="Windows a shift grows.")] = 0,
    runs: Annotated[int, typer.Option(metavar="N", min=2, help="Streams of each kind.")] = 20,
    windows: Annotated[int, typer.Option(metavar="N", min=10, help="Of a no-drift stream.")] = 150,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all that is drawn.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write tables and plots, HTML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare detectors: false alarms, delays, your rows."""
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{out}: give a name that ends in .html; a browser prints or saves it as it likes")
    left = tuple(names(exclude))
    with bars() as on_progress:
        on_progress(f"reading {reference}", 0, None)
        from drift.analysis.bench import Plan
        from drift.analysis.bench.shifts import DEFAULT
        from driftline.commands import bench as benching

        plan = Plan(
            rows_per_window=rows_per_window,
            windows=windows,
            runs=runs,
            false_alarm_every=false_alarm_every,
            shifts=tuple(names(shifts)) or DEFAULT,
            column=column,
            gradual=gradual,
            seed=seed,
        )
        say_quiet = (lambda _: None) if as_json else partial(_say_quiet, plan)
        ran = benching.run(reference, plan, score=score, exclude=left, on_progress=on_progress, settled=say_quiet)
    if out is not None:
        from drift.analysis.bench.page import page

        facts = benching.facts(reference, ran, score, left)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(ran, title=f"Drift detectors on {reference.name}", facts=facts), "utf-8")
    echo_json(_plain(ran)) if as_json else _say(ran)
    if out is not None:
        say(f"written: {out}", err=as_json)


def _plain(ran: "Bench") -> dict[str, object]:
    return {"sentence": ran.sentence, **{name: getattr(ran, name) for name in ran.__struct_fields__}}


def _say_quiet(plan: "Plan", quiet: "list[Quiet]") -> None:
    from drift.analysis.bench import tables

    say(f"no drift: {plan.runs} streams of {plan.windows} windows, each until its first alarm")
    _table(tables.false_alarms(quiet, plan.false_alarm_every))


def _say(ran: "Bench") -> None:
    from drift.analysis.bench import tables
    from drift.analysis.bench.streams import AFTER_MAX

    plan = ran.plan
    speed = f"grows over {plan.gradual} windows" if plan.gradual else "is sudden"
    say(f"\nwindows from a change of one column, which {speed}, to the alarm (median of {plan.runs})")
    _table(tables.delays(ran))
    say(f"  {tables.NEVER}  not within {AFTER_MAX + plan.gradual} windows")
    if len(ran.keeping) < len(ran.quiet) - 1:
        say(f"  {tables.LOUD}  alarms for nothing too often: its delays are worth little")
    if (watched := plan.runs * plan.windows) < plan.false_alarm_every:
        rate = f"1 in {plan.false_alarm_every:,.0f}"
        say(f"  note: {watched:,} windows are too few to calibrate a threshold for {rate}; give more --windows")
    blocks = f" in blocks of {ran.block_rows}" if ran.block_rows > 1 else ""
    say(f"\n{ran.rows:,} rows of {ran.columns} columns, drawn{blocks}; {plan.rows_per_window} rows a window")
    say(ran.sentence)


def _table(rows: list[list[str]]) -> None:
    say("\n".join(aligned(rows, numbers=range(1, len(rows[0])), indent=2)))
