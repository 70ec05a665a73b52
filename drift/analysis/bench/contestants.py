"""The contestants: our engine and its peers by name, each begun on the same ground."""

from collections.abc import Iterator, Mapping, Sequence

from drift.analysis.bench.ours import Ours
from drift.analysis.bench.peers import Adwin, KsBonferroni, PageHinkley, Peer, Psi, Window
from drift.analysis.bench.streams import Ground
from streams.wire.records import Watch

OPENS, PAGES = "Driftline", "Driftline pages"
KS, CALIBRATED_PSI, CUSTOMARY_PSI = "KS + Bonferroni", "PSI (calibrated)", "PSI > 0.2"
ADWIN, PAGE_HINKLEY = "ADWIN", "Page-Hinkley (calibrated)"
#: In the order of the tables; those whose threshold promises nothing by itself.
CONTESTANTS = (OPENS, PAGES, KS, CALIBRATED_PSI, CUSTOMARY_PSI, ADWIN, PAGE_HINKLEY)
CALIBRATED = (CALIBRATED_PSI, PAGE_HINKLEY)


def peer(name: str, ground: Ground, rows: int, every: float, thresholds: Mapping[str, float]) -> Peer:
    """Begin a peer, told of the budget; without a threshold it gives its bare statistic.

    Parameters
    ----------
    rows
        Rows of a window.
    every
        Windows between two false alarms.
    thresholds
        Of the contestants that are calibrated, by name.
    """
    match name:
        case "KS + Bonferroni":
            return KsBonferroni(ground.known, every)
        case "PSI > 0.2":
            return Psi(ground.known, 0.2)
        case "PSI (calibrated)":
            return Psi(ground.known, thresholds.get(name, 1.0))
        case "ADWIN":
            return Adwin(ground.known, every, rows)
        case "Page-Hinkley (calibrated)":
            return PageHinkley(ground.known, thresholds.get(name, 1.0))
    raise ValueError(f"{name!r} is no peer; {', '.join(CONTESTANTS[2:])} are")


def alarms(
    ground: Ground, windows: Sequence[Window], every: float, thresholds: Mapping[str, float]
) -> Iterator[tuple[str, int | None]]:
    """Window of each contestant's first alarm; None for none.

    Parameters
    ----------
    windows
        A stream, in its order.
    every
        Windows between two false alarms.
    thresholds
        Of the contestants that are calibrated, by name.
    """
    ours = Ours(ground.baseline, Watch(false_alarm_every=every))
    for window in windows:
        ours.observe(window.counts)
        if ours.paged is not None:
            break
    yield OPENS, ours.opened
    yield PAGES, ours.paged
    for name in CONTESTANTS[2:]:
        detector = peer(name, ground, len(windows[0].values[0]), every, thresholds)
        yield name, next((w for w, window in enumerate(windows) if detector.observe(window) > 1), None)
