"""Predictions by id, out of the store, with the labels that they have."""

from drift.labels.stage import PredictionRow
from drift.store import Store

#: One question asks for so many.
IDS_MAX = 10_000

_PREDICTIONS = """
SELECT DISTINCT id, model, version, toUnixTimestamp64Milli(ts), score, prediction
FROM predictions_by_id WHERE id IN {ids:Array(String)}
ORDER BY id, model, version, ts
"""
# A label holds while its signs add up to more than nothing.
_LABELS = """
SELECT id, model, version, toUnixTimestamp64Milli(ts), label, toUnixTimestamp64Milli(label_ts)
FROM outcomes WHERE id IN {ids:Array(String)}
GROUP BY id, model, version, ts, label, label_ts HAVING sum(sign) > 0
ORDER BY label_ts
"""


def look_up(store: Store, ids: list[str]) -> dict[str, list[PredictionRow]]:
    """Find predictions by id, versions and shadows apart; an id that the store does not know is left out.

    Raises
    ------
    StoreUnavailable
        The store does not answer; ask again.
    """
    by_id: dict[str, list[PredictionRow]] = {}
    for start in range(0, len(ids), IDS_MAX):
        parameters = {"ids": ids[start : start + IDS_MAX]}
        labels = {row[:4]: row[4:] for row in store.rows(_LABELS, parameters)}
        for id_, model, version, ts, score, prediction in store.rows(_PREDICTIONS, parameters):
            label, label_ts = labels.get((id_, model, version, ts), (None, 0))
            row = PredictionRow(
                id=id_, model=model, version=version, ts=ts, score=score, prediction=prediction,
                label=label, label_ts=label_ts,
            )  # fmt: skip
            by_id.setdefault(id_, []).append(row)
    return by_id
