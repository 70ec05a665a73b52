"""Row batches: many requests at once, a column a feature; rows that cannot be are taken out of it, and named."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from streams.wire.refusals import Reason, Refusal, Refused
from streams.wire.rows import Rows
from streams.wire.schema import FeatureSchema


class RowBatch:
    """Requests of one model, as they are read; `rows` and `refusals` part the good from the bad.

    Parameters
    ----------
    schema
        Of the model.
    matrix
        float32 [rows, features]; see `streams.wire.schema`. It is the sheet's own and may be written to.
    ids
        Of each row.
    ts, at, row
        int64, int64, int32 [rows]; see `Rows`.
    unseen
        See `Rows`.

    Attributes
    ----------
    whole
        All rows, as they were given; ids and times may still be changed in place.

    >>> from streams.wire.schema import Feature
    >>> one = FeatureSchema((Feature("age", required=True),))
    >>> zeros = np.zeros(2, np.int64)
    >>> batch = RowBatch(one, np.array([[41], [np.nan]], np.float32), ["a", "b"], zeros, zeros, np.arange(2))
    >>> batch.require()
    >>> batch.rows().ids, batch.refusals()[0].field
    (['a'], '$[1].age')
    """

    def __init__(
        self,
        schema: FeatureSchema,
        matrix: np.ndarray,
        ids: Sequence[str],
        ts: np.ndarray,
        at: np.ndarray,
        row: np.ndarray,
        unseen: dict[int, dict[int, str]] | None = None,
    ) -> None:
        self.whole = Rows(schema, matrix, unseen or {}, list(ids), ts, at, row)
        self._faults: dict[int, tuple[Reason, str, str]] = {}

    def refuse(self, bad: np.ndarray, reason: Reason, field: str, why: Callable[[int], str]) -> None:
        """Refuse the rows where ``bad``, bool [rows], holds; the first word about a row is the last.

        Parameters
        ----------
        bad
            Rows at fault, bool [rows].
        field
            Name of the feature; refusals spell it as a path.
        why
            Gives the detail of a row by its position.
        """
        for n in np.flatnonzero(bad).tolist():
            self._faults.setdefault(n, (reason, field, why(n)))

    def refuse_row(self, n: int, why: Refused) -> None:
        """Refuse one row, for what was found in one of its own columns."""
        reason, field, detail = why.args
        self._faults.setdefault(n, (reason, field.removeprefix("$."), detail))

    def require(self) -> None:
        """Refuse rows that lack what the model requires; NaN is missing, in a categorical column the null code."""
        schema, matrix = self.whole.schema, self.whole.matrix
        for j, feature in enumerate(schema.features):
            if feature.required:
                column = matrix[:, j]
                absent = column == feature.null_code if feature.kind == "categorical" else np.isnan(column)
                self.refuse(absent, "missing_field", feature.name, lambda _: "a required value is null or NaN")

    def rows(self) -> Rows:
        """The rows that stand."""
        if not self._faults:
            return self.whole
        return self.whole.pick(np.delete(np.arange(len(self.whole)), list(self._faults)))

    def refusals(self, model: str = "") -> list[Refusal]:
        """The others, each with its row and field."""
        at, row, ts = self.whole.at, self.whole.row, self.whole.ts
        return [
            Refusal(int(at[n]), reason, f"$[{row[n]}].{field}", detail, model, None if field == "ts" else int(ts[n]))
            for n, (reason, field, detail) in sorted(self._faults.items())
        ]


def complete(rows: Rows, model: str) -> tuple[Rows, list[Refusal]]:
    """Part rows of a model, a record a row, from those whose required value is NaN, which JSON has not."""
    batch = RowBatch(rows.schema, rows.matrix, rows.ids, rows.ts, rows.at, rows.row, rows.unseen)
    batch.require()
    refused = [
        msgspec.structs.replace(refusal, field=f"$.{refusal.field.partition('.')[2]}")
        for refusal in batch.refusals(model)
    ]
    return batch.rows(), refused


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one model, part after part, as one.

    >>> from streams.wire.schema import Feature
    >>> one = FeatureSchema((Feature("age"),))
    >>> parts = [Rows(one, np.zeros((1, 1), np.float32), {}, [i], *[np.zeros(1, np.int64)] * 3) for i in "ab"]
    >>> joined(parts).ids
    ['a', 'b']
    """
    if len(parts) == 1:
        return parts[0]
    unseen: dict[int, dict[int, str]] = {}
    first = 0
    for part in parts:
        for j, texts in part.unseen.items():
            unseen.setdefault(j, {}).update({first + n: text for n, text in texts.items()})
        first += len(part)
    return Rows(
        parts[0].schema,
        np.concatenate([part.matrix for part in parts]),
        unseen,
        [id_ for part in parts for id_ in part.ids],
        np.concatenate([part.ts for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.row for part in parts]),
    )


def shifted(rows: Rows, by: int) -> Rows:
    """The same rows, of records that stand so much later in their block."""
    return msgspec.structs.replace(rows, at=rows.at + by) if by else rows
