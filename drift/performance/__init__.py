"""Performance: how good the model is, with labels when they have come and without them until then.

All of it stands on sums a score cell, so it merges, replays and restates like every other count:

1. `label_sums` adds up predictions that have met their label: rows, labels, scores and hits in each score cell.
2. `realised` turns those sums into figures with intervals: AUC, accuracy, F1, Brier, ECE; MAE and RMSE.
3. `calibrate` asks the training data how often a score of each cell comes true (isotonic), and `estimate` weighs that
   with the scores of a window: the performance to expect if only the inputs moved (CBPE). It cannot see a change of the
   concept, so it stands beside the realised figure and never in its place.
4. `ppi` joins both: predictions for the many, labels for the few, one honest interval.
5. `losses` says what is lost by wrong predictions, and how much of it is still as on the training data; evidence that
   it is more (`drift.evidence.Risk`) opens incidents.

6. `lag_curve` says how long labels take, which no histogram of the delays so far does: of the young predictions only
   early labels are known.

A window's figures for a report come from `report`.
"""

from drift.performance.calibration import calibrate
from drift.performance.cbpe import Expected, expected
from drift.performance.label_delay import LagCurve, lag_curve
from drift.performance.label_sums import label_sums
from drift.performance.metrics import Figure, realised
from drift.performance.ppi import Ppi, ppi
from drift.performance.window_metrics import estimate, report

__all__ = [
    "Expected",
    "Figure",
    "LagCurve",
    "Ppi",
    "calibrate",
    "estimate",
    "expected",
    "label_sums",
    "lag_curve",
    "ppi",
    "realised",
    "report",
]
