"""What became of the model's answers since an incident began: of its score, and of the class that it predicts."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from drift.cells.cells import PREDICTION, SCORE
from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.text import Text, names, text
from drift.incidents.verdict import Word, word
from streams.wire.records import PredictionEffect

#: What people call a column of answers, and the distances between its distributions.
NAMES = {SCORE: "score", PREDICTION: "predicted class"}
DISTANCES = {"ks": "KS distance", "tvd": "total variation distance"}
_ORDER: tuple[Word, ...] = ("changed", "unclear", "unchanged")


def prediction_effects(window: EvidenceWindow, base: np.ndarray) -> list[PredictionEffect]:
    """The effect on each column of answers since ``base``, the counts of all windows before (int64 [all cells])."""
    effects = []
    for n, column in enumerate(window.baseline.reference.columns):
        if column.role != "prediction":
            continue
        cells = window.baseline.cells(n)
        stretch = window.detector.counts[cells] - base[cells]
        if not stretch.sum():
            continue
        effect, tolerance = window.baseline.effect(n, stretch), window.tolerance(n)
        effects.append(
            PredictionEffect(
                name=column.name,
                statistic=effect.statistic,
                effect=effect.value,
                low=effect.low,
                high=effect.high,
                tolerance=tolerance,
                n=int(stretch.sum()),
                word=word(effect.low, effect.high, tolerance),
            )
        )
    return effects


def clause(effects: Sequence[PredictionEffect]) -> Text:
    """Say what became of the answers; empty where there are none.

    >>> from drift.incidents.text import plain
    >>> score = PredictionEffect(
    ...     name="score", statistic="ks", effect=0.0, low=0.0, high=0.02, tolerance=0.05, n=5_000, word="unchanged"
    ... )
    >>> plain(clause([score]))
    '; score is unchanged'
    >>> from msgspec.structs import replace
    >>> unclear = replace(score, word="unclear", n=500)
    >>> plain(clause([unclear, replace(unclear, name="prediction")]))
    '; whether score and predicted class changed is still unclear after 500 rows'
    """
    ordered = sorted(effects, key=lambda effect: _ORDER.index(effect.word))
    sentence: Text = ()
    for verdict, several in groupby(ordered, key=lambda effect: effect.word):
        group = list(several)
        who = names([NAMES.get(effect.name, effect.name) for effect in group])
        if verdict == "unclear":
            rows = max(effect.n for effect in group)
            sentence = text(sentence, "; whether ", who, f" changed is still unclear after {rows:,} rows")
        else:
            be = "is" if len(group) == 1 else "are"
            sentence = text(sentence, "; ", who, " changed, too" if verdict == "changed" else f" {be} unchanged")
    return sentence
